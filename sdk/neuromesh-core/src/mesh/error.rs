//! Why there is no answer.

pub use crate::wire::ErrorKind;
use crate::{
    PeerId, Tier,
    payload::PayloadError,
    request::{Attempt, Estimate},
};

/// Why a request has no answer. The mesh is unchanged but for what it learned on the way.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Nobody in reach holds a model of this name or digest.
    #[error("model {model:?} is not known here nor to any peer in reach; add it to a node or check the name")]
    ModelNotFound {
        /// What the caller said.
        model: String,
    },
    /// The model is known, but no peer may run it.
    #[error("no peer may run {model:?}: {}", reasons(considered))]
    NoCandidate {
        /// What the caller said.
        model: String,
        /// Every peer that was looked at, and why not.
        considered: Vec<Estimate>,
    },
    /// The deadline passed.
    #[error("no answer within {deadline_ms} ms ({})", outcomes(attempts))]
    DeadlineExceeded {
        /// The deadline.
        deadline_ms: u64,
        /// Every try.
        attempts: Vec<Attempt>,
    },
    /// The input breaks a rule, or the model does not take it.
    #[error("invalid input: {0}")]
    InvalidInput(String),
    /// The caller gave up.
    #[error("the request was cancelled by its caller")]
    Cancelled,
    /// Too many requests at a time.
    #[error("{limit} requests are already running; wait for one to end")]
    TooManyRequests {
        /// The bound.
        limit: usize,
    },
    /// Parts of the answer were given, and a later try tells another text; what was given cannot be taken back. Exact answers
    /// are the same everywhere, so one of the peers is at fault; fast ones may differ.
    #[error("{tier} …{} tells another text than the one of which parts were given already; ask again", peer.short())]
    Diverged {
        /// Whose text is another one.
        peer: PeerId,
        /// Its tier.
        tier: Tier,
    },
    /// Every try failed.
    #[error("{message} ({})", outcomes(attempts))]
    Failed {
        /// Of the last failure.
        kind: ErrorKind,
        /// Of the last failure.
        message: String,
        /// Every try.
        attempts: Vec<Attempt>,
    },
}

impl RunError {
    /// The stable name under which JavaScript and HTTP callers see it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ModelNotFound { .. } => "ModelNotFound",
            Self::NoCandidate { .. } => "NoCandidate",
            Self::DeadlineExceeded { .. } => "DeadlineExceeded",
            Self::InvalidInput(_) => "InvalidInput",
            Self::Cancelled => "AbortError",
            Self::TooManyRequests { .. } => "Busy",
            Self::Diverged { .. } => "Diverged",
            Self::Failed { kind, .. } => kind.name(),
        }
    }
}

impl From<PayloadError> for RunError {
    fn from(error: PayloadError) -> Self {
        Self::InvalidInput(error.to_string())
    }
}

/// Why a task of the engine gave no output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TaskError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
}

impl TaskError {
    /// A task error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// Why an exchange gave no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The connection or the stream broke, or could not be opened.
    #[error("lost: {0}")]
    Lost(String),
    /// The peer does not speak the infer protocol.
    #[error("the peer does not speak {}", crate::wire::INFER_PROTOCOL)]
    Unsupported,
    /// The reply is longer than [`MAX_INFER_BYTES`](crate::wire::MAX_INFER_BYTES).
    #[error("the reply is over the limit")]
    TooLarge,
}

fn reasons(considered: &[Estimate]) -> String {
    if considered.is_empty() {
        return "no peer offers it".to_owned();
    }
    let one = |estimate: &Estimate| {
        let why = estimate.excluded.as_deref().unwrap_or("was tried already");
        if estimate.tier == Tier::Device {
            format!("this device {why}")
        } else {
            format!("{} node …{} {why}", estimate.tier, estimate.peer.short())
        }
    };
    considered.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn outcomes(attempts: &[Attempt]) -> String {
    if attempts.is_empty() {
        return "nobody was asked".to_owned();
    }
    let one = |attempt: &Attempt| format!("{} …{}: {}", attempt.tier, attempt.peer.short(), attempt.outcome);
    attempts.iter().map(one).collect::<Vec<_>>().join("; ")
}
