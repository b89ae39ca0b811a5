//! What one node says of itself, signed.

use std::collections::BTreeMap;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::Profile;
use crate::{PeerId, wire::WireError};

/// Domain separation: a signature over a record can be no signature over anything else.
const CONTEXT: &[u8] = b"neuromesh presence 1\0";

/// The most keys of a record.
pub const MAX_KEYS: usize = 32;
/// The longest key.
pub const MAX_KEY_BYTES: usize = 32;
/// The longest value.
pub const MAX_VALUE_BYTES: usize = 8 << 10;
/// The longest record, all together.
pub const MAX_RECORD_BYTES: usize = 16 << 10;

/// Which of two records of a node is newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// Higher at every start of the node.
    pub generation: u64,
    /// Higher at every change and heartbeat within one start.
    pub number: u64,
}

/// Everything that one node says of itself, at one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The node, and the key that signed.
    pub node: PeerId,
    /// How new it is.
    pub version: Version,
    /// Key-values. Keys that this build does not know are kept and relayed.
    pub entries: BTreeMap<String, Vec<u8>>,
    /// 64 bytes over the fields above.
    pub signature: Vec<u8>,
}

/// A record, or the frame that carries it, is refused; nothing of it was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Too many keys, or too long a key, value or whole.
    #[error("presence of {0} is over a limit")]
    TooLarge(PeerId),
    /// Not signed by its node.
    #[error("presence of {0} is not signed by it")]
    Signature(PeerId),
    /// A known key has a value that is not of its kind.
    #[error("presence of {node}: {key} is malformed")]
    Value {
        /// Whose record.
        node: PeerId,
        /// The key.
        key: &'static str,
    },
    /// Not a frame at all.
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl Record {
    /// Signs a record of the key's own node.
    pub fn sign(key: &SigningKey, version: Version, entries: BTreeMap<String, Vec<u8>>) -> Self {
        let node = PeerId::from_public_key(key.verifying_key().to_bytes());
        let mut record = Self { node, version, entries, signature: Vec::new() };
        record.signature = key.sign(&record.message()).to_bytes().to_vec();
        record
    }

    /// Checks bounds, then the signature, then the values.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(&self) -> Result<Profile, RecordError> {
        let value_fits =
            |(key, value): (&String, &Vec<u8>)| key.len() <= MAX_KEY_BYTES && value.len() <= MAX_VALUE_BYTES;
        if self.entries.len() > MAX_KEYS || !self.entries.iter().all(value_fits) || self.size() > MAX_RECORD_BYTES {
            return Err(RecordError::TooLarge(self.node));
        }
        let bad = |_| RecordError::Signature(self.node);
        let key = VerifyingKey::from_bytes(self.node.public_key()).map_err(bad)?;
        let signature = Signature::from_slice(&self.signature).map_err(bad)?;
        key.verify_strict(&self.message(), &signature).map_err(bad)?;
        Profile::from_entries(&self.entries).map_err(|key| RecordError::Value { node: self.node, key })
    }

    /// Bytes in a frame, at most.
    pub fn size(&self) -> usize {
        let entries: usize = self.entries.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
        // Node, two varints, two lengths, signature.
        32 + 20 + 10 + self.signature.len() + entries
    }

    fn message(&self) -> Vec<u8> {
        let signed = (self.node, self.version, &self.entries);
        postcard::to_extend(&signed, CONTEXT.to_vec()).expect("maps of strings and bytes have known lengths")
    }
}
