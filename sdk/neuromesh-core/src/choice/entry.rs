//! What is known of one model and class.

use std::{collections::BTreeMap, time::Duration};

use super::{Backend, MAX_BACKENDS, RETRY_EVERY, TRIALS};
use crate::Numerics;

/// Samples of a backend that are kept, the newest last.
pub(super) const WINDOW: usize = 5;
/// A backend whose best time is more than so many times the best of all is given up before it had all its trials.
const HOPELESS: u32 = 3;
/// At so many times it is given up at once: a GPU that the CPU plays takes seconds for what the CPU does in milliseconds.
const HOPELESS_AT_ONCE: u32 = 30;
/// Another backend must be better by one in so many to take over.
const MARGIN: u32 = 20;
/// Times that moved by this factor since the choice have drifted …
const DRIFT: f64 = 1.5;
/// … if it is by more than this, in microseconds: below it clocks and schedulers are what moves.
const DRIFT_FLOOR: u32 = 100;

/// Samples by backend, and what was made of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// When it was used last, by the chooser's count.
    pub used: u64,
    pub arms: BTreeMap<Backend, Arm>,
    /// The backend that won.
    pub best: Option<Backend>,
    /// Whether a run has made the buffers that later ones use.
    pub warm: bool,
    /// Whether a run has compiled the GPU's kernels.
    pub warm_gpu: bool,
    /// Requests since another backend than the best was tried.
    pub settled_runs: u32,
}

/// One backend.
#[derive(Clone, Debug, Default)]
pub(super) struct Arm {
    /// Microseconds, at most [`WINDOW`].
    pub samples: Vec<u32>,
    pub hopeless: bool,
    /// The median when the trials were over.
    pub reference: Option<u32>,
    /// When it was sampled last, by the chooser's count.
    pub seen: u64,
}

impl Arm {
    fn is_tried(&self) -> bool {
        self.hopeless || self.samples.len() >= TRIALS
    }

    pub fn median(&self) -> Option<u32> {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len().checked_sub(1)? / 2).copied()
    }
}

impl Entry {
    /// One of at least two candidates; `draw` decides between those that are equally unknown.
    pub fn choose(&mut self, candidates: &[Backend], draw: u32) -> Backend {
        let samples = |backend: &Backend| self.arms.get(backend).map_or(0, |arm| arm.samples.len());
        let open = |backend: &&Backend| !self.arms.get(backend).is_some_and(Arm::is_tried);
        if let Some(fewest) = candidates.iter().filter(open).map(samples).min() {
            let next: Vec<Backend> =
                candidates.iter().filter(open).filter(|backend| samples(backend) == fewest).copied().collect();
            return next[draw as usize % next.len()];
        }
        let best = self.best_of(candidates);
        self.settled_runs += 1;
        if self.settled_runs >= RETRY_EVERY {
            self.settled_runs = 0;
            let others = candidates.iter().filter(|backend| **backend != best && !self.arms[backend].hopeless);
            if let Some(oldest) = others.min_by_key(|backend| self.arms[backend].seen) {
                return *oldest;
            }
        }
        best
    }

    /// Takes a sample, in microseconds; whether the choice changed.
    pub fn observe(&mut self, backend: Backend, elapsed: u32, clock: u64) -> bool {
        let warm = if backend.is_gpu() { &mut self.warm_gpu } else { &mut self.warm };
        if !std::mem::replace(warm, true) {
            return false;
        }
        if !self.arms.contains_key(&backend) && self.arms.len() >= MAX_BACKENDS {
            let oldest = self.arms.iter().min_by_key(|(_, arm)| arm.seen).map(|(backend, _)| *backend);
            self.arms.remove(&oldest.expect("there are some"));
        }
        // An exact one is compared with exact ones alone: for an exact request there are no others.
        let rival = |other: &Backend| *other != backend && other.numerics <= backend.numerics;
        let others = self.arms.iter().filter(|(other, _)| rival(other));
        let least = others.flat_map(|(_, arm)| &arm.samples).min().copied();
        let arm = self.arms.entry(backend).or_default();
        if arm.samples.len() == WINDOW {
            arm.samples.remove(0);
        }
        arm.samples.push(elapsed);
        arm.seen = clock;
        let fastest = arm.samples.iter().min().copied().unwrap_or(elapsed);
        let limit = if arm.samples.len() >= 2 { HOPELESS } else { HOPELESS_AT_ONCE };
        arm.hopeless = least.is_some_and(|least| fastest / limit > least);
        let drifted = self.has_drifted(backend);
        if drifted {
            // Whatever slowed this one down, or sped it up, may have changed the order.
            self.arms.retain(|other, _| *other == backend);
        }
        self.settle() || drifted
    }

    pub fn expected(&self, numerics: Numerics) -> Option<Duration> {
        let allowed = |backend: &Backend| backend.numerics <= numerics;
        let known = self.best.filter(allowed).and_then(|backend| self.arms.get(&backend)?.median());
        let any = || self.arms.iter().filter(|(backend, _)| allowed(backend)).filter_map(|(_, arm)| arm.median()).min();
        known.or_else(any).map(|micros| Duration::from_micros(micros.into()))
    }

    /// Chooses anew, once all that were begun have had their trials; whether the choice changed.
    pub fn settle(&mut self) -> bool {
        if self.arms.is_empty() || !self.arms.values().all(Arm::is_tried) {
            return false;
        }
        let all: Vec<Backend> = self.arms.keys().copied().collect();
        let best = self.best_of(&all);
        self.best.replace(best) != Some(best)
    }

    /// Whether the median of this one has left the neighbourhood of its reference; then it is as good as new.
    fn has_drifted(&mut self, backend: Backend) -> bool {
        let Some(arm) = self.arms.get_mut(&backend).filter(|arm| arm.samples.len() >= TRIALS) else { return false };
        let now = arm.median().expect("it has samples");
        let then = *arm.reference.get_or_insert(now);
        let ratio = f64::from(now) / f64::from(then);
        let drifted = then.abs_diff(now) > DRIFT_FLOOR && !(1.0 / DRIFT..=DRIFT).contains(&ratio);
        if drifted {
            // The last two are of the new time, whenever that began; its trials go on with them.
            arm.samples.drain(..arm.samples.len() - 2);
            arm.reference = None;
        }
        drifted
    }

    /// The one that is best now, if it is a candidate and none is clearly better; else the best, in doubt the first.
    fn best_of(&self, candidates: &[Backend]) -> Backend {
        let time = |backend: &Backend| self.arms.get(backend).filter(|arm| !arm.hopeless).and_then(Arm::median);
        let first = self.best.filter(|backend| candidates.contains(backend) && time(backend).is_some());
        let mut best = first.or_else(|| candidates.iter().find(|backend| time(backend).is_some()).copied());
        for backend in candidates {
            let (Some(time), Some(least)) = (time(backend), best.as_ref().and_then(time)) else { continue };
            if time < least - least / MARGIN {
                best = Some(*backend);
            }
        }
        best.unwrap_or(candidates[0])
    }
}
