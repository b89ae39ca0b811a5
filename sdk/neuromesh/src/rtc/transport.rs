//! `/webrtc` for libp2p's swarm: the transport, and the behaviour that owns the signalling streams.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    FutureExt, StreamExt,
    channel::{mpsc, oneshot},
    future::BoxFuture,
};
use libp2p::{
    Multiaddr, PeerId, Stream, Transport as Libp2pTransport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};
use neuromesh_core::webrtc::signal::Role;

use super::{
    address,
    muxer::Muxer,
    negotiate::negotiate,
    peer::RtcConfig,
    signalling::{Behaviour, Place},
};
use crate::platform;

/// Dials, and answers, that wait for the other half.
const QUEUE: usize = 256;

/// A signalling stream is wanted.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) circuit: Multiaddr,
    pub(super) peer: PeerId,
    pub(super) reply: oneshot::Sender<io::Result<Stream>>,
}

/// What the behaviour tells the transport.
pub(super) enum Notice {
    /// A peer wants a direct connection.
    Asked(PeerId, Box<Stream>, Place),
    /// This peer can be dialled under this address.
    Reachable(Multiaddr),
    /// It can not any more.
    Gone(Multiaddr),
}

/// Listens on `/webrtc`, dials `<relay>/p2p/R/p2p-circuit/webrtc/p2p/B`.
pub(crate) struct Transport {
    config: RtcConfig,
    wishes: mpsc::Sender<Wish>,
    notices: mpsc::Receiver<Notice>,
    listener: Option<ListenerId>,
}

/// Both halves; the behaviour belongs into the same swarm.
pub(crate) fn new(config: RtcConfig) -> (Transport, Behaviour) {
    let (wishes, wished) = mpsc::channel(QUEUE);
    let (notifier, notices) = mpsc::channel(QUEUE);
    (Transport { config, wishes, notices, listener: None }, Behaviour::new(wished, notifier))
}

/// Futures of libp2p cross threads, those of a browser do not: the work is a task, and this waits for it. Dropped, it stops the task.
pub(crate) fn spawned(
    work: impl Future<Output = io::Result<(PeerId, Muxer)>> + platform::MaybeSend + 'static,
) -> BoxFuture<'static, io::Result<(PeerId, Muxer)>> {
    let (mut done, result) = oneshot::channel();
    platform::spawn(async move {
        let finished = {
            let mut work = std::pin::pin!(work);
            let mut left = done.cancellation();
            std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending => left.poll_unpin(cx).map(|()| None),
            })
            .await
        };
        if let Some(result) = finished {
            let _ = done.send(result);
        }
    });
    async move { result.await.unwrap_or_else(|_| Err(io::ErrorKind::ConnectionAborted.into())) }.boxed()
}

impl Libp2pTransport for Transport {
    type Output = (PeerId, Muxer);
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Self::Output>>;
    type Dial = BoxFuture<'static, io::Result<Self::Output>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        if address.iter().next() != Some(Protocol::WebRTC) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        self.listener = Some(id);
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.listener.take_if(|listener| *listener == id).is_some()
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let Some((circuit, peer)) = address::circuit(&address).filter(|_| !options.role.is_listener()) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let (reply, opened) = oneshot::channel();
        self.wishes
            .try_send(Wish { circuit, peer, reply })
            .map_err(|_| TransportError::Other(io::Error::new(io::ErrorKind::WouldBlock, "too many dials at once")))?;
        let config = self.config.clone();
        Ok(spawned(async move {
            let stream = opened.await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))??;
            let muxer = negotiate(Role::Offerer, stream, &config).await.map_err(io::Error::other)?;
            Ok((peer, muxer))
        }))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        loop {
            let Poll::Ready(Some(notice)) = self.notices.poll_next_unpin(cx) else { return Poll::Pending };
            // Not listening: whoever asks sees its stream end.
            let Some(listener_id) = self.listener else { continue };
            return Poll::Ready(match notice {
                Notice::Reachable(listen_addr) => TransportEvent::NewAddress { listener_id, listen_addr },
                Notice::Gone(listen_addr) => TransportEvent::AddressExpired { listener_id, listen_addr },
                Notice::Asked(peer, stream, place) => {
                    let config = self.config.clone();
                    let upgrade = spawned(async move {
                        let result = negotiate(Role::Answerer, *stream, &config).await;
                        drop(place);
                        Ok((peer, result.map_err(io::Error::other)?))
                    });
                    let local_addr = Multiaddr::from(Protocol::WebRTC);
                    let send_back_addr = local_addr.clone().with(Protocol::P2p(peer));
                    TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr }
                }
            });
        }
    }
}
