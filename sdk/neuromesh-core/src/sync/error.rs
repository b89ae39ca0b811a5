//! Why a document could not be opened or changed.

use super::StoreFailure;

/// Why [`Input::Open`](super::Input::Open) or [`Input::Change`](super::Input::Change) failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// Nothing changed.
    #[error("a document's name has 1 to {max} bytes, without control characters", max = super::genesis::MAX_NAME_BYTES)]
    Name,
    /// Nothing changed.
    #[error("a document is a JSON object; wrap other values in one")]
    NotAnObject,
    /// Nothing changed.
    #[error("the value is nested deeper than {limit} levels")]
    TooDeep {
        /// The bound.
        limit: usize,
    },
    /// Nothing changed.
    #[error("the value or its document is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// Nothing changed.
    #[error("the change needs more than {limit} operations (one for each new character); make it in parts")]
    TooMuchAtOnce {
        /// The bound.
        limit: usize,
    },
    /// Nothing changed.
    #[error("{limit} documents are open already")]
    TooManyDocuments {
        /// The bound.
        limit: usize,
    },
    /// Nothing changed.
    #[error("document {name:?} is not open; open it first")]
    NotOpen {
        /// The name.
        name: String,
    },
    /// Nothing changed.
    #[error("the heads are none of this document's; read it again and repeat the change on what was read")]
    UnknownHeads,
    /// Nothing changed.
    #[error("{limit} requests wait for storage already; try again later")]
    Busy {
        /// The bound.
        limit: usize,
    },
    /// A change is kept in memory and stored, and told to others, as soon as storage works again; lost if this peer
    /// stops before.
    #[error("storage failed, the change is kept in memory only: {0}")]
    NotStored(StoreFailure),
    /// Nothing changed; opening goes on when storage works again, ask anew.
    #[error("storage failed: {0}")]
    NotLoaded(StoreFailure),
    /// Nothing changed: the document's operations refused the value.
    #[error("the change could not be made: {0}")]
    Document(String),
}
