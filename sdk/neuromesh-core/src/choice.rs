//! How a model runs fastest on this machine: tried on real requests, then remembered.
//!
//! ```text
//!   a request ─▶ choose ─▶ run it so ─▶ observe ─┬─▶ expected: what the router may count with
//!                                                └─▶ snapshot ─▶ disk ─▶ restore
//! ```
//!
//! Each model and [`ShapeClass`] is learned by itself. Its first requests are spread over the [`Backend`]s until each has
//! [`TRIALS`] samples, in an order drawn by the seed; one that is hopeless after one or two is spared the rest. From then on the
//! least median runs everything, but for one request in [`RETRY_EVERY`], which looks whether another one became better.
//! When the times of one drift, all are tried anew. No request is run twice and none waits for a trial.
//!
//! Duties of the driver: report only runs that went as chosen and that no other run disturbed. Time and randomness come in
//! as values.

use std::{collections::BTreeMap, time::Duration};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{Digest, Numerics, ShapeClass};

mod entry;
mod snapshot;
#[cfg(test)]
mod tests;

use entry::Entry;
pub use snapshot::{MAX_SNAPSHOT_BYTES, SnapshotError};

/// The most pairs of model and class that are remembered; the longest unused one goes first.
pub const MAX_ENTRIES: usize = 512;
/// The most backends that are compared for one pair; more candidates are not looked at.
pub const MAX_BACKENDS: usize = 32;
/// Samples of a backend before it is compared.
pub const TRIALS: usize = 3;
/// After so many requests in a row on the chosen backend, one goes to another.
pub const RETRY_EVERY: u32 = 64;

/// A way to run a model on this machine. In order: exact before fast, fewer threads first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Backend {
    /// Which kernels.
    pub numerics: Numerics,
    /// How many threads share the work; at least 1, but for [`Backend::GPU`].
    pub threads: u16,
}

impl Backend {
    /// The GPU: never exact, and none of the CPU's threads.
    pub const GPU: Self = Self { numerics: Numerics::Fast, threads: 0 };

    /// Whether the GPU runs it.
    pub fn is_gpu(self) -> bool {
        self == Self::GPU
    }

    /// The backends that may answer a request: with 1, 2, 4 … threads and with all of `threads`; for a fast request the
    /// exact kernels as well as the fast ones. [`Backend::GPU`] is not among them: whoever has one adds it, to fast requests alone.
    pub fn candidates(numerics: Numerics, threads: u16) -> Vec<Self> {
        let threads = threads.max(1);
        let powers = (0..u16::BITS).map(|shift| 1 << shift).take_while(|count| *count < threads);
        let counts: Vec<u16> = powers.chain([threads]).collect();
        let kinds = [Numerics::Exact, Numerics::Fast].into_iter().filter(|kind| *kind <= numerics);
        kinds.flat_map(|numerics| counts.iter().map(move |&threads| Self { numerics, threads })).collect()
    }
}

/// Learns times and chooses backends.
#[derive(Debug)]
pub struct Chooser {
    /// On which machine: times of another one say nothing.
    machine: String,
    rng: ChaCha8Rng,
    entries: BTreeMap<(Digest, ShapeClass), Entry>,
    /// Counts calls, to tell what was used last.
    clock: u64,
    /// Whether there is something new to remember.
    changed: bool,
}

impl Chooser {
    /// Nothing learned yet. `machine` names processor, instruction set and number of threads.
    pub fn new(machine: &str, seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { machine: machine.to_owned(), rng, entries: BTreeMap::new(), clock: 0, changed: false }
    }

    /// The backend for the next run. Without candidates it is the exact one on a single thread.
    pub fn choose(&mut self, model: Digest, class: ShapeClass, candidates: &[Backend]) -> Backend {
        let candidates = &candidates[..candidates.len().min(MAX_BACKENDS)];
        match candidates {
            [] => return Backend { numerics: Numerics::Exact, threads: 1 },
            [only] => return *only,
            _ => {}
        }
        let draw = self.rng.random();
        self.entry(model, class).choose(candidates, draw)
    }

    /// Learns from a run that nothing disturbed. The first one of an entry is not counted, nor is the first one on the GPU: it
    /// makes the buffers, or compiles the kernels, that later ones use.
    pub fn observe(&mut self, model: Digest, class: ShapeClass, backend: Backend, elapsed: Duration) {
        let elapsed = u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX).max(1);
        let clock = self.clock;
        self.changed |= self.entry(model, class).observe(backend, elapsed, clock);
    }

    /// What the next run for such a request should take, once something is known.
    pub fn expected(&self, model: &Digest, class: ShapeClass, numerics: Numerics) -> Option<Duration> {
        self.entries.get(&(*model, class))?.expected(numerics)
    }

    /// The same for an exact request of every class of a model that is known.
    pub fn expectations(&self, model: &Digest) -> Vec<(ShapeClass, Duration)> {
        let all = (*model, ShapeClass::default())..=(*model, ShapeClass::of_size(u64::MAX));
        self.entries
            .range(all)
            .filter_map(|((_, class), entry)| Some((*class, entry.expected(Numerics::Exact)?)))
            .collect()
    }

    /// What the trials have settled on, once they have.
    pub fn settled(&self, model: &Digest, class: ShapeClass) -> Option<Backend> {
        self.entries.get(&(*model, class)).and_then(|entry| entry.best)
    }

    /// Whether a choice was made or changed since the last [`Chooser::snapshot`].
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    fn entry(&mut self, model: Digest, class: ShapeClass) -> &mut Entry {
        self.clock += 1;
        let key = (model, class);
        if !self.entries.contains_key(&key) && self.entries.len() >= MAX_ENTRIES {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key);
            self.entries.remove(&oldest.expect("the map is full"));
        }
        let entry = self.entries.entry(key).or_default();
        entry.used = self.clock;
        entry
    }
}
