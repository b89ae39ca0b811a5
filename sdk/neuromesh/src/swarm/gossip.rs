//! Gossip over the best kind of connection only.
//!
//! gossipsub says which topics it listens on once, to the first connection with a peer, and hands what it sends to whichever connection
//! asks first. A circuit that is given up for a direct path takes both along. So gossipsub is told of a direct connection as if the
//! peer had come anew: it says its topics again, there. A circuit that outlives the direct connection carries no gossip.
//!
//! While this peer is in a room that takes a token, gossip is for members and chosen nodes alone: of the others gossipsub hears nothing,
//! so that it sends them no message. What one says before it is known as a member is held back and heard then, as presence may come
//! later than a connection. With one that had been heard and is no member any more, gossip begins again with the next connection.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    task::{Context, Poll},
};

use either::Either;
use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    gossipsub,
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
        behaviour::{ConnectionClosed, ConnectionEstablished},
        dummy,
    },
};

use crate::rtc::is_circuit;

#[cfg(test)]
#[path = "gossip_tests.rs"]
mod tests;

/// Peers of which something is held back at a time; further ones are not heard.
const MAX_HELD_PEERS: usize = 64;
/// What is held back of each: what it is, its topics, what it wants of a few of them.
const MAX_HELD_EVENTS: usize = 8;

struct Link {
    id: ConnectionId,
    endpoint: ConnectedPoint,
}

/// gossipsub, and the connections that it knows of.
pub(super) struct Gossip {
    pub(super) inner: gossipsub::Behaviour,
    links: BTreeMap<PeerId, Vec<Link>>,
    /// With whom alone to gossip; with everybody, where it is none.
    only: Option<BTreeSet<PeerId>>,
    /// What those have said who are known to gossipsub and not to be heard yet.
    held: BTreeMap<PeerId, Vec<(ConnectionId, THandlerOutEvent<gossipsub::Behaviour>)>>,
    /// Those that gossipsub has forgotten while they are connected.
    cut: BTreeSet<PeerId>,
    /// Connections to close, so that gossip begins anew.
    closing: VecDeque<PeerId>,
}

fn is_relayed(endpoint: &ConnectedPoint) -> bool {
    match endpoint {
        ConnectedPoint::Dialer { address, .. } => is_circuit(address),
        ConnectedPoint::Listener { local_addr, .. } => is_circuit(local_addr),
    }
}

impl Gossip {
    pub(super) fn new(inner: gossipsub::Behaviour) -> Self {
        Self {
            inner,
            links: BTreeMap::new(),
            only: None,
            held: BTreeMap::new(),
            cut: BTreeSet::new(),
            closing: VecDeque::new(),
        }
    }

    /// Gossips with these peers alone from now on, or with everybody.
    pub(super) fn limit(&mut self, only: Option<BTreeSet<PeerId>>) {
        self.only = only;
        for peer in self.links.keys().copied().collect::<Vec<_>>() {
            match (self.is_for(&peer), self.held.remove(&peer)) {
                (true, Some(events)) => {
                    for (id, event) in events {
                        self.inner.on_connection_handler_event(peer, id, event);
                    }
                }
                (false, Some(events)) => {
                    self.held.insert(peer, events);
                }
                (false, None) => self.cut(peer),
                (true, None) => {}
            }
        }
        let back: Vec<PeerId> = self.cut.iter().filter(|peer| self.is_for(peer)).copied().collect();
        self.closing.extend(back);
    }

    fn is_for(&self, peer: &PeerId) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(peer))
    }

    /// Makes gossipsub forget a peer.
    fn cut(&mut self, peer: PeerId) {
        self.held.remove(&peer);
        let links = self.links.remove(&peer).unwrap_or_default();
        let count = links.len();
        for (index, link) in links.into_iter().enumerate() {
            self.forget(peer, &link, count - index - 1);
        }
        self.cut.insert(peer);
    }

    fn forget(&mut self, peer: PeerId, link: &Link, remaining: usize) {
        self.inner.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id: peer,
            connection_id: link.id,
            endpoint: &link.endpoint,
            cause: None,
            remaining_established: remaining,
        }));
    }

    /// Whether gossipsub is to know of this connection; if so, it forgets those that are worse.
    fn admit(&mut self, peer: PeerId, id: ConnectionId, endpoint: ConnectedPoint) -> bool {
        if self.cut.contains(&peer) {
            return false;
        }
        if !self.is_for(&peer) && !self.held.contains_key(&peer) {
            if self.held.len() >= MAX_HELD_PEERS {
                self.cut.insert(peer);
                return false;
            }
            self.held.insert(peer, Vec::new());
        }
        let links = self.links.entry(peer).or_default();
        if is_relayed(&endpoint) && links.iter().any(|link| !is_relayed(&link.endpoint)) {
            return false;
        }
        let better = !is_relayed(&endpoint);
        let (circuits, mut kept): (Vec<_>, Vec<_>) =
            std::mem::take(links).into_iter().partition(|link| better && is_relayed(&link.endpoint));
        let remaining = circuits.len() + kept.len();
        for (index, circuit) in circuits.into_iter().enumerate() {
            self.forget(peer, &circuit, remaining - index - 1);
        }
        kept.push(Link { id, endpoint });
        self.links.insert(peer, kept);
        true
    }
}

impl NetworkBehaviour for Gossip {
    type ConnectionHandler = Either<THandler<gossipsub::Behaviour>, dummy::ConnectionHandler>;
    type ToSwarm = gossipsub::Event;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let endpoint = ConnectedPoint::Listener { local_addr: local.clone(), send_back_addr: remote.clone() };
        if !self.admit(peer, id, endpoint) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.inner.handle_established_inbound_connection(id, peer, local, remote).map(Either::Left)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role_override: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let endpoint = ConnectedPoint::Dialer { address: address.clone(), role_override, port_use };
        if !self.admit(peer, id, endpoint) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.inner.handle_established_outbound_connection(id, peer, address, role_override, port_use).map(Either::Left)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                let links = self.links.get(&established.peer_id).map(Vec::as_slice).unwrap_or_default();
                if links.iter().any(|link| link.id == established.connection_id) {
                    let other_established = links.len() - 1;
                    self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
                        other_established,
                        ..established
                    }));
                }
            }
            FromSwarm::ConnectionClosed(closed) => {
                if closed.remaining_established == 0 {
                    self.cut.remove(&closed.peer_id);
                    self.held.remove(&closed.peer_id);
                }
                let Some(links) = self.links.get_mut(&closed.peer_id) else { return };
                let Some(place) = links.iter().position(|link| link.id == closed.connection_id) else { return };
                links.remove(place);
                let remaining_established = links.len();
                if links.is_empty() {
                    self.links.remove(&closed.peer_id);
                }
                self.inner
                    .on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed { remaining_established, ..closed }));
            }
            event => self.inner.on_swarm_event(event),
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            // Of a connection that gossipsub was told of, and then not any more.
            Either::Left(_) if self.cut.contains(&peer) => {}
            Either::Left(event) => match self.held.get_mut(&peer) {
                None => self.inner.on_connection_handler_event(peer, id, event),
                Some(held) if held.len() < MAX_HELD_EVENTS => held.push((id, event)),
                Some(_) => self.cut(peer),
            },
            Either::Right(never) => match never {},
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<gossipsub::Event, THandlerInEvent<Self>>> {
        if let Some(peer_id) = self.closing.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::All });
        }
        self.inner.poll(cx).map(|event| event.map_in(Either::Left))
    }
}
