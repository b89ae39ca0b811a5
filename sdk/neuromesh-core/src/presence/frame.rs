//! What two nodes say to each other to find what differs.

use serde::{Deserialize, Serialize};

use super::{MAX_NODES, Record, Version};
use crate::{
    Digest, PeerId,
    wire::{self, MAX_PRESENCE_BYTES, WireError},
};

const FRAME: &str = "presence frame";
/// Framing, tags and lengths of a frame, generously.
const OVERHEAD: usize = 64;
/// A node id and two varints.
const SEEN_BYTES: usize = 52;
// A digest of all nodes fits in a frame.
const _: () = assert!(MAX_NODES * SEEN_BYTES + OVERHEAD <= MAX_PRESENCE_BYTES);

/// The version that somebody has of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub node: PeerId,
    pub version: Version,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Frame {
    /// A hash of the sender's digest: answered only when it differs from the receiver's.
    Root([u8; 16]),
    /// All that the sender has seen.
    Digest(Vec<Seen>),
    /// What the receiver lacks, and what the sender lacks, with the versions that it has.
    Delta { records: Vec<Record>, wants: Vec<Seen> },
}

impl Frame {
    pub fn encode(&self) -> Vec<u8> {
        let bytes = wire::encode(self, 0);
        debug_assert!(bytes.len() <= MAX_PRESENCE_BYTES, "{} bytes", bytes.len());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match wire::decode(FRAME, bytes, (MAX_PRESENCE_BYTES, MAX_PRESENCE_BYTES))? {
            (frame, []) => Ok(frame),
            _ => Err(WireError::Trailing(FRAME)),
        }
    }
}

/// The hash of a digest in ascending order of nodes.
pub(super) fn root(digest: &[Seen]) -> [u8; 16] {
    let bytes = postcard::to_stdvec(digest).expect("digests have known lengths");
    let mut root = [0; 16];
    root.copy_from_slice(&Digest::of(&bytes).as_bytes()[..16]);
    root
}

/// Bytes for records in a delta that carries this many wants.
pub(super) fn room(wants: usize) -> usize {
    MAX_PRESENCE_BYTES.saturating_sub(OVERHEAD + wants * SEEN_BYTES)
}
