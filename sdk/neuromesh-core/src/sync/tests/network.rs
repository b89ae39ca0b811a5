//! A network of sync machines: every connection keeps its order, everything else is mixed by the seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha12Rng;
use serde_json::Value;

use crate::{
    PeerId, TaskId, Timestamp,
    sync::{Config, Input, Limits, Output, StoreFailure, StoreOp, Stored, Sync, SyncError},
};

/// One peer: its machine, its disk, and operations that the disk has not done yet.
pub(super) struct Peer {
    pub(super) sync: Sync,
    pub(super) disk: BTreeMap<Vec<String>, Vec<u8>>,
    pub(super) pending: VecDeque<(TaskId, StoreOp)>,
    /// What the disk says to puts, when it is full.
    pub(super) full: bool,
    /// Whether the disk does nothing for now.
    pub(super) stalled: bool,
    pub(super) opened: BTreeMap<u64, Result<(), SyncError>>,
    pub(super) done: BTreeMap<u64, Result<Vec<String>, SyncError>>,
    pub(super) changed: usize,
    pub(super) sent: usize,
    pub(super) dropped: Vec<(PeerId, String)>,
    runs: u64,
}

pub(super) struct Network {
    pub(super) rng: ChaCha12Rng,
    pub(super) now: Timestamp,
    pub(super) peers: Vec<Peer>,
    seed: u64,
    limits: Limits,
    /// Frames under way, by sender and receiver; a key is there while the two are connected.
    wires: BTreeMap<(usize, usize), VecDeque<Vec<u8>>>,
    next_request: u64,
    /// Everything that every machine said, for comparing runs.
    pub(super) trace: blake3::Hasher,
}

pub(super) fn id(index: usize) -> PeerId {
    PeerId::from_public_key([index as u8 + 1; 32])
}

impl Network {
    pub(super) fn new(seed: u64, peers: usize) -> Self {
        Self::with_limits(seed, peers, Limits::default())
    }

    pub(super) fn with_limits(seed: u64, peers: usize, limits: Limits) -> Self {
        let mut network = Self {
            rng: ChaCha12Rng::seed_from_u64(seed),
            now: Timestamp::from_millis(1_700_000_000_000),
            peers: Vec::new(),
            seed,
            limits,
            wires: BTreeMap::new(),
            next_request: 1,
            trace: blake3::Hasher::new(),
        };
        for index in 0..peers {
            let sync = network.machine(index, 0);
            network.peers.push(Peer {
                sync,
                disk: BTreeMap::new(),
                pending: VecDeque::new(),
                full: false,
                stalled: false,
                opened: BTreeMap::new(),
                done: BTreeMap::new(),
                changed: 0,
                sent: 0,
                dropped: Vec::new(),
                runs: 0,
            });
            network.input(index, Input::Start);
        }
        network
    }

    fn machine(&self, index: usize, run: u64) -> Sync {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&(index as u64).to_le_bytes());
        seed[16..24].copy_from_slice(&run.to_le_bytes());
        Sync::new(Config { peer: id(index), seed, limits: self.limits.clone() })
    }

    pub(super) fn input(&mut self, index: usize, input: Input) {
        self.now = self.now + std::time::Duration::from_millis(1);
        self.peers[index].sync.handle(self.now, input);
        while let Some(output) = self.peers[index].sync.poll_output() {
            self.trace.update(format!("{index} {output:?}\n").as_bytes());
            let peer = &mut self.peers[index];
            match output {
                Output::Send { peer: to, bytes } => {
                    peer.sent += 1;
                    let to = (0..self.peers.len()).find(|other| id(*other) == to);
                    if let Some(wire) = to.and_then(|to| self.wires.get_mut(&(index, to))) {
                        wire.push_back(bytes);
                    }
                }
                Output::Disconnect { peer: other, reason } => {
                    peer.dropped.push((other, reason));
                    if let Some(other) = (0..self.peers.len()).find(|index| id(*index) == other)
                        && self.wires.remove(&(index, other)).is_some()
                    {
                        self.wires.remove(&(other, index));
                        self.input(other, Input::Disconnected { peer: id(index) });
                    }
                }
                Output::Store { task, op } => peer.pending.push_back((task, op)),
                Output::Opened { request, result } => {
                    peer.opened.insert(request, result);
                }
                Output::Changed { .. } => peer.changed += 1,
                Output::ChangeDone { request, result } => {
                    peer.done.insert(request, result);
                }
            }
        }
    }

    pub(super) fn connect(&mut self, a: usize, b: usize) {
        self.wires.insert((a, b), VecDeque::new());
        self.wires.insert((b, a), VecDeque::new());
        self.input(a, Input::Connected { peer: id(b), dialer: true });
        self.input(b, Input::Connected { peer: id(a), dialer: false });
    }

    pub(super) fn is_connected(&self, a: usize, b: usize) -> bool {
        self.wires.contains_key(&(a, b))
    }

    pub(super) fn disconnect(&mut self, a: usize, b: usize) {
        if self.wires.remove(&(a, b)).is_some() {
            self.wires.remove(&(b, a));
            self.input(a, Input::Disconnected { peer: id(b) });
            self.input(b, Input::Disconnected { peer: id(a) });
        }
    }

    /// The process dies: what the disk has not done is lost, the connections break, a new run starts.
    pub(super) fn crash(&mut self, index: usize) {
        for other in 0..self.peers.len() {
            if self.wires.remove(&(index, other)).is_some() {
                self.wires.remove(&(other, index));
                self.input(other, Input::Disconnected { peer: id(index) });
            }
        }
        let run = self.peers[index].runs + 1;
        let sync = self.machine(index, run);
        let peer = &mut self.peers[index];
        peer.runs = run;
        peer.sync = sync;
        peer.pending.clear();
        self.input(index, Input::Start);
    }

    /// One frame arrives or one disk finishes one operation; false when nothing is under way.
    pub(super) fn step(&mut self) -> bool {
        let wires: Vec<_> = self.wires.iter().filter(|(_, wire)| !wire.is_empty()).map(|(ends, _)| *ends).collect();
        let disks: Vec<_> =
            (0..self.peers.len()).filter(|i| !self.peers[*i].stalled && !self.peers[*i].pending.is_empty()).collect();
        if wires.is_empty() && disks.is_empty() {
            return false;
        }
        let pick = self.rng.random_range(0..wires.len() + disks.len());
        if let Some((from, to)) = wires.get(pick) {
            let wire = self.wires.get_mut(&(*from, *to)).expect("listed");
            let bytes = wire.pop_front().expect("not empty");
            self.input(*to, Input::Message { peer: id(*from), bytes });
        } else {
            self.finish_store(disks[pick - wires.len()]);
        }
        true
    }

    /// The disk does its next operation.
    pub(super) fn finish_store(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let Some((task, op)) = peer.pending.pop_front() else { return };
        let result = match op {
            StoreOp::Load { key } => Ok(Stored::Value(peer.disk.get(&key).cloned())),
            StoreOp::LoadRange { prefix } => {
                let range = peer.disk.iter().filter(|(key, _)| key.starts_with(&prefix));
                Ok(Stored::Range(range.map(|(key, value)| (key.clone(), value.clone())).collect()))
            }
            StoreOp::Put { .. } if peer.full => Err(StoreFailure { full: true, message: "disk full".into() }),
            StoreOp::Put { key, value } => {
                peer.disk.insert(key, value);
                Ok(Stored::Done)
            }
            StoreOp::Delete { key } => {
                peer.disk.remove(&key);
                Ok(Stored::Done)
            }
        };
        self.input(index, Input::StorageDone { task, result });
    }

    pub(super) fn steps(&mut self, count: usize) {
        for _ in 0..count {
            if !self.step() {
                return;
            }
        }
    }

    /// Until nothing is under way.
    pub(super) fn run(&mut self) {
        for _ in 0..200_000 {
            if !self.step() {
                return;
            }
        }
        panic!("seed {}: the network does not come to rest", self.seed);
    }

    pub(super) fn ask_open(&mut self, index: usize, name: &str, init: Value) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        self.input(index, Input::Open { request, name: name.into(), init });
        request
    }

    /// Opens and waits for it.
    pub(super) fn open(&mut self, index: usize, name: &str, init: Value) {
        let request = self.ask_open(index, name, init);
        while !self.peers[index].opened.contains_key(&request) {
            assert!(self.step(), "seed {}: peer {index} never opened {name}", self.seed);
        }
        assert_eq!(self.peers[index].opened[&request], Ok(()), "seed {}", self.seed);
    }

    pub(super) fn ask_change(&mut self, index: usize, name: &str, heads: Vec<String>, value: Value) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        self.input(index, Input::Change { request, name: name.into(), heads, value });
        request
    }

    /// Changes what the peer reads now, without waiting for the answer.
    pub(super) fn edit(&mut self, index: usize, name: &str, edit: impl FnOnce(&mut Value)) -> u64 {
        let (heads, mut value) = self.peers[index].sync.value(name).expect("open");
        edit(&mut value);
        self.ask_change(index, name, heads, value)
    }

    pub(super) fn value(&self, index: usize, name: &str) -> Value {
        self.peers[index].sync.value(name).expect("open").1
    }

    pub(super) fn heads(&self, index: usize, name: &str) -> Vec<String> {
        self.peers[index].sync.value(name).expect("open").0
    }

    /// Some pair of the line that is (or is not) connected.
    pub(super) fn pick(&mut self, pairs: &[(usize, usize)], connected: bool) -> Option<(usize, usize)> {
        let those: Vec<_> = pairs.iter().copied().filter(|(a, b)| self.is_connected(*a, *b) == connected).collect();
        those.choose(&mut self.rng).copied()
    }

    pub(super) fn distinct_heads(&self, name: &str) -> BTreeSet<Vec<String>> {
        (0..self.peers.len()).map(|index| self.heads(index, name)).collect()
    }
}
