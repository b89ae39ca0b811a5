//! The one codec of everything that peers say to each other.
//!
//! A message is a version byte, a little-endian `u32` length, a postcard header of that length, and a body of raw
//! bytes whose extent the header states, so that tensors are copied once and never pass through the codec:
//!
//! ```text
//!   01 │ len: u32 LE │ header (postcard, ≤ MAX_*_HEADER_BYTES) │ body: raw little-endian bytes
//! ```
//!
//! What answers a model run has a kind byte in front: any number of parts of the answer ([`is_part`]) come before the one
//! reply, which is the last.
//!
//! Decoding never panics, never reserves more than the bytes at hand justify, and takes a message only if it is
//! whole and nothing follows it. A change of format must edit the golden bytes in `wire/tests.rs`.

use serde::{Serialize, de::DeserializeOwned};

use crate::payload::{MAX_PAYLOAD_BYTES, PayloadError};

mod blob;
mod infer;
mod part;
#[cfg(test)]
mod tests;

pub use blob::{BlobReply, BlobRequest};
pub use infer::{ErrorKind, Failure, InferReply, InferRequest, InferSuccess};
pub use part::{InferPart, is_part};

/// The version of the format, first byte of every message.
pub const VERSION: u8 = 1;

/// libp2p protocol of presence frames.
pub const PRESENCE_PROTOCOL: &str = "/neuromesh/presence/1";
/// libp2p protocol of model runs: one request, parts of the answer if they were asked for, and one reply per stream.
pub const INFER_PROTOCOL: &str = "/neuromesh/infer/2";
/// libp2p protocol of content: one request and one reply per stream.
pub const BLOB_PROTOCOL: &str = "/neuromesh/blob/1";

/// Version byte and header length.
const FRAMING_BYTES: usize = 5;
/// The longest presence frame.
pub const MAX_PRESENCE_BYTES: usize = 64 << 10;
/// The longest header of a model run: names and shapes of 64 tensors fit.
pub const MAX_INFER_HEADER_BYTES: usize = 32 << 10;
/// The longest request or reply of a model run, with its kind byte.
pub const MAX_INFER_BYTES: usize = 1 + FRAMING_BYTES + MAX_INFER_HEADER_BYTES + MAX_PAYLOAD_BYTES;
/// The most content that one blob reply carries.
pub const MAX_BLOB_CHUNK: usize = 1 << 20;
/// The longest header of a blob message.
pub const MAX_BLOB_HEADER_BYTES: usize = 64;
/// The longest blob request.
pub const MAX_BLOB_REQUEST_BYTES: usize = FRAMING_BYTES + MAX_BLOB_HEADER_BYTES;
/// The longest blob reply.
pub const MAX_BLOB_BYTES: usize = FRAMING_BYTES + MAX_BLOB_HEADER_BYTES + MAX_BLOB_CHUNK;
/// The longest text in an error reply, in bytes.
pub const MAX_ERROR_TEXT: usize = 1024;

/// Bytes are not a message of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Longer than this kind of message may be.
    #[error("{what} of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// The kind of message, or its header.
        what: &'static str,
        /// What came.
        size: usize,
        /// What is taken.
        limit: usize,
    },
    /// A version that this build does not speak.
    #[error("wire version {0} is not known; this build speaks {VERSION}")]
    Version(u8),
    /// Cut off, or not of this shape.
    #[error("{0} is cut off or malformed")]
    Malformed(&'static str),
    /// More bytes than the message says.
    #[error("{0} is followed by bytes that do not belong to it")]
    Trailing(&'static str),
    /// A payload that breaks its own rules.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

/// Encodes a header, with room for `body` bytes behind it.
pub(crate) fn encode<T: Serialize>(header: &T, body: usize) -> Vec<u8> {
    encode_after(&[], header, body)
}

/// The same behind a kind byte, or behind nothing.
fn encode_after<T: Serialize>(kind: &[u8], header: &T, body: usize) -> Vec<u8> {
    let start = kind.len() + FRAMING_BYTES;
    let mut out = Vec::with_capacity(start + 256 + body);
    out.extend_from_slice(kind);
    out.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
    let mut out = postcard::to_extend(header, out).expect("our messages have known lengths and no foreign serializers");
    let len = u32::try_from(out.len() - start).expect("headers are bounded far below 4 GiB");
    out[start - 4..start].copy_from_slice(&len.to_le_bytes());
    out
}

/// Splits a message into its decoded header and its body. `limits` are those of the header and of the whole.
pub(crate) fn decode<'a, T: DeserializeOwned>(
    what: &'static str,
    bytes: &'a [u8],
    limits: (usize, usize),
) -> Result<(T, &'a [u8]), WireError> {
    let too_large = |size, limit| WireError::TooLarge { what, size, limit };
    if bytes.len() > limits.1 {
        return Err(too_large(bytes.len(), limits.1));
    }
    let (version, rest) = bytes.split_first().ok_or(WireError::Malformed(what))?;
    if *version != VERSION {
        return Err(WireError::Version(*version));
    }
    let (len, rest) = rest.split_first_chunk::<4>().ok_or(WireError::Malformed(what))?;
    let len = u32::from_le_bytes(*len) as usize;
    if len > limits.0 {
        return Err(too_large(len, limits.0));
    }
    let (header, body) = rest.split_at_checked(len).ok_or(WireError::Malformed(what))?;
    match postcard::take_from_bytes(header).map_err(|_| WireError::Malformed(what))? {
        (header, []) => Ok((header, body)),
        _ => Err(WireError::Trailing(what)),
    }
}

/// The message behind this kind byte.
fn behind<'a>(kind: u8, what: &'static str, bytes: &'a [u8]) -> Result<&'a [u8], WireError> {
    match bytes.split_first() {
        Some((first, message)) if *first == kind => Ok(message),
        _ => Err(WireError::Malformed(what)),
    }
}

/// Cuts `text` to at most `limit` bytes, at a character's boundary.
pub(crate) fn clip(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
