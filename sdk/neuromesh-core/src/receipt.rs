//! A signed statement of who ran what.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::{Digest, PeerId};

#[cfg(test)]
mod tests;

/// Domain separation: a signature over a receipt can be no signature over anything else.
const CONTEXT: &[u8] = b"neuromesh receipt 1\0";

/// Whether running again gives the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exactness {
    /// The numeric contract holds: the same bits in every tier.
    Exact,
    /// A path whose last bits may differ between machines.
    Approximate,
}

/// Who ran which model on which input, with which output, and how long it took; signed with Ed25519 (RFC 8032).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Digest of the model's manifest.
    pub model: Digest,
    /// [`Payload::digest`](crate::Payload::digest) of the input.
    pub input: Digest,
    /// The same of the output.
    pub output: Digest,
    /// The peer that ran it.
    pub peer: PeerId,
    /// Time in the engine, in microseconds.
    pub duration_us: u64,
    /// Whether running again gives the same bits.
    pub exactness: Exactness,
    /// 64 bytes over the fields above.
    pub signature: Vec<u8>,
}

/// A receipt does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The peer id is no valid Ed25519 key.
    #[error("the receipt's peer id is not a valid Ed25519 key")]
    Key,
    /// The signature is not that peer's over these fields.
    #[error("the receipt's signature does not match its fields and peer")]
    Signature,
}

impl Receipt {
    /// Signs a receipt with the key of the peer that ran the model.
    pub fn sign(
        key: &SigningKey,
        model: Digest,
        input: Digest,
        output: Digest,
        duration_us: u64,
        exactness: Exactness,
    ) -> Self {
        let peer = PeerId::from_public_key(key.verifying_key().to_bytes());
        let mut receipt = Self { model, input, output, peer, duration_us, exactness, signature: Vec::new() };
        receipt.signature = key.sign(&receipt.message()).to_bytes().to_vec();
        receipt
    }

    /// Checks the signature against the stated peer. That the digests are those of the caller's own model, input and
    /// output is for the caller to compare.
    ///
    /// # Errors
    /// [`ReceiptError`]; a receipt that fails says nothing about anybody.
    pub fn verify(&self) -> Result<(), ReceiptError> {
        let key = VerifyingKey::from_bytes(self.peer.public_key()).map_err(|_| ReceiptError::Key)?;
        let signature = Signature::from_slice(&self.signature).map_err(|_| ReceiptError::Signature)?;
        key.verify_strict(&self.message(), &signature).map_err(|_| ReceiptError::Signature)
    }

    fn message(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(CONTEXT.len() + 4 * 32 + 9);
        message.extend_from_slice(CONTEXT);
        message.extend_from_slice(self.model.as_bytes());
        message.extend_from_slice(self.input.as_bytes());
        message.extend_from_slice(self.output.as_bytes());
        message.extend_from_slice(self.peer.public_key());
        message.extend_from_slice(&self.duration_us.to_le_bytes());
        message.push(match self.exactness {
            Exactness::Exact => 0,
            Exactness::Approximate => 1,
        });
        message
    }
}
