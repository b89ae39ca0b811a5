//! A part of an answer that is still being made.

use super::{FRAMING_BYTES, MAX_INFER_HEADER_BYTES, WireError, behind, decode, encode_after};
use crate::part::{MAX_PART_BYTES, Part};

const PART: &str = "part of an answer";
const LIMITS: (usize, usize) = (MAX_INFER_HEADER_BYTES, FRAMING_BYTES + MAX_INFER_HEADER_BYTES);
/// The kind byte of a part.
const KIND: u8 = 1;

/// The largest part fits in its header: a token takes five bytes there, and four of [`MAX_PART_BYTES`].
const _: () = assert!(MAX_PART_BYTES / 4 * 5 + 16 <= MAX_INFER_HEADER_BYTES);

/// A part of an answer, before the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InferPart(pub Part);

/// Whether a frame that answers a model run is a part; it is the reply otherwise, and the last.
pub fn is_part(frame: &[u8]) -> bool {
    frame.first() == Some(&KIND)
}

impl InferPart {
    /// The bytes for the wire.
    ///
    /// # Errors
    /// [`WireError::TooLarge`] over [`MAX_PART_BYTES`]; [`WireError::Malformed`] of a part that says nothing.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        check(&self.0)?;
        Ok(encode_after(&[KIND], &self.0, 0))
    }

    /// Reads a part.
    ///
    /// # Errors
    /// [`WireError`]; a part that is returned is within the bounds of [`InferPart::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match decode(PART, behind(KIND, PART, bytes)?, LIMITS)? {
            (part, []) => check(&part).map(|()| Self(part)),
            _ => Err(WireError::Trailing(PART)),
        }
    }
}

fn check(part: &Part) -> Result<(), WireError> {
    let size = part.size();
    if size > MAX_PART_BYTES {
        return Err(WireError::TooLarge { what: PART, size, limit: MAX_PART_BYTES });
    }
    if part.is_empty() { Err(WireError::Malformed(PART)) } else { Ok(()) }
}
