//! One request of a local caller, while it runs.

use std::{collections::BTreeMap, time::Duration};

use super::ErrorKind;
use crate::{
    Digest, ExchangeId, Options, Payload, PeerId, RequestId, ShapeClass, TaskId, Tier, Timestamp,
    part::{Place, Transcript},
    request::{Attempt, Estimate},
    router::Source,
};

/// A request on its way to an answer.
#[derive(Debug)]
pub(super) struct Job {
    /// The model as the caller named it.
    pub name: String,
    pub model: Digest,
    pub input: Payload,
    pub input_digest: Digest,
    pub class: ShapeClass,
    pub options: Options,
    pub nonce: u64,
    pub started: Timestamp,
    pub deadline: Timestamp,
    /// At most [`Limits::hedges`](super::Limits::hedges), oldest first.
    pub running: Vec<Running>,
    /// Every attempt so far, at most [`Limits::attempts`](super::Limits::attempts) and the busy ones.
    pub attempts: Vec<Attempt>,
    /// Why a peer is not asked again.
    pub tried: BTreeMap<PeerId, String>,
    /// Until when a peer that was busy is left alone.
    pub busy: BTreeMap<PeerId, Timestamp>,
    pub considered: Vec<Estimate>,
    /// The parts that the caller was given.
    pub given: Transcript,
    pub last_failure: Option<(ErrorKind, String)>,
}

/// One attempt under way.
#[derive(Debug)]
pub(super) struct Running {
    /// Its place in [`Job::attempts`].
    pub attempt: usize,
    pub peer: PeerId,
    pub tier: Tier,
    pub via: Via,
    pub since: Timestamp,
    /// When to start another one beside it; `None` once done.
    pub late_at: Option<Timestamp>,
    pub source: Source,
    pub reason: String,
    pub sent_bytes: u64,
    /// How far it has told its answer.
    pub place: Place,
}

/// How the answer comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    Task(TaskId),
    Exchange(ExchangeId),
}

/// An [`Output::Ask`](super::Output::Ask) without a reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    pub job: RequestId,
    pub peer: PeerId,
}

impl Job {
    pub fn wake_at(&self) -> Option<Timestamp> {
        let late = self.running.iter().filter_map(|running| running.late_at);
        // A busy peer is worth waking for only while nobody else is at work.
        let retry = self.busy.values().copied().filter(|_| self.running.is_empty());
        std::iter::once(self.deadline).chain(late).chain(retry).min()
    }

    /// Attempts that count: a peer that said at once that it is busy cost nothing.
    pub fn counted(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.outcome != BUSY).count()
    }

    /// Attempts that may run at the same time. Two would tell the same text twice, so parts end hedging.
    pub fn most_running(&self, hedges: usize) -> usize {
        if self.given.is_empty() { hedges.max(1) } else { 1 }
    }

    pub fn take(&mut self, via: Via) -> Option<Running> {
        let index = self.running.iter().position(|running| running.via == via)?;
        Some(self.running.remove(index))
    }
}

/// The outcome of an attempt that is under way.
pub(super) const RUNNING: &str = "running";
/// The outcome of an attempt that a busy peer refused.
pub(super) const BUSY: &str = "busy";

/// How long an attempt that has begun to tell its answer may be silent before another one takes its place.
const STALL: Duration = Duration::from_secs(10);

/// How long after a part the next one is late.
pub(super) fn stall(left: Duration) -> Duration {
    STALL.min(left / 2)
}

/// How long after its start an attempt is late. Measured times deserve more trust than priors, and a load more patience.
pub(super) fn patience(predicted: Duration, trusted: bool, left: Duration) -> Duration {
    let patience = if trusted {
        predicted.saturating_mul(3).saturating_add(Duration::from_millis(250))
    } else {
        predicted.saturating_mul(5).saturating_add(Duration::from_secs(2))
    };
    // Late enough to be wrong, early enough for another one to answer.
    patience.min(left / 2)
}
