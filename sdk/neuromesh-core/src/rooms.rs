//! Rooms: peers that share a name, know each other by presence, and stay connected without a server.
//!
//! The members of a room stand on a ring, sorted by a hash of room and peer. Each stays directly connected to the [`EACH_WAY`] next
//! on either side: a room of up to [`NEIGHBOURS`] and one more is fully connected, a larger one is connected as a whole however
//! many join, and whoever leaves is replaced by the next. Of two neighbours the one that stands before the other dials; the other
//! does if that takes too long. Whom presence names a member of a room is signed by itself ([`crate::presence`]); where nodes ask for
//! it, a member also shows a [`Grant`].

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{PeerId, Timestamp, mesh::Path};

mod gate;
mod grant;

use gate::Gate;
pub use gate::MAX_ISSUERS;
pub use grant::{GRANT_BYTES, Grant, GrantError, Granted, TOKEN_CHARS, TOKEN_PREFIX};

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

    /// Reads what is printed: 32 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).ok().map(|()| Self(id))
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

/// Why a peer is not in a room, or not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoomError {
    /// The name is empty or over its bound.
    #[error("a room's name has 1 to {MAX_ROOM_NAME} bytes")]
    Name,
    /// In too many.
    #[error("over the limit of {MAX_ROOMS} rooms; leave one first")]
    TooMany,
    /// Nodes ask for a token, and none was given.
    #[error(
        "a token is needed here to be in a room: have one made for this peer's id on a node that issues them \
         (`neuromesh rooms grant NAME --peer ID`), and join with it"
    )]
    NoGrant,
    /// The token does not hold.
    #[error("the room's token does not hold: {0}")]
    Grant(#[from] GrantError),
}

/// What a peer says of itself; whether that makes it a member is asked of the gate of each room.
#[derive(Clone, Debug, Default)]
struct Member {
    rooms: BTreeSet<RoomId>,
    granted: Vec<Granted>,
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
    /// This peer is not in the room any more.
    Closed(RoomId, RoomError),
    /// A grant of this peer has expired.
    Expired(PeerId),
}

/// The rooms of one peer.
#[derive(Debug)]
pub struct Rooms {
    me: PeerId,
    joined: BTreeMap<RoomId, Gate>,
    /// Whose grants the nodes ask for now.
    asked: BTreeSet<PeerId>,
    members: BTreeMap<PeerId, Member>,
    links: BTreeMap<PeerId, Path>,
    attempts: BTreeMap<PeerId, Attempt>,
    /// Dialled for a room, and since when no room needs it: who dials hangs up.
    kept: BTreeMap<PeerId, Option<Timestamp>>,
    /// Something changed by which neighbours are chosen.
    stale: bool,
    /// Until when grants were looked at.
    looked: Timestamp,
    expired: BTreeSet<PeerId>,
}

impl Rooms {
    /// In no room.
    pub fn new(me: PeerId) -> Self {
        Self {
            me,
            joined: BTreeMap::new(),
            asked: BTreeSet::new(),
            members: BTreeMap::new(),
            links: BTreeMap::new(),
            attempts: BTreeMap::new(),
            kept: BTreeMap::new(),
            stale: false,
            looked: Timestamp::default(),
            expired: BTreeSet::new(),
        }
    }

    /// Joins, or goes on with another grant; without one the grant that it joined with stays.
    ///
    /// # Errors
    /// [`RoomError`]; nothing has changed then.
    pub fn join(&mut self, now: Timestamp, room: RoomId, grant: Option<Grant>) -> Result<(), RoomError> {
        let known = self.joined.get(&room);
        if known.is_none() && self.joined.len() >= MAX_ROOMS {
            return Err(RoomError::TooMany);
        }
        let mut gate = known.cloned().unwrap_or_default();
        gate.ask(&self.asked);
        if let Some(grant) = grant {
            // Whether its issuer counts, the gate knows.
            grant.check(&room, &self.me, &BTreeSet::new(), now)?;
            gate.grant = Some(grant);
        }
        gate.admits_self(now)?;
        self.joined.insert(room, gate);
        self.stale = true;
        Ok(())
    }

    /// Leaves.
    pub fn leave(&mut self, room: &RoomId) {
        self.stale |= self.joined.remove(room).is_some();
    }

    /// The rooms joined.
    pub fn joined(&self) -> impl Iterator<Item = RoomId> {
        self.joined.keys().copied()
    }

    /// The grants by which they were joined.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.joined.values().filter_map(|gate| gate.grant.as_ref())
    }

    /// Whose grants are asked for now, by this peer's own settings or by nodes that it chose to connect to. It counts for the rooms
    /// that are joined as long as they are. Whether that changes who is a member of them.
    pub fn ask(&mut self, issuers: BTreeSet<PeerId>) -> bool {
        let mut changed = false;
        for gate in self.joined.values_mut() {
            changed |= gate.ask(&issuers);
        }
        self.asked = issuers;
        self.stale |= changed;
        changed
    }

    /// What a peer says of itself now, and which of its grants are its own and its issuers'.
    pub fn seen(&mut self, peer: PeerId, rooms: &[RoomId], granted: &[Granted], addresses: &[String]) {
        let rooms: BTreeSet<_> = rooms.iter().copied().collect();
        if peer == self.me || rooms.is_empty() {
            self.gone(&peer);
            return;
        }
        let member = self.members.entry(peer).or_default();
        self.stale |= member.rooms != rooms || member.granted != granted;
        member.rooms = rooms;
        if member.granted != granted {
            member.granted = granted.to_vec();
        }
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

    /// The rooms of this peer that another one is a member of, too.
    pub fn shared(&self, peer: &PeerId, now: Timestamp) -> impl Iterator<Item = RoomId> {
        let member = self.members.get(peer);
        let is_in = move |(room, gate): &(&RoomId, &Gate)| {
            member.is_some_and(|member| member.rooms.contains(room) && gate.admits(room, &member.granted, now))
        };
        self.joined.iter().filter(is_in).map(|(room, _)| *room)
    }

    /// Whether a message of a room may be taken from a peer: from anybody where this peer needs no grant to be in.
    pub fn hears(&self, room: &RoomId, peer: Option<&PeerId>, now: Timestamp) -> bool {
        let open = self.joined.get(room).is_none_or(|gate| !gate.is_closed());
        open || peer.is_some_and(|peer| self.shared(peer, now).any(|shared| shared == *room))
    }

    /// Whether it takes a grant to be in one of the rooms joined.
    pub fn is_gated(&self) -> bool {
        self.joined.values().any(Gate::is_closed)
    }

    /// Who is a member of one of the rooms joined.
    pub fn fellows(&self, now: Timestamp) -> impl Iterator<Item = PeerId> {
        self.members.keys().filter(move |peer| self.shared(peer, now).next().is_some()).copied()
    }

    /// The next thing to do; a connection over which something is under way (`busy`) is not closed yet.
    pub fn poll_output(&mut self, now: Timestamp, busy: impl Fn(&PeerId) -> bool) -> Option<Output> {
        if let Some(output) = self.look(now) {
            return Some(output);
        }
        if std::mem::take(&mut self.stale) {
            self.choose(now);
        }
        let due = self.attempts.iter().filter(|(_, attempt)| attempt.at <= now).map(|(peer, _)| *peer);
        for peer in due.collect::<Vec<_>>() {
            let Some(attempt) = self.attempts.get_mut(&peer) else { continue };
            attempt.at = now + PAUSE.saturating_mul(1 << attempt.dials.min(8)).min(LONGEST_PAUSE);
            let dials = attempt.dials;
            attempt.dials = dials.saturating_add(1);
            if let Some(address) = self.address(&peer, dials) {
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
        let own = self.grants().map(Grant::until);
        attempts.chain(drops).chain(own).chain(self.ends().map(|(_, end)| end)).min()
    }

    /// When grants of others end that may make them members, those that ended already left out.
    fn ends(&self) -> impl Iterator<Item = (PeerId, Timestamp)> {
        let all = self.members.iter().flat_map(|(peer, member)| member.granted.iter().map(move |one| (*peer, one)));
        let counts = |one: &Granted| self.joined.get(&one.room).is_some_and(Gate::is_closed) && one.until > self.looked;
        all.filter(move |(_, one)| counts(one)).map(|(peer, one)| (peer, one.until))
    }

    /// Looks at grants whose time is over.
    fn look(&mut self, now: Timestamp) -> Option<Output> {
        let over = self.joined.iter().find_map(|(room, gate)| Some((*room, gate.admits_self(now).err()?)));
        if let Some((room, error)) = over {
            self.leave(&room);
            return Some(Output::Closed(room, error));
        }
        let expired: Vec<PeerId> = self.ends().filter(|(_, end)| *end <= now).map(|(peer, _)| peer).collect();
        self.stale |= !expired.is_empty();
        self.expired.extend(expired);
        self.looked = self.looked.max(now);
        self.expired.pop_first().map(Output::Expired)
    }

    /// The peers next to this one in a room: those after it, then those before it, the nearest first.
    fn neighbours(&self, room: RoomId, now: Timestamp) -> (Vec<PeerId>, Vec<PeerId>) {
        let gate = &self.joined[&room];
        let is_in = |member: &Member| member.rooms.contains(&room) && gate.admits(&room, &member.granted, now);
        let others = self.members.iter().filter(|(_, member)| is_in(member)).map(|(peer, _)| *peer);
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
        for room in self.joined.keys() {
            let (after, before) = self.neighbours(*room, now);
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

    /// One address, so that one connection is made: by WebRTC through a relay that this peer is connected with, if there is one. The
    /// next time another one of its kind, as not every platform can use every transport of a relay.
    fn address(&self, peer: &PeerId, dials: u32) -> Option<String> {
        let all: Vec<&String> = self.members.get(peer)?.addresses.iter().collect();
        let only = |test: &dyn Fn(&str) -> bool| all.iter().copied().filter(|one| test(one)).collect::<Vec<_>>();
        let direct = |address: &str| address.contains("/p2p-circuit/webrtc/");
        let linked = |address: &str| {
            let relay = address.split("/p2p-circuit").next().and_then(|relay| relay.rsplit("/p2p/").next());
            direct(address) && relay.is_some_and(|relay| self.links.keys().any(|linked| linked.to_string() == relay))
        };
        let best = [only(&linked), only(&direct), all.clone()].into_iter().find(|kind| !kind.is_empty())?;
        Some(best[dials as usize % best.len()].clone())
    }
}

#[cfg(test)]
#[path = "rooms/gate_tests.rs"]
mod gate_tests;
#[cfg(test)]
#[path = "rooms/tests.rs"]
mod tests;
