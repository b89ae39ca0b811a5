//! Which of the connections with a peer to use, and which to close.
//!
//! Two peers may be connected several times: through a relay and directly, or directly twice, when both dialled at the same time.
//! New streams go over the best connection ([`Paths::preferred`]); a worse one is closed once no stream is open on it, so that no
//! request is lost by the upgrade. Of two equals both sides must keep the same one: it is the one that the peer with the smaller
//! id dialled, and that peer alone closes the other.

use std::{collections::BTreeMap, time::Duration};

use crate::{PeerId, Timestamp, mesh::Path};

/// A worse connection lives at least so long beside a better one: streams that the other side is just opening arrive.
pub const GRACE: Duration = Duration::from_secs(2);
/// A worse connection is closed after this time, open streams or not: a circuit costs its relay.
pub const LONGEST_OVERLAP: Duration = Duration::from_secs(120);

#[derive(Debug)]
struct Connection {
    path: Path,
    we_dialed: bool,
    /// Since when a better one is there.
    worse_since: Option<Timestamp>,
    closing: bool,
}

/// The connections of all peers; `C` is the driver's name for one, larger for a newer one.
#[derive(Debug)]
pub struct Paths<C> {
    local: PeerId,
    peers: BTreeMap<PeerId, BTreeMap<C, Connection>>,
}

impl<C: Copy + Ord> Paths<C> {
    /// Without connections; `local` is this peer.
    pub fn new(local: PeerId) -> Self {
        Self { local, peers: BTreeMap::new() }
    }

    /// A connection is up.
    pub fn opened(&mut self, peer: PeerId, id: C, path: Path, we_dialed: bool, now: Timestamp) {
        let connection = Connection { path, we_dialed, worse_since: None, closing: false };
        self.peers.entry(peer).or_default().insert(id, connection);
        self.rank(&peer, now);
    }

    /// A connection is gone.
    pub fn closed(&mut self, peer: PeerId, id: C, now: Timestamp) {
        if let Some(connections) = self.peers.get_mut(&peer) {
            connections.remove(&id);
            if connections.is_empty() {
                self.peers.remove(&peer);
            }
        }
        self.rank(&peer, now);
    }

    /// The connection that new streams should use.
    pub fn preferred(&self, peer: &PeerId) -> Option<C> {
        self.peers
            .get(peer)?
            .iter()
            .max_by_key(|(id, connection)| self.rank_of(peer, **id, connection))
            .map(|(id, _)| *id)
    }

    /// How the peer is reached at best.
    pub fn path(&self, peer: &PeerId) -> Option<Path> {
        self.peers.get(peer)?.values().map(|connection| connection.path).max()
    }

    /// The next connection to close; each is named once. `streams` tells how many are open on one that must not be cut off.
    pub fn poll_close(&mut self, now: Timestamp, streams: impl Fn(C) -> usize) -> Option<(PeerId, C)> {
        let due = self.worse().find(|(_, id, since)| {
            let age = now.since(*since);
            age >= LONGEST_OVERLAP || (age >= GRACE && streams(*id) == 0)
        });
        let (peer, id, _) = due?;
        self.peers.get_mut(&peer)?.get_mut(&id)?.closing = true;
        Some((peer, id))
    }

    /// When to call [`Paths::poll_close`] again; also when a stream of one of [`Paths::is_worse`] ends.
    pub fn poll_timeout(&self, now: Timestamp) -> Option<Timestamp> {
        let times = self.worse().flat_map(|(_, _, since)| [since + GRACE, since + LONGEST_OVERLAP]);
        times.filter(|at| *at > now).min()
    }

    /// Whether a better connection stands beside this one.
    pub fn is_worse(&self, peer: &PeerId, id: C) -> bool {
        self.peers
            .get(peer)
            .and_then(|connections| connections.get(&id))
            .is_some_and(|known| known.worse_since.is_some())
    }

    /// What this side has to close, and since when.
    fn worse(&self) -> impl Iterator<Item = (PeerId, C, Timestamp)> {
        self.peers.iter().flat_map(move |(peer, connections)| {
            let best = self.path(peer);
            connections.iter().filter_map(move |(id, connection)| {
                // Of two equals one side decides, or each might close what the other keeps.
                let mine = Some(connection.path) != best || self.local < *peer;
                let since = connection.worse_since.filter(|_| mine && !connection.closing)?;
                Some((*peer, *id, since))
            })
        })
    }

    /// The better the larger; the same on both sides, as long as both see the same connections. Of several that the same side
    /// dialled the newest counts: the side that dials again knows why.
    fn rank_of(&self, peer: &PeerId, id: C, connection: &Connection) -> (Path, bool, C) {
        (connection.path, connection.we_dialed == (self.local < *peer), id)
    }

    fn rank(&mut self, peer: &PeerId, now: Timestamp) {
        let Some(best) = self.preferred(peer) else { return };
        for (id, connection) in self.peers.get_mut(peer).into_iter().flatten() {
            connection.worse_since = (*id != best).then(|| connection.worse_since.unwrap_or(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: PeerId = PeerId::from_public_key([1; 32]);
    const LARGE: PeerId = PeerId::from_public_key([2; 32]);

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_direct_path_takes_over_once_the_circuit_is_quiet() {
        let mut paths = Paths::new(LARGE);
        paths.opened(SMALL, 1, Path::Relayed, true, at(0));
        assert_eq!((paths.path(&SMALL), paths.poll_timeout(at(0))), (Some(Path::Relayed), None));
        paths.opened(SMALL, 2, Path::Direct, true, at(100));
        assert_eq!((paths.preferred(&SMALL), paths.path(&SMALL)), (Some(2), Some(Path::Direct)));
        assert_eq!(paths.poll_close(at(2_099), |_| 0), None);
        assert_eq!(paths.poll_timeout(at(2_000)), Some(at(2_100)));
        assert_eq!(paths.poll_close(at(10_000), |_| 1), None, "a request is under way on it");
        assert_eq!(paths.poll_timeout(at(10_000)), Some(at(120_100)));
        assert!(paths.is_worse(&SMALL, 1) && !paths.is_worse(&SMALL, 2));
        assert_eq!(paths.poll_close(at(10_000), |_| 0), Some((SMALL, 1)));
        assert_eq!(paths.poll_close(at(10_000), |_| 0), None, "named once");
        paths.closed(SMALL, 1, at(10_100));
        assert_eq!((paths.preferred(&SMALL), paths.poll_timeout(at(10_100))), (Some(2), None));
    }

    #[test]
    fn a_circuit_does_not_live_for_ever() {
        let mut paths = Paths::new(LARGE);
        paths.opened(SMALL, 1, Path::Relayed, false, at(0));
        paths.opened(SMALL, 2, Path::Direct, false, at(0));
        assert_eq!(paths.poll_close(at(119_999), |_| 1), None);
        assert_eq!(paths.poll_close(at(120_000), |_| 1), Some((SMALL, 1)));
    }

    #[test]
    fn the_circuit_stays_when_the_direct_path_breaks_first() {
        let mut paths = Paths::new(LARGE);
        paths.opened(SMALL, 1, Path::Relayed, true, at(0));
        paths.opened(SMALL, 2, Path::Direct, true, at(0));
        paths.closed(SMALL, 2, at(1_000));
        assert_eq!(paths.poll_close(at(60_000), |_| 0), None);
        assert_eq!(paths.preferred(&SMALL), Some(1));
    }

    #[test]
    fn a_simultaneous_dial_keeps_one_and_both_sides_the_same() {
        for order in [[0, 1], [1, 0]] {
            let (mut small, mut large) = (Paths::new(SMALL), Paths::new(LARGE));
            // Connection 10 was dialled by the smaller peer, 11 by the larger.
            let connections = [(10, true), (11, false)];
            for index in order {
                let (id, by_small) = connections[index];
                small.opened(LARGE, id, Path::Direct, by_small, at(0));
                large.opened(SMALL, id, Path::Direct, !by_small, at(0));
            }
            assert_eq!((small.preferred(&LARGE), large.preferred(&SMALL)), (Some(10), Some(10)));
            assert_eq!(large.poll_close(at(500_000), |_| 0), None, "one side decides");
            assert_eq!(large.poll_timeout(at(0)), None);
            assert_eq!(small.poll_close(at(2_000), |_| 0), Some((LARGE, 11)));
        }
    }

    #[test]
    fn unknown_connections_are_no_matter() {
        let mut paths = Paths::<u64>::new(SMALL);
        paths.closed(LARGE, 7, at(0));
        assert_eq!((paths.preferred(&LARGE), paths.path(&LARGE), paths.poll_timeout(at(0))), (None, None, None));
    }
}
