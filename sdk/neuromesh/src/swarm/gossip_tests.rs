use std::task::Waker;

use libp2p::swarm::FromSwarm;

use super::*;

/// gossipsub among peers that are connected by name alone.
struct Bench {
    gossip: Gossip,
    connections: BTreeMap<PeerId, (ConnectionId, ConnectedPoint)>,
    next: usize,
}

impl Bench {
    fn new() -> Self {
        let inner = gossipsub::Behaviour::new(
            gossipsub::MessageAuthenticity::Author(PeerId::random()),
            gossipsub::ConfigBuilder::default()
                .validation_mode(gossipsub::ValidationMode::Permissive)
                .build()
                .expect("a valid configuration"),
        );
        Self { gossip: Gossip::new(inner.expect("a behaviour")), connections: BTreeMap::new(), next: 0 }
    }

    /// Connects with a peer under an address.
    fn connect(&mut self, peer: PeerId, address: &str) {
        let id = ConnectionId::new_unchecked(self.next);
        self.next += 1;
        let address: Multiaddr = address.parse().expect("an address");
        let (role, port_use) = (Endpoint::Dialer, PortUse::Reuse);
        let handler = self.gossip.handle_established_outbound_connection(id, peer, &address, role, port_use);
        handler.expect("a handler");
        let endpoint = ConnectedPoint::Dialer { address, role_override: role, port_use };
        self.gossip.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: id,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: usize::from(self.connections.contains_key(&peer)),
        }));
        self.connections.insert(peer, (id, endpoint));
    }

    fn disconnect(&mut self, peer: PeerId) {
        let (connection_id, endpoint) = self.connections.remove(&peer).expect("a connection");
        self.gossip.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id: peer,
            connection_id,
            endpoint: &endpoint,
            cause: None,
            remaining_established: 0,
        }));
    }

    /// With whom gossipsub believes to be connected.
    fn known(&self) -> BTreeSet<PeerId> {
        self.gossip.inner.all_peers().map(|(peer, _)| *peer).collect()
    }

    /// The connections that are to be closed.
    fn closed(&mut self) -> BTreeSet<PeerId> {
        let mut closed = BTreeSet::new();
        while let Poll::Ready(event) = self.gossip.poll(&mut Context::from_waker(Waker::noop())) {
            if let ToSwarm::CloseConnection { peer_id, .. } = event {
                closed.insert(peer_id);
            }
        }
        closed
    }
}

const ADDRESS: &str = "/ip4/192.0.2.1/tcp/1";

fn peers<const N: usize>() -> [PeerId; N] {
    std::array::from_fn(|_| PeerId::random())
}

#[test]
fn whoever_is_no_member_any_more_is_forgotten_and_may_come_back() {
    let (mut bench, [member, other]) = (Bench::new(), peers());
    bench.connect(member, ADDRESS);
    bench.connect(other, ADDRESS);
    assert_eq!(bench.known(), BTreeSet::from([member, other]), "with everybody, as long as nothing is limited");

    bench.gossip.limit(Some(BTreeSet::from([member])));
    assert_eq!(bench.known(), BTreeSet::from([member]));
    assert_eq!(bench.closed(), BTreeSet::new(), "it stays connected for everything else");
    bench.gossip.limit(Some(BTreeSet::from([member])));
    assert_eq!(bench.known(), BTreeSet::from([member]));

    bench.gossip.limit(Some(BTreeSet::from([member, other])));
    assert_eq!(bench.closed(), BTreeSet::from([other]), "what it said is forgotten: it has to say it again");
    bench.disconnect(other);
    bench.connect(other, ADDRESS);
    assert_eq!(bench.known(), BTreeSet::from([member, other]));
}

#[test]
fn who_is_not_known_as_a_member_yet_is_held_back_and_then_heard() {
    let (mut bench, [early, stranger]) = (Bench::new(), peers());
    bench.gossip.limit(Some(BTreeSet::new()));
    bench.connect(early, ADDRESS);
    bench.connect(stranger, ADDRESS);
    assert_eq!(bench.gossip.held.keys().copied().collect::<BTreeSet<_>>(), BTreeSet::from([early, stranger]));
    bench.gossip.limit(Some(BTreeSet::from([early])));
    assert_eq!(bench.gossip.held.keys().copied().collect::<BTreeSet<_>>(), BTreeSet::from([stranger]));
    assert_eq!(bench.closed(), BTreeSet::new(), "nothing of it was lost");
    bench.disconnect(stranger);
    assert!(bench.gossip.held.is_empty());
    assert_eq!(bench.known(), BTreeSet::from([early]));
}

#[test]
fn strangers_are_held_back_up_to_a_bound() {
    let (mut bench, all) = (Bench::new(), peers::<{ MAX_HELD_PEERS + 10 }>());
    bench.gossip.limit(Some(BTreeSet::new()));
    for peer in all {
        bench.connect(peer, ADDRESS);
    }
    assert_eq!(bench.gossip.held.len(), MAX_HELD_PEERS);
    assert_eq!(bench.known().len(), MAX_HELD_PEERS);
    bench.gossip.limit(None);
    assert_eq!(bench.closed(), all[MAX_HELD_PEERS..].iter().copied().collect(), "these begin anew");
    for peer in all {
        bench.disconnect(peer);
    }
    assert_eq!((bench.gossip.cut.len(), bench.gossip.held.len(), bench.gossip.links.len()), (0, 0, 0));
}

#[test]
fn gossip_goes_over_a_direct_connection_where_there_is_one() {
    let (mut bench, [peer]) = (Bench::new(), peers());
    let relay = PeerId::random();
    bench.connect(peer, &format!("/ip4/192.0.2.2/tcp/2/p2p/{relay}/p2p-circuit"));
    let circuit = bench.gossip.links[&peer][0].id;
    bench.connect(peer, ADDRESS);
    let links = &bench.gossip.links[&peer];
    assert_eq!((links.len(), links[0].id == circuit), (1, false));
    assert_eq!(bench.known(), BTreeSet::from([peer]));
}
