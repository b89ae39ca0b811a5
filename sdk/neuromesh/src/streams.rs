//! Streams of our protocols, each over the best connection with its peer.
//!
//! A peer may be connected several times, through a relay and directly ([`Paths`]). A new stream goes over the connection that is
//! best at that time; a worse one is closed once nothing that must be finished is under way on it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures::{FutureExt, StreamExt, channel::mpsc, task::AtomicWaker};
use libp2p::{
    Multiaddr, PeerId as Libp2pId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished,
    },
};
use neuromesh_core::{PeerId, Timestamp, mesh::Path, webrtc::paths::Paths};

use crate::{
    platform::{self, BoxFuture},
    rtc::is_webrtc,
    swarm::{core_id, libp2p_id},
};

mod control;
mod handler;

pub use control::Stream;
use control::{Acceptors, Request};
pub(crate) use control::{Control, Incoming, OpenError};
use handler::Handler;

/// What the streams of a protocol mean for the connection that they run over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haul {
    /// One exchange: the connection waits for its end.
    Exchange,
    /// Opened again by whoever opened it, without loss: it does not keep a worse connection.
    Standing,
}

/// Requests for streams that wait for the swarm.
const REQUESTS: usize = 256;

/// How a peer is reached has changed; none when it is not connected any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathChanged(pub PeerId, pub Option<Path>);

/// Part of the swarm's behaviour.
pub(crate) struct Behaviour {
    paths: Paths<ConnectionId>,
    acceptors: Arc<Acceptors>,
    requests: mpsc::Receiver<Request>,
    sender: mpsc::Sender<Request>,
    /// Exchanges under way by connection.
    exchanges: BTreeMap<ConnectionId, Exchanges>,
    ended: Arc<AtomicWaker>,
    timer: Option<(Timestamp, BoxFuture<'static, ()>)>,
    out: VecDeque<ToSwarm<PathChanged, THandlerInEvent<Self>>>,
}

/// Counts the exchanges on a connection.
#[derive(Clone, Debug)]
pub(crate) struct Exchanges {
    count: Arc<AtomicUsize>,
    ended: Arc<AtomicWaker>,
}

impl Exchanges {
    fn begin(&self) -> Exchange {
        self.count.fetch_add(1, Ordering::Relaxed);
        Exchange(self.clone())
    }
}

/// One exchange; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Exchange(Exchanges);

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.ended.wake();
    }
}

impl Behaviour {
    pub(crate) fn new(local: PeerId) -> Self {
        let (sender, requests) = mpsc::channel(REQUESTS);
        Self {
            paths: Paths::new(local),
            acceptors: Arc::default(),
            requests,
            sender,
            exchanges: BTreeMap::new(),
            ended: Arc::default(),
            timer: None,
            out: VecDeque::new(),
        }
    }

    pub(crate) fn control(&self) -> Control {
        Control::new(self.acceptors.clone(), self.sender.clone())
    }

    fn update(&mut self, peer: PeerId, update: impl FnOnce(&mut Paths<ConnectionId>)) {
        let before = self.paths.path(&peer);
        update(&mut self.paths);
        let after = self.paths.path(&peer);
        if before != after {
            self.out.push_back(ToSwarm::GenerateEvent(PathChanged(peer, after)));
        }
    }

    fn handler(&mut self, peer: Libp2pId, id: ConnectionId) -> Handler {
        let exchanges = Exchanges { count: Arc::default(), ended: self.ended.clone() };
        self.exchanges.insert(id, exchanges.clone());
        Handler::new(peer, self.acceptors.clone(), exchanges)
    }

    fn on_request(&mut self, request: Request) {
        match core_id(&request.peer).and_then(|peer| self.paths.preferred(&peer)) {
            Some(id) => self.out.push_back(ToSwarm::NotifyHandler {
                peer_id: request.peer,
                handler: NotifyHandler::One(id),
                event: request,
            }),
            None => request.refuse(OpenError::NotConnected),
        }
    }

    fn poll_paths(&mut self, cx: &mut Context<'_>) -> Option<ToSwarm<PathChanged, THandlerInEvent<Self>>> {
        self.ended.register(cx.waker());
        let now = platform::now();
        let exchanges = &self.exchanges;
        let under_way = |id| exchanges.get(&id).map_or(0, |known: &Exchanges| known.count.load(Ordering::Relaxed));
        if let Some((peer, id)) = self.paths.poll_close(now, under_way) {
            let peer_id = libp2p_id(&peer)?;
            tracing::debug!(%peer, connection = %id, "a better connection takes over");
            return Some(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(id) });
        }
        match self.paths.poll_timeout(now) {
            None => self.timer = None,
            Some(at) if self.timer.as_ref().is_none_or(|(set, _)| *set != at) => {
                self.timer = Some((at, Box::pin(platform::sleep(at.since(now)))));
            }
            Some(_) => {}
        }
        if let Some((_, timer)) = &mut self.timer
            && timer.poll_unpin(cx).is_ready()
        {
            self.timer = None;
            cx.waker().wake_by_ref();
        }
        None
    }
}

/// A WebRTC connection is direct, although it was dialled by the address of a circuit.
fn path(endpoint: &ConnectedPoint) -> Path {
    let address = endpoint.get_remote_address();
    if endpoint.is_relayed() && !is_webrtc(address) { Path::Relayed } else { Path::Direct }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = PathChanged;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Libp2pId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, id))
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Libp2pId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, id))
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, endpoint, .. }) => {
                if let Some(peer) = core_id(&peer_id) {
                    let now = platform::now();
                    let path = path(endpoint);
                    self.update(peer, |paths| paths.opened(peer, connection_id, path, endpoint.is_dialer(), now));
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                self.exchanges.remove(&connection_id);
                if let Some(peer) = core_id(&peer_id) {
                    self.update(peer, |paths| paths.closed(peer, connection_id, platform::now()));
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: Libp2pId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<PathChanged, THandlerInEvent<Self>>> {
        loop {
            if let Some(out) = self.out.pop_front() {
                return Poll::Ready(out);
            }
            let Poll::Ready(Some(request)) = self.requests.poll_next_unpin(cx) else { break };
            self.on_request(request);
        }
        match self.poll_paths(cx) {
            Some(out) => Poll::Ready(out),
            None => Poll::Pending,
        }
    }
}
