//! A whole network in one thread: seeded, with virtual time, no sockets.
//!
//! [`Network`] carries frames between any [`Machine`]s under [`Conditions`] (latency, jitter, loss, duplication,
//! bandwidth) and breaks things on request: links, partitions, crashes, restarts. Equal seeds and equal calls give
//! equal runs, which [`Network::trace`] proves. [`Peer`] is a [`Mesh`](crate::Mesh) with a virtual engine, ready to be
//! put in.
//!
//! Frames are either reliable (a stream: in order, whole, or the connection breaks) or best effort (lost, doubled,
//! overtaken).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    hash::{Hash, Hasher},
    ops::Range,
    time::Duration,
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Digest, PeerId, Timestamp, ids::DigestWriter};

mod peer;

pub use peer::{Frame, Peer, Speed};

/// What the simulator needs of a machine: the network's half of it.
pub trait Machine {
    /// What travels between machines.
    type Frame: Clone + Debug + Hash;

    /// A connection to `peer` stands; its round trip is about `rtt`.
    fn on_connected(&mut self, now: Timestamp, peer: PeerId, rtt: Duration);
    /// The connection to `peer` broke. Frames that were under way are lost.
    fn on_disconnected(&mut self, now: Timestamp, peer: PeerId);
    /// A frame arrived.
    fn on_frame(&mut self, now: Timestamp, from: PeerId, frame: Self::Frame);
    /// Time passed; the deadline of [`Machine::timeout`] may be over.
    fn on_time(&mut self, now: Timestamp);
    /// The next frame to send.
    fn poll_frame(&mut self) -> Option<Outgoing<Self::Frame>>;
    /// The next connection that the machine makes (true) or ends.
    fn poll_link(&mut self) -> Option<(PeerId, bool)> {
        None
    }
    /// When to be woken.
    fn timeout(&self) -> Option<Timestamp>;
}

/// A frame on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing<F> {
    /// To whom; dropped when there is no connection.
    pub to: PeerId,
    /// What.
    pub frame: F,
    /// In order and whole, or best effort.
    pub reliable: bool,
    /// For bandwidth.
    pub bytes: usize,
}

/// What links are like.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions {
    /// One way, in milliseconds; drawn per link.
    pub latency_ms: Range<u64>,
    /// Added per frame, in milliseconds: best-effort frames overtake each other by it.
    pub jitter_ms: Range<u64>,
    /// Share of best-effort frames that vanish.
    pub loss: f64,
    /// Share of best-effort frames that arrive twice.
    pub duplication: f64,
    /// Bytes per second of each direction of a link.
    pub bandwidth: u64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self { latency_ms: 1..40, jitter_ms: 0..10, loss: 0.0, duplication: 0.0, bandwidth: 10_000_000 }
    }
}

/// Machines, the links between them, and what is under way.
#[derive(Debug)]
pub struct Network<M: Machine> {
    now: Timestamp,
    rng: ChaCha8Rng,
    conditions: Conditions,
    machines: BTreeMap<PeerId, M>,
    /// Links that shall stand whenever both ends live and no partition is between them.
    wanted: BTreeSet<(PeerId, PeerId)>,
    links: BTreeMap<(PeerId, PeerId), Link>,
    /// The side of each machine; those without one are all together.
    sides: BTreeMap<PeerId, usize>,
    events: BTreeMap<(Timestamp, u64), Event<M::Frame>>,
    next_event: u64,
    next_link: u64,
    wakes: BTreeSet<(Timestamp, PeerId)>,
    wake_of: BTreeMap<PeerId, Timestamp>,
    trace: DigestWriter,
}

#[derive(Debug)]
struct Link {
    /// Tells this life of the link from earlier ones.
    number: u64,
    latency: Duration,
    /// When the last reliable frame of each direction arrives.
    arrivals: [Timestamp; 2],
}

#[derive(Debug)]
enum Event<F> {
    Frame { from: PeerId, to: PeerId, link: u64, frame: F },
    Connected { at: PeerId, peer: PeerId, link: u64, rtt: Duration },
    Disconnected { at: PeerId, peer: PeerId },
}

impl<M: Machine> Network<M> {
    /// An empty network at time zero.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        Self {
            now: Timestamp::default(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            conditions,
            machines: BTreeMap::new(),
            wanted: BTreeSet::new(),
            links: BTreeMap::new(),
            sides: BTreeMap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            next_link: 0,
            wakes: BTreeSet::new(),
            wake_of: BTreeMap::new(),
            trace: DigestWriter::new(),
        }
    }

    /// The virtual time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A hash of everything that happened so far: equal runs have equal traces.
    pub fn trace(&self) -> Digest {
        self.trace.finish()
    }

    /// Changes what links are like from now on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// Puts a machine in, or back in after a crash; the links that it had come back.
    pub fn insert(&mut self, id: PeerId, machine: M) {
        self.machines.insert(id, machine);
        self.settle(id);
        self.restore();
    }

    /// Takes a machine out at once, as `kill -9` would; its neighbours learn of it a little later.
    pub fn crash(&mut self, id: &PeerId) -> Option<M> {
        let machine = self.machines.remove(id)?;
        if let Some(at) = self.wake_of.remove(id) {
            self.wakes.remove(&(at, *id));
        }
        self.cut(|(a, b)| a == id || b == id);
        Some(machine)
    }

    /// Links two machines for as long as both live.
    pub fn connect(&mut self, a: PeerId, b: PeerId) {
        self.wanted.insert(pair(a, b));
        self.restore();
    }

    /// Unlinks two machines for good.
    pub fn disconnect(&mut self, a: PeerId, b: PeerId) {
        self.wanted.remove(&pair(a, b));
        self.cut(|link| *link == pair(a, b));
    }

    /// Cuts the network into these groups and, if there are others, the rest.
    pub fn partition(&mut self, groups: &[&[PeerId]]) {
        let numbered = groups.iter().enumerate();
        self.sides = numbered.flat_map(|(side, group)| group.iter().map(move |id| (*id, side + 1))).collect();
        let sides = self.sides.clone();
        self.cut(|(a, b)| sides.get(a) != sides.get(b));
    }

    /// Ends the partition.
    pub fn heal(&mut self) {
        self.sides.clear();
        self.restore();
    }

    /// The machines that live.
    pub fn machines(&self) -> impl Iterator<Item = (&PeerId, &M)> {
        self.machines.iter()
    }

    /// A machine.
    ///
    /// # Panics
    /// When it does not live.
    pub fn machine(&self, id: &PeerId) -> &M {
        self.machines.get(id).expect("the machine lives")
    }

    /// Does something with a machine, and sends what comes of it.
    ///
    /// # Panics
    /// When it does not live.
    pub fn with<T>(&mut self, id: &PeerId, act: impl FnOnce(&mut M, Timestamp) -> T) -> T {
        let now = self.now;
        let result = act(self.machines.get_mut(id).expect("the machine lives"), now);
        self.settle(*id);
        result
    }

    /// Runs for this long.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until the test holds, and says whether it did within `limit`.
    pub fn run_until(&mut self, limit: Duration, test: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            if test(self) {
                return true;
            }
            if !self.step(end) {
                self.now = end;
                return test(self);
            }
        }
    }

    /// One thing happens, if anything does until `end`.
    fn step(&mut self, end: Timestamp) -> bool {
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        let wake = self.wakes.first().map(|(at, _)| *at);
        let Some(next) = event.into_iter().chain(wake).min().filter(|at| *at <= end) else { return false };
        self.now = self.now.max(next);
        if event.is_some_and(|at| wake.is_none_or(|wake| at <= wake)) {
            let (_, event) = self.events.pop_first().expect("looked at just now");
            self.happen(event);
        } else if let Some((_, id)) = self.wakes.pop_first() {
            self.wake_of.remove(&id);
            self.record("wake", &id, &id, &());
            self.touch(id, |machine, now| machine.on_time(now));
        }
        true
    }

    fn happen(&mut self, event: Event<M::Frame>) {
        match event {
            Event::Frame { from, to, link, frame } => {
                if self.links.get(&pair(from, to)).is_some_and(|l| l.number == link) {
                    self.record("frame", &from, &to, &frame);
                    self.touch(to, |machine, now| machine.on_frame(now, from, frame));
                }
            }
            Event::Connected { at, peer, link, rtt } => {
                if self.links.get(&pair(at, peer)).is_some_and(|l| l.number == link) {
                    self.record("connected", &at, &peer, &());
                    self.touch(at, |machine, now| machine.on_connected(now, peer, rtt));
                }
            }
            Event::Disconnected { at, peer } => {
                self.record("disconnected", &at, &peer, &());
                self.touch(at, |machine, now| machine.on_disconnected(now, peer));
            }
        }
    }

    fn touch(&mut self, id: PeerId, act: impl FnOnce(&mut M, Timestamp)) {
        if let Some(machine) = self.machines.get_mut(&id) {
            act(machine, self.now);
            self.settle(id);
        }
    }

    /// Sends what a machine has to send and notes when to wake it.
    fn settle(&mut self, id: PeerId) {
        while let Some(out) = self.machines.get_mut(&id).and_then(M::poll_frame) {
            self.carry(id, out);
        }
        while let Some((peer, wanted)) = self.machines.get_mut(&id).and_then(M::poll_link) {
            if wanted { self.connect(id, peer) } else { self.disconnect(id, peer) }
        }
        if let Some(at) = self.wake_of.remove(&id) {
            self.wakes.remove(&(at, id));
        }
        // A machine that wants to be woken in the past is woken a millisecond from now: a loop of its own making
        // then shows as time that passes, not as a test that hangs.
        let soon = self.now + Duration::from_millis(1);
        if let Some(at) = self.machines.get(&id).and_then(M::timeout) {
            let at = at.max(soon);
            self.wakes.insert((at, id));
            self.wake_of.insert(id, at);
        }
    }

    fn carry(&mut self, from: PeerId, out: Outgoing<M::Frame>) {
        let Outgoing { to, frame, reliable, bytes } = out;
        let jitter = draw(&mut self.rng, &self.conditions.jitter_ms);
        let lost = self.rng.random_bool(self.conditions.loss);
        let doubled = self.rng.random_bool(self.conditions.duplication);
        let Some(link) = self.links.get_mut(&pair(from, to)) else { return };
        let transfer = Duration::from_secs_f64(bytes as f64 / self.conditions.bandwidth as f64);
        let mut at = self.now + link.latency + jitter + transfer;
        let number = link.number;
        if reliable {
            let last = &mut link.arrivals[usize::from(from < to)];
            at = at.max(*last);
            *last = at;
        } else if lost {
            return;
        } else if doubled {
            let late = at + draw(&mut self.rng, &self.conditions.jitter_ms) + link.latency;
            self.schedule(late, Event::Frame { from, to, link: number, frame: frame.clone() });
        }
        self.schedule(at, Event::Frame { from, to, link: number, frame });
    }

    /// Brings up the wanted links that may stand and do not.
    fn restore(&mut self) {
        for (a, b) in self.wanted.clone() {
            let live = self.machines.contains_key(&a) && self.machines.contains_key(&b);
            if !live || self.links.contains_key(&(a, b)) || self.sides.get(&a) != self.sides.get(&b) {
                continue;
            }
            let latency = draw(&mut self.rng, &self.conditions.latency_ms);
            let number = self.next_link;
            self.next_link += 1;
            self.links.insert((a, b), Link { number, latency, arrivals: [self.now; 2] });
            let rtt = latency * 2;
            self.schedule(self.now + rtt, Event::Connected { at: a, peer: b, link: number, rtt });
            self.schedule(self.now + rtt + latency, Event::Connected { at: b, peer: a, link: number, rtt });
        }
    }

    fn cut(&mut self, which: impl Fn(&(PeerId, PeerId)) -> bool) {
        let cut: Vec<(PeerId, PeerId)> = self.links.keys().filter(|link| which(link)).copied().collect();
        for (a, b) in cut {
            let link = self.links.remove(&(a, b)).expect("listed just now");
            for (at, peer) in [(a, b), (b, a)] {
                self.schedule(self.now + link.latency, Event::Disconnected { at, peer });
            }
        }
    }

    fn schedule(&mut self, at: Timestamp, event: Event<M::Frame>) {
        self.events.insert((at, self.next_event), event);
        self.next_event += 1;
    }

    fn record(&mut self, what: &str, a: &PeerId, b: &PeerId, more: &impl Hash) {
        (self.now, what, a, b, more).hash(&mut Trace(&mut self.trace));
    }
}

/// Hashes into a digest, which is the same in every process, as std's hashers promise not to be.
struct Trace<'a>(&'a mut DigestWriter);

impl Hasher for Trace<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

fn pair(a: PeerId, b: PeerId) -> (PeerId, PeerId) {
    if a < b { (a, b) } else { (b, a) }
}

fn draw(rng: &mut ChaCha8Rng, range: &Range<u64>) -> Duration {
    Duration::from_millis(if range.is_empty() { range.start } else { rng.random_range(range.clone()) })
}
