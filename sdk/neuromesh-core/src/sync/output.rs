//! What a sync machine wants done.

use crate::{PeerId, TaskId};

use super::SyncError;

/// Something is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send a frame to `peer`. Nothing in it waits for storage: it may go at once.
    Send {
        /// To whom.
        peer: PeerId,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// Close the stream to `peer`, which is forgotten here already; a new [`Input::Connected`](super::Input::Connected) begins anew.
    Disconnect {
        /// Whose stream.
        peer: PeerId,
        /// For the log.
        reason: String,
    },
    /// Read or write storage and answer with [`Input::StorageDone`](super::Input::StorageDone). Operations take effect in the order given.
    Store {
        /// To be named in the answer.
        task: TaskId,
        /// What to do.
        op: StoreOp,
    },
    /// The document is open: [`value`](super::Sync::value) reads it.
    Opened {
        /// The caller's number.
        request: u64,
        /// Why not.
        result: Result<(), SyncError>,
    },
    /// An open document reads differently than before: changed here or by others.
    Changed {
        /// The document's name.
        name: String,
    },
    /// The change is stored.
    ChangeDone {
        /// The caller's number.
        request: u64,
        /// The heads at which the document reads exactly as the change's value: what a next change of that value
        /// names. Others' edits that came meanwhile are in [`value`](super::Sync::value).
        result: Result<Vec<String>, SyncError>,
    },
}

/// A storage operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOp {
    /// Reads one value.
    Load {
        /// Where.
        key: Vec<String>,
    },
    /// Reads everything whose key begins with these parts.
    LoadRange {
        /// Where.
        prefix: Vec<String>,
    },
    /// Sets a value durably.
    Put {
        /// Where.
        key: Vec<String>,
        /// What.
        value: Vec<u8>,
    },
    /// Removes a value durably.
    Delete {
        /// Where.
        key: Vec<String>,
    },
}
