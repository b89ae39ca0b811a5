//! Who is there and what they offer: signed, versioned key-values per node, spread by anti-entropy.
//!
//! Every node writes one [`Record`] about itself and signs it, so that anybody may relay it and nobody can forge it.
//! Connected peers compare what they have and exchange what differs; all frames are best effort, idempotent, and may
//! come late, twice or never:
//!
//! ```text
//!   A ── Root(hash of all versions) ──▶ B        equal: silence
//!   A ◀─────────── Digest(versions) ─── B
//!   A ── Delta(what B lacks, wants) ──▶ B
//!   A ◀────── Delta(what A wanted) ──── B
//! ```
//!
//! A record is newer by (generation, version): a restarted node has a higher generation. A node that is not heard of
//! for [`Timing::expiry`] is gone; its last version is remembered for a while, so that old news do not revive it. A
//! directly connected peer stays while the connection stands, however rarely a throttled tab speaks.
//!
//! A node that asks for grants ([`Profile::issuers`]) keeps to itself whoever claims to be in a room without one: it knows that node,
//! and tells nobody of it. A record is signed as a whole, so it is passed on whole or not at all. In comparisons such a node is named
//! only to itself and to whoever told of it last, as others would ask for it in vain.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use ed25519_dalek::SigningKey;
use rand::{Rng, SeedableRng, seq::IteratorRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    PeerId, Timestamp,
    rooms::{Granted, RoomId},
};

mod frame;
mod profile;
mod record;
#[cfg(test)]
mod tests;

use frame::{Frame, Seen};
pub use profile::{MAX_ADDRESSES, MAX_OFFERS, MAX_TIMES, Offer, Profile};
pub use record::{MAX_KEY_BYTES, MAX_KEYS, MAX_RECORD_BYTES, MAX_VALUE_BYTES, Record, RecordError, Version};

/// The most nodes remembered, this one included.
pub const MAX_NODES: usize = 1024;
/// The most records asked for in one frame, so that room is left for records.
const MAX_WANTS: usize = MAX_NODES / 2;
/// The most outputs waiting to be polled; frames beyond are dropped, as a lossy network would.
pub const MAX_PENDING_FRAMES: usize = 4096;

/// Intervals of [`Presence`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two comparisons with random neighbours.
    pub gossip: Duration,
    /// How many neighbours each time.
    pub fanout: usize,
    /// After this long without a change a node says that it lives.
    pub heartbeat: Duration,
    /// Changes are gathered this long before they are published.
    pub settle: Duration,
    /// A node not heard of for this long is gone.
    pub expiry: Duration,
    /// The same after a connection to it closed; longer than `heartbeat`, as others may still reach it.
    pub linger: Duration,
    /// How long the version of a gone node is remembered.
    pub memory: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            gossip: Duration::from_secs(1),
            fanout: 2,
            heartbeat: Duration::from_secs(5),
            settle: Duration::from_millis(200),
            expiry: Duration::from_secs(16),
            linger: Duration::from_secs(6),
            memory: Duration::from_secs(160),
        }
    }
}

/// What the driver tells [`Presence`].
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A connection stands.
    Connected(PeerId),
    /// The last connection is gone.
    Disconnected(PeerId),
    /// A frame came from a connected peer.
    Frame {
        /// Who sent it (not necessarily who wrote what it carries).
        peer: PeerId,
        /// At most [`MAX_PRESENCE_BYTES`](crate::wire::MAX_PRESENCE_BYTES).
        bytes: Vec<u8>,
    },
    /// What this node now says of itself.
    Profile(Profile),
    /// Time passed.
    Tick,
}

/// What [`Presence`] wants or noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a frame, best effort.
    Send {
        /// A connected peer.
        peer: PeerId,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// A node is new, or back.
    Up(PeerId),
    /// A node's profile changed.
    Changed(PeerId),
    /// A node is gone.
    Down(PeerId),
    /// A frame was dropped.
    Rejected {
        /// Who sent it.
        peer: PeerId,
        /// Why.
        error: RecordError,
    },
}

/// The machine. Feed it connections and frames, send what it says.
#[derive(Debug)]
pub struct Presence {
    key: SigningKey,
    me: PeerId,
    timing: Timing,
    rng: ChaCha8Rng,
    own: Record,
    profile: Profile,
    /// When the own record changed last, or was confirmed.
    spoke: Timestamp,
    /// When gathered changes of the own profile go out.
    publish_at: Option<Timestamp>,
    gossip_at: Timestamp,
    connected: BTreeSet<PeerId>,
    nodes: BTreeMap<PeerId, Node>,
    gone: BTreeMap<PeerId, Gone>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Node {
    record: Record,
    profile: Profile,
    /// Its grants that are its own and their issuers'.
    granted: Vec<Granted>,
    /// Who told of it last.
    from: PeerId,
    expires: Timestamp,
}

impl Node {
    /// Whether a node that asks for grants of these issuers, of none if it does not ask, tells others of this one.
    fn may_be_told(&self, issuers: &[PeerId], now: Timestamp) -> bool {
        let good = |one: &Granted| issuers.contains(&one.issuer) && one.holds(now);
        let is_granted = |room: &RoomId| self.granted.iter().any(|one| one.room == *room && good(one));
        issuers.is_empty() || self.profile.rooms.iter().all(is_granted)
    }
}

#[derive(Debug)]
struct Gone {
    version: Version,
    until: Timestamp,
}

impl Presence {
    /// A node that knows only itself. `generation` is higher at every start of the same key.
    pub fn new(key: &[u8; 32], generation: u64, profile: Profile, timing: Timing, seed: u64, now: Timestamp) -> Self {
        let key = SigningKey::from_bytes(key);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let own = Record::sign(&key, Version { generation, number: 1 }, profile.to_entries());
        // Nodes that start together must not speak together.
        let gossip_at = now + timing.gossip.mul_f64(rng.random_range(0.0..1.0));
        Self {
            me: own.node,
            profile: Profile::from_entries(&own.entries).unwrap_or_default(),
            key,
            timing,
            rng,
            own,
            spoke: now,
            publish_at: None,
            gossip_at,
            connected: BTreeSet::new(),
            nodes: BTreeMap::new(),
            gone: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Connected(peer) => self.on_connected(now, peer),
            Input::Disconnected(peer) => self.on_disconnected(now, peer),
            Input::Frame { peer, bytes } => {
                if let Err(error) = self.on_frame(now, peer, &bytes) {
                    self.emit(Output::Rejected { peer, error });
                }
            }
            Input::Profile(profile) => self.on_profile(now, profile),
            Input::Tick => {}
        }
        self.on_time(now);
    }

    /// What must be done, in order; `None` when nothing is left.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to be woken.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let expiries = self.nodes.iter().filter(|(peer, _)| !self.connected.contains(peer)).map(|(_, n)| n.expires);
        let gossip = (!self.connected.is_empty()).then_some(self.gossip_at);
        let forgets = self.gone.values().map(|gone| gone.until);
        [gossip, self.publish_at, Some(self.spoke + self.timing.heartbeat)]
            .into_iter()
            .flatten()
            .chain(expiries)
            .chain(forgets)
            .min()
    }

    /// This node.
    pub fn id(&self) -> PeerId {
        self.me
    }

    /// What another node says of itself, if it is known.
    pub fn profile(&self, peer: &PeerId) -> Option<&Profile> {
        self.nodes.get(peer).map(|node| &node.profile)
    }

    /// The grants of another node that are its own and their issuers'; that they count and hold is for the caller to see.
    pub fn granted(&self, peer: &PeerId) -> &[Granted] {
        self.nodes.get(peer).map(|node| node.granted.as_slice()).unwrap_or_default()
    }

    /// The version known of a node; this one's own for its own id.
    pub fn version(&self, peer: &PeerId) -> Option<Version> {
        if *peer == self.me { Some(self.own.version) } else { self.nodes.get(peer).map(|node| node.record.version) }
    }

    /// All other nodes that are known, and what they say of themselves.
    pub fn nodes(&self) -> impl Iterator<Item = (&PeerId, &Profile)> {
        self.nodes.iter().map(|(peer, node)| (peer, &node.profile))
    }

    fn on_connected(&mut self, now: Timestamp, peer: PeerId) {
        if peer != self.me && self.connected.insert(peer) {
            self.send(peer, &Frame::Digest(self.digest(now, &peer)));
        }
    }

    fn on_disconnected(&mut self, now: Timestamp, peer: PeerId) {
        if self.connected.remove(&peer)
            && let Some(node) = self.nodes.get_mut(&peer)
        {
            node.expires = now + self.timing.linger;
        }
    }

    fn on_profile(&mut self, now: Timestamp, profile: Profile) {
        // Compared in the bounded form that others would see.
        let profile = Profile::from_entries(&profile.to_entries()).unwrap_or_default();
        if profile != self.profile {
            self.profile = profile;
            self.publish_at.get_or_insert(now + self.timing.settle);
        }
    }

    fn on_frame(&mut self, now: Timestamp, peer: PeerId, bytes: &[u8]) -> Result<(), RecordError> {
        if !self.connected.contains(&peer) {
            return Ok(());
        }
        match Frame::decode(bytes)? {
            Frame::Root(root) => {
                let digest = self.digest(now, &peer);
                if frame::root(&digest) != root {
                    self.send(peer, &Frame::Digest(digest));
                }
            }
            Frame::Digest(theirs) => {
                let theirs: BTreeMap<PeerId, Version> =
                    theirs.into_iter().take(MAX_NODES).map(|s| (s.node, s.version)).collect();
                let wants: Vec<Seen> = theirs
                    .iter()
                    .filter(|(node, version)| self.seen(node).is_none_or(|mine| mine < **version))
                    .map(|(node, _)| Seen { node: *node, version: self.seen(node).unwrap_or_default() })
                    .take(MAX_WANTS)
                    .collect();
                let lacks = |record: &Record| theirs.get(&record.node).is_none_or(|v| *v < record.version);
                let records = self.gather(now, wants.len(), lacks);
                if !records.is_empty() || !wants.is_empty() {
                    self.send(peer, &Frame::Delta { records, wants });
                }
            }
            Frame::Delta { records, wants } => {
                // Nothing after the first bad record is looked at: a liar costs one signature check per frame.
                for record in records {
                    self.learn(now, peer, record)?;
                }
                let wants: BTreeMap<PeerId, Version> = wants.into_iter().map(|s| (s.node, s.version)).collect();
                let records =
                    self.gather(now, 0, |record| wants.get(&record.node).is_some_and(|v| *v < record.version));
                if !records.is_empty() {
                    self.send(peer, &Frame::Delta { records, wants: Vec::new() });
                }
            }
        }
        Ok(())
    }

    fn learn(&mut self, now: Timestamp, from: PeerId, record: Record) -> Result<(), RecordError> {
        let node = record.node;
        if self.seen(&node).is_some_and(|seen| record.version <= seen) {
            if let Some(known) = self.nodes.get_mut(&node) {
                known.from = from;
            }
            return Ok(());
        }
        let profile = record.verify()?;
        if node == self.me {
            // A former life of this key had a higher generation: its clock was ahead. Outrank it.
            self.own.version.generation = record.version.generation.saturating_add(1);
            self.publish_at = Some(now);
            self.publish(now);
            return Ok(());
        }
        if !self.nodes.contains_key(&node) && !self.make_room(&node, from) {
            return Ok(());
        }
        self.gone.remove(&node);
        let expires = now + self.timing.expiry;
        // Signatures that were checked once are not checked at every heartbeat.
        let granted = match self.nodes.get(&node) {
            Some(known) if known.profile.grants == profile.grants => known.granted.clone(),
            _ => profile.grants.iter().filter_map(|grant| grant.granted(&node).ok()).collect(),
        };
        let change = match self.nodes.insert(node, Node { record, profile, granted, from, expires }) {
            None => Some(Output::Up(node)),
            Some(old) if old.profile != self.nodes[&node].profile => Some(Output::Changed(node)),
            Some(_) => None,
        };
        change.into_iter().for_each(|change| self.emit(change));
        Ok(())
    }

    /// Only for a node that speaks for itself is another one, never connected, forgotten: strangers' strangers cannot
    /// push out anybody.
    fn make_room(&mut self, node: &PeerId, from: PeerId) -> bool {
        if self.nodes.len() < MAX_NODES - 1 {
            return true;
        }
        if *node != from {
            return false;
        }
        let unconnected = self.nodes.iter().filter(|(peer, _)| !self.connected.contains(peer));
        let Some(oldest) = unconnected.min_by_key(|(_, node)| node.expires).map(|(peer, _)| *peer) else {
            return false;
        };
        self.nodes.remove(&oldest);
        self.emit(Output::Down(oldest));
        true
    }

    fn on_time(&mut self, now: Timestamp) {
        if self.publish_at.is_some_and(|at| at <= now) || self.spoke + self.timing.heartbeat <= now {
            self.publish(now);
        }
        self.expire(now);
        if self.gossip_at <= now {
            self.gossip_at = now + self.timing.gossip;
            for peer in self.connected.iter().copied().choose_multiple(&mut self.rng, self.timing.fanout) {
                let root = frame::root(&self.digest(now, &peer));
                self.send(peer, &Frame::Root(root));
            }
        }
    }

    fn publish(&mut self, now: Timestamp) {
        let changed = self.publish_at.take().is_some();
        let number = self.own.version.number.saturating_add(1);
        let version = Version { generation: self.own.version.generation, number };
        self.own = Record::sign(&self.key, version, self.profile.to_entries());
        self.spoke = now;
        if changed {
            let delta = Frame::Delta { records: vec![self.own.clone()], wants: Vec::new() };
            for peer in self.connected.clone() {
                self.send(peer, &delta);
            }
        }
    }

    fn expire(&mut self, now: Timestamp) {
        let late = |peer: &PeerId, node: &Node| node.expires <= now && !self.connected.contains(peer);
        let dead: Vec<PeerId> = self.nodes.iter().filter(|(p, n)| late(p, n)).map(|(peer, _)| *peer).collect();
        for peer in dead {
            let node = self.nodes.remove(&peer).expect("taken from this map just now");
            // Of whom nobody was told, nobody need hear that it is gone.
            if node.may_be_told(&self.profile.issuers, now) {
                self.gone.insert(peer, Gone { version: node.record.version, until: now + self.timing.memory });
            }
            self.emit(Output::Down(peer));
        }
        self.gone.retain(|_, gone| gone.until > now);
        while self.gone.len() > MAX_NODES {
            self.gone.pop_first();
        }
    }

    /// The highest version ever heard of a node that is alive or remembered.
    fn seen(&self, node: &PeerId) -> Option<Version> {
        self.version(node).or_else(|| self.gone.get(node).map(|gone| gone.version))
    }

    fn digest(&self, now: Timestamp, to: &PeerId) -> Vec<Seen> {
        let own = std::iter::once((&self.me, self.own.version));
        let issuers = &self.profile.issuers;
        let is_named =
            |(peer, node): &(&PeerId, &Node)| *peer == to || node.from == *to || node.may_be_told(issuers, now);
        let nodes = self.nodes.iter().filter(is_named).map(|(peer, node)| (peer, node.record.version));
        let gone = self.gone.iter().map(|(peer, gone)| (peer, gone.version));
        let mut all: Vec<Seen> =
            own.chain(nodes).chain(gone).take(MAX_NODES).map(|(node, version)| Seen { node: *node, version }).collect();
        all.sort_by_key(|seen| seen.node);
        all
    }

    /// The records that pass `test`, as many as fit in a frame beside `wants` wants, from a random one on, so that
    /// what did not fit has its chance next time.
    fn gather(&mut self, now: Timestamp, wants: usize, test: impl Fn(&Record) -> bool) -> Vec<Record> {
        let told = self.nodes.values().filter(|node| node.may_be_told(&self.profile.issuers, now));
        let mut all: Vec<&Record> =
            std::iter::once(&self.own).chain(told.map(|node| &node.record)).filter(|record| test(record)).collect();
        if !all.is_empty() {
            let start = self.rng.random_range(0..all.len());
            all.rotate_left(start);
        }
        let mut room = frame::room(wants);
        let fitting = all.into_iter().take_while(|record| {
            let fits = record.size() <= room;
            room = room.saturating_sub(record.size());
            fits
        });
        fitting.cloned().collect()
    }

    fn send(&mut self, peer: PeerId, frame: &Frame) {
        self.emit(Output::Send { peer, bytes: frame.encode() });
    }

    fn emit(&mut self, output: Output) {
        if matches!(output, Output::Send { .. }) && self.outputs.len() >= MAX_PENDING_FRAMES {
            return;
        }
        self.outputs.push_back(output);
    }
}
