//! Gossip over the best kind of connection only.
//!
//! gossipsub says which topics it listens on once, to the first connection with a peer, and hands what it sends to whichever connection
//! asks first. A circuit that is given up for a direct path takes both along. So gossipsub is told of a direct connection as if the
//! peer had come anew: it says its topics again, there. A circuit that outlives the direct connection carries no gossip.

use std::{
    collections::HashMap,
    task::{Context, Poll},
};

use either::Either;
use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    gossipsub,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm,
        behaviour::{ConnectionClosed, ConnectionEstablished},
        dummy,
    },
};

use crate::rtc::is_circuit;

struct Link {
    id: ConnectionId,
    endpoint: ConnectedPoint,
}

/// gossipsub, and the connections that it knows of.
pub(super) struct Gossip {
    pub(super) inner: gossipsub::Behaviour,
    links: HashMap<PeerId, Vec<Link>>,
}

fn is_relayed(endpoint: &ConnectedPoint) -> bool {
    match endpoint {
        ConnectedPoint::Dialer { address, .. } => is_circuit(address),
        ConnectedPoint::Listener { local_addr, .. } => is_circuit(local_addr),
    }
}

impl Gossip {
    pub(super) fn new(inner: gossipsub::Behaviour) -> Self {
        Self { inner, links: HashMap::new() }
    }

    /// Whether gossipsub is to know of this connection; if so, it forgets those that are worse.
    fn admit(&mut self, peer: PeerId, id: ConnectionId, endpoint: ConnectedPoint) -> bool {
        let links = self.links.entry(peer).or_default();
        if is_relayed(&endpoint) && links.iter().any(|link| !is_relayed(&link.endpoint)) {
            return false;
        }
        let better = !is_relayed(&endpoint);
        let (circuits, mut kept): (Vec<_>, Vec<_>) =
            std::mem::take(links).into_iter().partition(|link| better && is_relayed(&link.endpoint));
        let remaining = circuits.len() + kept.len();
        for (index, circuit) in circuits.into_iter().enumerate() {
            self.inner.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id: peer,
                connection_id: circuit.id,
                endpoint: &circuit.endpoint,
                cause: None,
                remaining_established: remaining - index - 1,
            }));
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
            Either::Left(event) => self.inner.on_connection_handler_event(peer, id, event),
            Either::Right(never) => match never {},
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<gossipsub::Event, THandlerInEvent<Self>>> {
        self.inner.poll(cx).map(|event| event.map_in(Either::Left))
    }
}
