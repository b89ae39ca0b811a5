use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use libp2p::{
    InboundUpgrade, OutboundUpgrade, PeerId as Libp2pId, StreamProtocol,
    core::UpgradeInfo,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

use super::{
    Exchanges, Haul,
    control::{Acceptors, OpenError, Request, Stream},
};

/// Streams that are being agreed on over one connection.
const MAX_NEGOTIATING: usize = 128;

/// The streams of one connection.
pub(crate) struct Handler {
    peer: Libp2pId,
    acceptors: Arc<Acceptors>,
    exchanges: Exchanges,
    requests: VecDeque<Request>,
    negotiating: usize,
}

impl Handler {
    pub(super) fn new(peer: Libp2pId, acceptors: Arc<Acceptors>, exchanges: Exchanges) -> Self {
        Self { peer, acceptors, exchanges, requests: VecDeque::new(), negotiating: 0 }
    }

    fn wrap(&self, stream: libp2p::Stream, protocol: &StreamProtocol) -> Stream {
        let exchange = (self.acceptors.haul(protocol) == Haul::Exchange).then(|| self.exchanges.begin());
        Stream::new(stream, exchange)
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Request;
    type ToBehaviour = Infallible;
    type InboundProtocol = AnyOf;
    type OutboundProtocol = AnyOf;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Request;

    fn listen_protocol(&self) -> SubstreamProtocol<AnyOf> {
        SubstreamProtocol::new(AnyOf(self.acceptors.protocols()), ())
    }

    fn on_behaviour_event(&mut self, request: Request) {
        if self.requests.len() + self.negotiating >= MAX_NEGOTIATING {
            request.refuse(OpenError::Io(std::io::ErrorKind::WouldBlock.into()));
        } else {
            self.requests.push_back(request);
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<AnyOf, Request, Infallible>> {
        match self.requests.pop_front() {
            Some(request) => {
                self.negotiating += 1;
                let protocol = SubstreamProtocol::new(AnyOf(vec![request.protocol.clone()]), request);
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
            }
            None => Poll::Pending,
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<AnyOf, AnyOf, (), Request>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol), ..
            }) => {
                let stream = self.wrap(stream, &protocol);
                self.acceptors.accept(self.peer, &protocol, stream);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (stream, protocol),
                info: request,
            }) => {
                self.negotiating -= 1;
                // Whoever asked may have left: then the stream is dropped, which resets it.
                let _ = request.reply.send(Ok(self.wrap(stream, &protocol)));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, info: request }) => {
                self.negotiating -= 1;
                let error = match error {
                    StreamUpgradeError::Timeout => OpenError::Io(std::io::ErrorKind::TimedOut.into()),
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported(request.protocol.clone()),
                    StreamUpgradeError::Io(error) => OpenError::Io(error),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                request.refuse(error);
            }
            _ => {}
        }
    }
}

/// Takes a stream of any of these protocols as it is.
#[derive(Clone, Debug)]
pub(crate) struct AnyOf(Vec<StreamProtocol>);

impl UpgradeInfo for AnyOf {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<libp2p::Stream> for AnyOf {
    type Output = (libp2p::Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: libp2p::Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<libp2p::Stream> for AnyOf {
    type Output = (libp2p::Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: libp2p::Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
