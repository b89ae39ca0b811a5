//! What plugins do wrong.

use neuromesh::engine::JobError;

/// Why a plugin gave no answer. Other calls are not touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// Not a component of the world that this node hosts.
    #[error("not a plugin of neuromesh:plugin@0.1.0: {0}")]
    Invalid(String),
    /// It trapped: unreachable code, a division by zero, memory out of bounds, the stack exhausted …
    #[error("trapped: {0}")]
    Trapped(String),
    /// It computed for longer than it may.
    #[error("stopped after {limit_ms} ms, the most that a plugin may compute")]
    TimedOut {
        /// The limit.
        limit_ms: u64,
    },
    /// It wanted more memory than it may have.
    #[error("needs more than {limit} bytes of memory, the most that a plugin may have")]
    OutOfMemory {
        /// The limit.
        limit: usize,
    },
    /// Its answer is longer than it may be.
    #[error("answered with {size} bytes, {limit} are allowed")]
    OutputTooLarge {
        /// The answer's length.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Its answer is no JSON.
    #[error("answered with something that is not JSON: {0}")]
    NotJson(String),
    /// It said itself that it could not do it.
    #[error("{0}")]
    Refused(String),
    /// The caller gave up.
    #[error("cancelled")]
    Cancelled,
    /// The node could not start it.
    #[error("could not be started: {0}")]
    Host(String),
}

impl From<PluginError> for JobError {
    fn from(error: PluginError) -> Self {
        match error {
            PluginError::Cancelled => Self::Cancelled,
            error => Self::Plugin(error.to_string()),
        }
    }
}
