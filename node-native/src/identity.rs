//! Who this node is: an Ed25519 key, kept on disk.

use std::{fs, io, os::unix::fs::PermissionsExt, path::PathBuf};

use ed25519_dalek::SigningKey;
use neuromesh::{PeerId, platform};
use serde::{Deserialize, Serialize};

use crate::data::{self, DataDir};

/// A file longer than this is none of ours.
const MAX_FILE: u64 = 4096;

/// The node's key and the peer id that follows from it.
#[derive(Clone)]
pub struct Identity {
    seed: [u8; 32],
    peer: PeerId,
}

/// The identity cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("identity file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is damaged. It is left as it is: a new key would be a new node.
    #[error(
        "identity file {path} is damaged ({reason}). Restore it from a backup; or remove it, and this node becomes \
         a new one that others do not know"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        reason: String,
    },
}

/// The file. The peer id is there so that a damaged seed is noticed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    version: u32,
    seed: String,
    peer_id: PeerId,
}

impl Identity {
    /// The identity in `data`, made where there is none.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn open(data: &DataDir) -> Result<Self, IdentityError> {
        let path = data.identity();
        let io = |source| IdentityError::Io { path: path.clone(), source };
        if let Some(identity) = Self::read(data)? {
            return Ok(identity);
        }
        let identity = Self::from_seed(platform::random_seed());
        let stored = Stored { version: 1, seed: hex::encode(identity.seed), peer_id: identity.peer };
        let mut bytes = serde_json::to_vec(&stored).expect("strings and a number are JSON");
        bytes.push(b'\n');
        if data::create_private(&path, &bytes).map_err(io)? {
            tracing::info!(peer = %identity.peer, "made a new identity");
            return Ok(identity);
        }
        // Another process was first.
        Self::read(data)?.ok_or_else(|| io(io::ErrorKind::NotFound.into()))
    }

    fn read(data: &DataDir) -> Result<Option<Self>, IdentityError> {
        let path = data.identity();
        let io = |source| IdentityError::Io { path: path.clone(), source };
        let damaged = |reason: String| IdentityError::Damaged { path: path.clone(), reason };
        let facts = match fs::metadata(&path) {
            Ok(facts) => facts,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        if facts.len() > MAX_FILE {
            return Err(damaged(format!("{} bytes long", facts.len())));
        }
        if facts.permissions().mode() & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "others may read the identity file; chmod 600 it");
        }
        let bytes = fs::read(&path).map_err(io)?;
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if stored.version != 1 {
            return Err(damaged(format!("version {} is not known", stored.version)));
        }
        let mut seed = [0; 32];
        hex::decode_to_slice(&stored.seed, &mut seed).map_err(|_| damaged("the seed is not 64 hex digits".into()))?;
        let identity = Self::from_seed(seed);
        if identity.peer == stored.peer_id {
            Ok(Some(identity))
        } else {
            Err(damaged("the seed is not the stated peer's".into()))
        }
    }

    fn from_seed(seed: [u8; 32]) -> Self {
        let key = SigningKey::from_bytes(&seed).verifying_key();
        Self { seed, peer: PeerId::from_public_key(key.to_bytes()) }
    }

    /// The secret half.
    pub fn seed(&self) -> [u8; 32] {
        self.seed
    }

    /// The name others know it by.
    pub fn peer(&self) -> PeerId {
        self.peer
    }
}

#[cfg(test)]
mod tests;
