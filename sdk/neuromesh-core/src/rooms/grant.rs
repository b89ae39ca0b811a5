//! Grants: what an issuer signs so that one peer may be in one room for a while.
//!
//! ```text
//!   01 │ room (16) │ holder (32) │ not after (u64 LE, Unix seconds) │ issuer (32) │ signature (64)
//! ```
//!
//! Holder and issuer are Ed25519 public keys; the signature (RFC 8032) is the issuer's, over everything before it behind a text
//! that no other signature of ours begins with. As text it is [`TOKEN_PREFIX`] and base64url without padding (RFC 4648 §5). There
//! is one form of each grant, in bytes and in text, and nothing else is read.
//!
//! A grant is no secret: it stands in the holder's presence, and nobody but its holder can sign that.

use std::{collections::BTreeSet, fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::RoomId;
use crate::{PeerId, Timestamp};

#[cfg(test)]
mod tests;

/// Bytes of a grant.
pub const GRANT_BYTES: usize = SIGNED_BYTES + 64;
/// What the text of a grant, a token, begins with.
pub const TOKEN_PREFIX: &str = "nmroom_";
/// Characters of a token.
pub const TOKEN_CHARS: usize = TOKEN_PREFIX.len() + GRANT_BYTES / 3 * 4;

/// Domain separation: a signature over a grant can be no signature over anything else.
const CONTEXT: &[u8] = b"neuromesh room grant 1\0";
/// The format that this build reads and writes.
const VERSION: u8 = 1;
/// Everything but the signature.
const SIGNED_BYTES: usize = 1 + 16 + 32 + 8 + 32;

// No bits are left over in the text, so that it has one form.
const _: () = assert!(GRANT_BYTES.is_multiple_of(3));

/// Leave for one peer to be in one room until some time, signed by whoever gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which room.
    pub room: RoomId,
    /// Which peer.
    pub holder: PeerId,
    /// From this second since 1970 on it does not hold any more.
    pub not_after: u64,
    /// Whose signature it is.
    pub issuer: PeerId,
    /// Over the fields above.
    pub signature: [u8; 64],
}

/// A grant does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// Cut off, too long, or not of this form.
    #[error("it is no token of a room: {TOKEN_PREFIX} and {} letters, digits, - and _", TOKEN_CHARS - TOKEN_PREFIX.len())]
    Malformed,
    /// A later format.
    #[error("its version {0} is not known; this build reads version {VERSION}")]
    Version(u8),
    /// It is another room's.
    #[error("it is for another room")]
    WrongRoom,
    /// It is another peer's.
    #[error("it is for the peer {0}; have one made for this peer's id")]
    WrongHolder(PeerId),
    /// Its time is over.
    #[error("it has expired; have a new one made")]
    Expired,
    /// Nobody asks for grants of this issuer.
    #[error("the nodes do not take tokens of the issuer {0}")]
    UnknownIssuer(PeerId),
    /// The signature is not the issuer's over these fields.
    #[error("its signature is not that of its issuer")]
    Signature,
}

/// What a grant says that was found to be its issuer's and its holder's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The room.
    pub room: RoomId,
    /// Who gave it.
    pub issuer: PeerId,
    /// The first moment at which it does not hold any more.
    pub until: Timestamp,
}

impl Grant {
    /// Signs a grant with the secret half of an issuer's key.
    pub fn sign(key: &[u8; 32], room: RoomId, holder: PeerId, not_after: u64) -> Self {
        let key = SigningKey::from_bytes(key);
        let issuer = PeerId::from_public_key(key.verifying_key().to_bytes());
        let mut grant = Self { room, holder, not_after, issuer, signature: [0; 64] };
        grant.signature = key.sign(&grant.message()).to_bytes();
        grant
    }

    /// The first moment at which it does not hold any more.
    pub const fn until(&self) -> Timestamp {
        Timestamp::from_millis(self.not_after.saturating_mul(1000))
    }

    /// Checks everything about it: that it is for this room and this peer, holds now, and was signed by one of `issuers`; by anybody
    /// where `issuers` is empty.
    ///
    /// # Errors
    /// The first of [`GrantError`] that applies.
    pub fn check(
        &self,
        room: &RoomId,
        holder: &PeerId,
        issuers: &BTreeSet<PeerId>,
        now: Timestamp,
    ) -> Result<Granted, GrantError> {
        if self.room != *room {
            return Err(GrantError::WrongRoom);
        }
        let granted = self.granted(holder)?;
        if !issuers.is_empty() && !issuers.contains(&self.issuer) {
            return Err(GrantError::UnknownIssuer(self.issuer));
        }
        if granted.holds(now) { Ok(granted) } else { Err(GrantError::Expired) }
    }

    /// Checks that it is this peer's and its issuer's; whether its issuer counts and its time is not over may be asked of the result
    /// again and again.
    ///
    /// # Errors
    /// [`GrantError::WrongHolder`], [`GrantError::Signature`].
    pub fn granted(&self, holder: &PeerId) -> Result<Granted, GrantError> {
        if self.holder != *holder {
            return Err(GrantError::WrongHolder(self.holder));
        }
        let key = VerifyingKey::from_bytes(self.issuer.public_key()).map_err(|_| GrantError::Signature)?;
        let signature = Signature::from_bytes(&self.signature);
        key.verify_strict(&self.message(), &signature).map_err(|_| GrantError::Signature)?;
        Ok(Granted { room: self.room, issuer: self.issuer, until: self.until() })
    }

    /// The binary form.
    pub fn to_bytes(&self) -> [u8; GRANT_BYTES] {
        let mut bytes = [0; GRANT_BYTES];
        bytes[0] = VERSION;
        bytes[1..17].copy_from_slice(&self.room.0);
        bytes[17..49].copy_from_slice(self.holder.public_key());
        bytes[49..57].copy_from_slice(&self.not_after.to_le_bytes());
        bytes[57..89].copy_from_slice(self.issuer.public_key());
        bytes[SIGNED_BYTES..].copy_from_slice(&self.signature);
        bytes
    }

    /// Reads the binary form; who signed it is not looked at.
    ///
    /// # Errors
    /// [`GrantError::Malformed`], [`GrantError::Version`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GrantError> {
        if let Some(version) = bytes.first().filter(|version| **version != VERSION) {
            return Err(GrantError::Version(*version));
        }
        let bytes: &[u8; GRANT_BYTES] = bytes.try_into().map_err(|_| GrantError::Malformed)?;
        let (_, rest) = bytes.split_first().ok_or(GrantError::Malformed)?;
        let (room, rest) = rest.split_first_chunk().ok_or(GrantError::Malformed)?;
        let (holder, rest) = rest.split_first_chunk().ok_or(GrantError::Malformed)?;
        let (not_after, rest) = rest.split_first_chunk().ok_or(GrantError::Malformed)?;
        let (issuer, rest) = rest.split_first_chunk().ok_or(GrantError::Malformed)?;
        let signature = rest.try_into().map_err(|_| GrantError::Malformed)?;
        Ok(Self {
            room: RoomId(*room),
            holder: PeerId::from_public_key(*holder),
            not_after: u64::from_le_bytes(*not_after),
            issuer: PeerId::from_public_key(*issuer),
            signature,
        })
    }

    fn message(&self) -> Vec<u8> {
        let mut message = CONTEXT.to_vec();
        message.extend_from_slice(&self.to_bytes()[..SIGNED_BYTES]);
        message
    }
}

impl Granted {
    /// Whether its time is not over.
    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TOKEN_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        // Before anything is allocated for it.
        if text.len() != TOKEN_CHARS {
            return Err(GrantError::Malformed);
        }
        let digits = text.strip_prefix(TOKEN_PREFIX).ok_or(GrantError::Malformed)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(digits).map_err(|_| GrantError::Malformed)?;
        Self::from_bytes(&bytes)
    }
}
