//! What a sync machine is given once.

use crate::PeerId;

/// The longest frame of `/neuromesh/sync/1`, either way. A whole document goes in one frame to a peer that has nothing.
pub const MAX_MESSAGE_BYTES: usize = 40 * 1024 * 1024;

/// Identity, seed and bounds of one [`Sync`](super::Sync).
#[derive(Clone, Debug)]
pub struct Config {
    /// This peer.
    pub peer: PeerId,
    /// The source of actor ids. Fresh for every run of a peer, or two runs would write under one name.
    pub seed: [u8; 32],
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of one [`Sync`](super::Sync); the defaults suit a tab and a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Documents held at once, opened here or offered by peers. Further ones are refused.
    pub documents: usize,
    /// Bytes of one JSON value (text and keys, eight for every other leaf).
    pub value_bytes: usize,
    /// Nesting of one JSON value. What peers nest deeper reads as `null`.
    pub depth: usize,
    /// Operations of one change: one for each character, element and member that is new or gone.
    pub change_ops: usize,
    /// Bytes of all changes of one document, which a new peer gets in one message. Beyond, our changes are refused;
    /// others' are at one and a half times as much.
    pub document_bytes: usize,
    /// Bytes that one message may unpack to.
    pub unpacked_bytes: usize,
    /// Inputs that may wait while storage is being opened, and sync messages while their document is being loaded.
    pub waiting: usize,
    /// Bytes of messages that may wait, for a document's storage or for its loading.
    pub waiting_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            documents: 4096,
            value_bytes: 16 * 1024 * 1024,
            depth: 64,
            change_ops: 1024 * 1024,
            document_bytes: 24 * 1024 * 1024,
            unpacked_bytes: 256 * 1024 * 1024,
            waiting: 1024,
            waiting_bytes: 2 * MAX_MESSAGE_BYTES,
        }
    }
}
