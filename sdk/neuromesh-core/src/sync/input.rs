//! What happens to a sync machine.

use serde_json::Value;

use crate::{PeerId, TaskId};

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Begin: opens the storage. Other inputs wait until it is open.
    Start,
    /// The time that [`poll_timeout`](super::Sync::poll_timeout) named has come (late is harmless).
    Wake,
    /// A stream to `peer` is open, authenticated as that peer, ordered and without loss. It replaces an older one.
    Connected {
        /// The other end.
        peer: PeerId,
        /// Whether this end opened the stream; exactly one end did.
        dialer: bool,
    },
    /// The stream to `peer` is closed.
    Disconnected {
        /// The other end.
        peer: PeerId,
    },
    /// A frame came from `peer`.
    Message {
        /// The other end.
        peer: PeerId,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// A [`StoreOp`](super::StoreOp) is done, durably, or has failed and changed nothing.
    StorageDone {
        /// The task of the operation.
        task: TaskId,
        /// What came of it.
        result: Result<Stored, StoreFailure>,
    },
    /// The application wants the document `name`; answered by [`Output::Opened`](super::Output::Opened).
    Open {
        /// The caller's number.
        request: u64,
        /// The document's name, the same on every peer.
        name: String,
        /// What the document holds when it is new: a JSON object. Keys that a known document never had are added to it.
        init: Value,
    },
    /// The application wants the document, which it read at `heads`, to be `value`; answered by
    /// [`Output::ChangeDone`](super::Output::ChangeDone).
    Change {
        /// The caller's number.
        request: u64,
        /// The document's name.
        name: String,
        /// The heads that were read, as [`value`](super::Sync::value) or an earlier change gave them.
        heads: Vec<String>,
        /// The whole new value: a JSON object.
        value: Value,
    },
}

/// What a storage operation gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Of a load: the value, if there is one.
    Value(Option<Vec<u8>>),
    /// Of a load of a range: keys and values.
    Range(Vec<(Vec<String>, Vec<u8>)>),
    /// Of a put or a delete: it is durable.
    Done,
}

/// Why a storage operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreFailure {
    /// The disk or the browser's quota is full.
    pub full: bool,
    /// What the platform said.
    pub message: String,
}
