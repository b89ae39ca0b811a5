//! Rooms: peers that share a name, know each other by presence, and stay connected without a server.
//!
//! The members of a room stand on a ring, sorted by a hash of room and peer. Each stays directly connected to the [`EACH_WAY`] next
//! on either side: a room of up to [`NEIGHBOURS`] and one more is fully connected, a larger one is connected as a whole however
//! many join, and whoever leaves is replaced by the next. Of two neighbours the one that stands before the other dials; the other
//! does if that takes too long. Whom presence names a member of a room is signed by itself ([`crate::presence`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{PeerId, Timestamp, mesh::Path};

/// Neighbours on each side of the ring.
pub const EACH_WAY: usize = 3;
/// The most neighbours in a room.
pub const NEIGHBOURS: usize = 2 * EACH_WAY;
/// The most rooms that a peer is in.
pub const MAX_ROOMS: usize = 8;
/// The longest name of a room, in bytes.
pub const MAX_ROOM_NAME: usize = 128;

/// Before a peer is dialled that should dial this one, where both could.
const POLITENESS: Duration = Duration::from_secs(4);
/// Before a peer is dialled that alone should dial this one.
const PATIENCE: Duration = Duration::from_secs(8);
/// After a dial, doubling up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a connection stands that no room needs any more.
const AFTERGLOW: Duration = Duration::from_secs(30);

/// A room, as peers name it to each other: the first half of the BLAKE3 digest of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoomId([u8; 16]);

impl RoomId {
    /// Of the room with this name.
    pub fn of(name: &str) -> Self {
        let digest = blake3::derive_key("neuromesh room 1", name.as_bytes());
        Self(digest[..16].try_into().expect("half of a digest"))
    }

    /// Where a peer stands on the ring.
    fn place(&self, peer: &PeerId) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("neuromesh ring 1");
        hasher.update(&self.0).update(&peer.to_multihash());
        *hasher.finalize().as_bytes()
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[derive(Clone, Debug, Default)]
struct Member {
    rooms: BTreeSet<RoomId>,
    addresses: Vec<String>,
}

/// A neighbour that is not directly connected.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    at: Timestamp,
    dials: u32,
}

/// What must be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect directly to this peer, under this address.
    Dial(PeerId, String),
    /// Close the connection with this peer, which no room needs any more.
    Drop(PeerId),
}

/// The rooms of one peer.
#[derive(Debug)]
pub struct Rooms {
    me: PeerId,
    joined: BTreeSet<RoomId>,
    members: BTreeMap<PeerId, Member>,
    links: BTreeMap<PeerId, Path>,
    attempts: BTreeMap<PeerId, Attempt>,
    /// Dialled for a room, and since when no room needs it: who dials hangs up.
    kept: BTreeMap<PeerId, Option<Timestamp>>,
    /// Something changed by which neighbours are chosen.
    stale: bool,
}

impl Rooms {
    /// In no room.
    pub fn new(me: PeerId) -> Self {
        Self {
            me,
            joined: BTreeSet::new(),
            members: BTreeMap::new(),
            links: BTreeMap::new(),
            attempts: BTreeMap::new(),
            kept: BTreeMap::new(),
            stale: false,
        }
    }

    /// Joins. False when it is in [`MAX_ROOMS`] already.
    pub fn join(&mut self, room: RoomId) -> bool {
        let fits = self.joined.len() < MAX_ROOMS || self.joined.contains(&room);
        if fits {
            self.stale |= self.joined.insert(room);
        }
        fits
    }

    /// Leaves.
    pub fn leave(&mut self, room: &RoomId) {
        self.stale |= self.joined.remove(room);
    }

    /// The rooms joined.
    pub fn joined(&self) -> impl Iterator<Item = RoomId> {
        self.joined.iter().copied()
    }

    /// What a peer says of itself now.
    pub fn seen(&mut self, peer: PeerId, rooms: &[RoomId], addresses: &[String]) {
        let rooms: BTreeSet<_> = rooms.iter().copied().collect();
        if peer == self.me || rooms.is_empty() {
            self.gone(&peer);
            return;
        }
        let member = self.members.entry(peer).or_default();
        self.stale |= member.rooms != rooms;
        member.rooms = rooms;
        if member.addresses != addresses {
            member.addresses = addresses.to_vec();
        }
    }

    /// A peer is not heard of any more.
    pub fn gone(&mut self, peer: &PeerId) {
        self.stale |= self.members.remove(peer).is_some();
    }

    /// How a peer is connected now, if it is.
    pub fn linked(&mut self, peer: PeerId, path: Option<Path>) {
        let before = match path {
            Some(path) => self.links.insert(peer, path),
            None => self.links.remove(&peer),
        };
        self.stale |= before != path;
    }

    /// Whether a peer is in one of the rooms that this peer is in.
    pub fn shares(&self, peer: &PeerId) -> bool {
        self.members.get(peer).is_some_and(|member| !member.rooms.is_disjoint(&self.joined))
    }

    /// The next thing to do; a connection over which something is under way (`busy`) is not closed yet.
    pub fn poll_output(&mut self, now: Timestamp, busy: impl Fn(&PeerId) -> bool) -> Option<Output> {
        if std::mem::take(&mut self.stale) {
            self.choose(now);
        }
        let due = self.attempts.iter().filter(|(_, attempt)| attempt.at <= now).map(|(peer, _)| *peer);
        for peer in due.collect::<Vec<_>>() {
            let Some(attempt) = self.attempts.get_mut(&peer) else { continue };
            attempt.at = now + PAUSE.saturating_mul(1 << attempt.dials.min(8)).min(LONGEST_PAUSE);
            attempt.dials = attempt.dials.saturating_add(1);
            if let Some(address) = self.address(&peer) {
                self.kept.insert(peer, None);
                return Some(Output::Dial(peer, address));
            }
        }
        let due = |since: &Timestamp| now.since(*since) >= AFTERGLOW;
        for since in self.kept.iter_mut().filter(|(peer, _)| busy(peer)).filter_map(|(_, since)| since.as_mut()) {
            if due(since) {
                *since = now;
            }
        }
        let unneeded = self.kept.iter().find(|(_, since)| since.as_ref().is_some_and(due));
        let peer = *unneeded?.0;
        self.kept.remove(&peer);
        Some(Output::Drop(peer))
    }

    /// When to call [`Rooms::poll_output`] again, unless something happens first.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let attempts = self.attempts.values().map(|attempt| attempt.at);
        let drops = self.kept.values().flatten().map(|since| *since + AFTERGLOW);
        attempts.chain(drops).min()
    }

    /// The peers next to this one in a room: those after it, then those before it, the nearest first.
    fn neighbours(&self, room: RoomId) -> (Vec<PeerId>, Vec<PeerId>) {
        let others = self.members.iter().filter(|(_, member)| member.rooms.contains(&room)).map(|(peer, _)| *peer);
        let mut ring: Vec<_> = others.chain([self.me]).map(|peer| (room.place(&peer), peer)).collect();
        ring.sort_unstable();
        let mine = ring.iter().position(|(_, peer)| *peer == self.me).expect("on the ring itself");
        let at = |step: usize| ring[(mine + step) % ring.len()].1;
        let reach = EACH_WAY.min(ring.len() - 1);
        ((1..=reach).map(at).collect(), (1..=reach).map(|step| at(ring.len() - step)).collect())
    }

    /// Whom to be connected with, and when to dial whom.
    fn choose(&mut self, now: Timestamp) {
        let mut wanted = BTreeMap::new();
        for room in &self.joined {
            let (after, before) = self.neighbours(*room);
            for peer in after.iter().chain(&before) {
                let wait = match (after.contains(peer), before.contains(peer)) {
                    (true, true) if self.me > *peer => POLITENESS,
                    (true, _) => Duration::ZERO,
                    (false, _) => PATIENCE,
                };
                let known = wanted.entry(*peer).or_insert(wait);
                *known = wait.min(*known);
            }
        }
        let direct = |peer: &PeerId| self.links.get(peer) == Some(&Path::Direct);
        self.attempts.retain(|peer, _| wanted.contains_key(peer) && !direct(peer));
        for (peer, since) in &mut self.kept {
            *since = if wanted.contains_key(peer) { None } else { since.or(Some(now)) };
        }
        for (peer, wait) in wanted {
            if !direct(&peer) {
                self.attempts.entry(peer).or_insert(Attempt { at: now + wait, dials: 0 });
            }
        }
    }

    /// One address, so that one connection is made: by WebRTC through a relay that this peer is connected with, if there is one.
    fn address(&self, peer: &PeerId) -> Option<String> {
        let addresses = &self.members.get(peer)?.addresses;
        let direct = || addresses.iter().filter(|address| address.contains("/p2p-circuit/webrtc/"));
        let linked = |address: &&String| {
            let relay = address.split("/p2p-circuit").next().and_then(|relay| relay.rsplit("/p2p/").next());
            relay.is_some_and(|relay| self.links.keys().any(|linked| linked.to_string() == relay))
        };
        direct().find(linked).or_else(|| direct().next()).or_else(|| addresses.first()).cloned()
    }
}

#[cfg(test)]
#[path = "rooms/tests.rs"]
mod tests;
