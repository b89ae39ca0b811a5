use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    convert::Infallible,
    io,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use futures::{StreamExt, channel::mpsc, channel::oneshot};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::{ConnectionClosed, ConnectionEstablished, DialFailure, ExpiredListenAddr, NewListenAddr},
        dial_opts::{DialOpts, PeerCondition},
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use neuromesh_core::{
    PeerId as CoreId,
    webrtc::signal::{Admission, SIGNALING_PROTOCOL},
};

use super::{
    address::{self, is_circuit},
    transport::{Notice, Wish},
};
use crate::{platform, swarm::core_id};

const PROTOCOL: StreamProtocol = StreamProtocol::new(SIGNALING_PROTOCOL);

type Reply = oneshot::Sender<io::Result<Stream>>;

/// A place among the negotiations that others began; given back when it is dropped.
pub(crate) struct Place {
    peer: CoreId,
    admission: Arc<Mutex<Admission>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner).end(&self.peer);
    }
}

/// Opens and takes signalling streams, and makes the circuits that they run over.
pub(crate) struct Behaviour {
    wishes: mpsc::Receiver<Wish>,
    notices: mpsc::Sender<Notice>,
    admission: Arc<Mutex<Admission>>,
    circuits: HashMap<PeerId, Vec<ConnectionId>>,
    /// Wait for a circuit that is being dialled.
    waiting: BTreeMap<ConnectionId, Reply>,
    out: VecDeque<ToSwarm<Infallible, THandlerInEvent<Self>>>,
}

impl Behaviour {
    pub(super) fn new(wishes: mpsc::Receiver<Wish>, notices: mpsc::Sender<Notice>) -> Self {
        Self {
            wishes,
            notices,
            admission: Arc::default(),
            circuits: HashMap::new(),
            waiting: BTreeMap::new(),
            out: VecDeque::new(),
        }
    }

    fn on_wish(&mut self, Wish { circuit, peer, reply }: Wish) {
        if let Some(id) = self.circuits.get(&peer).and_then(|circuits| circuits.first()) {
            self.open(peer, *id, reply);
            return;
        }
        // The swarm is dialling this peer already, which is why we are asked.
        let dial = DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(vec![circuit]).build();
        self.waiting.insert(dial.connection_id(), reply);
        self.out.push_back(ToSwarm::Dial { opts: dial });
    }

    fn open(&mut self, peer_id: PeerId, connection: ConnectionId, reply: Reply) {
        let handler = NotifyHandler::One(connection);
        self.out.push_back(ToSwarm::NotifyHandler { peer_id, handler, event: reply });
    }

    fn notify(&mut self, notice: Notice) {
        if self.notices.try_send(notice).is_err() {
            tracing::debug!("too many wait for the transport of WebRTC");
        }
    }

    fn on_asked(&mut self, peer: PeerId, stream: Stream) {
        let Some(id) = core_id(&peer) else { return };
        let admitted = self.admission.lock().unwrap_or_else(PoisonError::into_inner).begin(id, platform::now());
        match admitted {
            Ok(()) => {
                let place = Place { peer: id, admission: self.admission.clone() };
                self.notify(Notice::Asked(peer, Box::new(stream), place));
            }
            // Dropped, the stream is reset.
            Err(error) => tracing::debug!(%peer, %error, "signalling refused"),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, endpoint, .. }) => {
                if endpoint.is_relayed() && !address::is_webrtc(endpoint.get_remote_address()) {
                    self.circuits.entry(peer_id).or_default().push(connection_id);
                }
                if let Some(reply) = self.waiting.remove(&connection_id) {
                    self.open(peer_id, connection_id, reply);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                if let Some(circuits) = self.circuits.get_mut(&peer_id) {
                    circuits.retain(|id| *id != connection_id);
                    if circuits.is_empty() {
                        self.circuits.remove(&peer_id);
                    }
                }
            }
            FromSwarm::DialFailure(DialFailure { connection_id, error, .. }) => {
                if let Some(reply) = self.waiting.remove(&connection_id) {
                    let _ = reply
                        .send(Err(io::Error::other(format!("the peer is not reached through its relay: {error}"))));
                }
            }
            FromSwarm::NewListenAddr(NewListenAddr { addr, .. }) if is_circuit(addr) => {
                self.notify(Notice::Reachable(address::webrtc(addr)));
            }
            FromSwarm::ExpiredListenAddr(ExpiredListenAddr { addr, .. }) if is_circuit(addr) => {
                self.notify(Notice::Gone(address::webrtc(addr)));
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, stream: THandlerOutEvent<Self>) {
        self.on_asked(peer, stream);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        loop {
            if let Some(out) = self.out.pop_front() {
                return Poll::Ready(out);
            }
            match self.wishes.poll_next_unpin(cx) {
                Poll::Ready(Some(wish)) => self.on_wish(wish),
                _ => return Poll::Pending,
            }
        }
    }
}

/// Streams that one connection's other side may have opened and that were not taken yet.
const MAX_WAITING: usize = 8;

/// The signalling streams of one connection.
#[derive(Default)]
pub(crate) struct Handler {
    wanted: VecDeque<Reply>,
    asked: VecDeque<Stream>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Reply;
    type ToBehaviour = Stream;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Reply;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn on_behaviour_event(&mut self, reply: Reply) {
        self.wanted.push_back(reply);
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Reply, Self::ToBehaviour>> {
        if let Some(stream) = self.asked.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(stream));
        }
        match self.wanted.pop_front() {
            Some(reply) => Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), reply),
            }),
            None => Poll::Pending,
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<Self::InboundProtocol, Self::OutboundProtocol, (), Reply>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. })
                if self.asked.len() < MAX_WAITING =>
            {
                self.asked.push_back(stream);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, info: reply }) => {
                let _ = reply.send(Ok(stream));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, info: reply }) => {
                let error = match error {
                    StreamUpgradeError::Timeout => io::ErrorKind::TimedOut.into(),
                    StreamUpgradeError::NegotiationFailed => io::Error::other("the peer does not speak WebRTC"),
                    StreamUpgradeError::Io(error) => error,
                    StreamUpgradeError::Apply(never) => match never {},
                };
                let _ = reply.send(Err(error));
            }
            _ => {}
        }
    }
}
