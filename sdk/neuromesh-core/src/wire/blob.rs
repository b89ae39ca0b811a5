//! Content by digest, in chunks. Manifests are content like any other.

use serde::{Deserialize, Serialize};

use super::{MAX_BLOB_BYTES, MAX_BLOB_CHUNK, MAX_BLOB_HEADER_BYTES, MAX_BLOB_REQUEST_BYTES, WireError, decode, encode};
use crate::Digest;

const REQUEST: &str = "blob request";
const REPLY: &str = "blob reply";

/// Asks for a part of some content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRequest {
    /// Which content.
    pub digest: Digest,
    /// From which byte on.
    pub offset: u64,
    /// How many bytes at most; never more than [`MAX_BLOB_CHUNK`].
    pub len: u32,
}

impl BlobRequest {
    /// The bytes for the wire.
    pub fn encode(&self) -> Vec<u8> {
        encode(self, 0)
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`WireError`], also when more than [`MAX_BLOB_CHUNK`] is asked for.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let (request, body): (Self, _) = decode(REQUEST, bytes, (MAX_BLOB_HEADER_BYTES, MAX_BLOB_REQUEST_BYTES))?;
        if !body.is_empty() {
            return Err(WireError::Trailing(REQUEST));
        }
        within_chunk(REQUEST, request.len as usize)?;
        Ok(request)
    }
}

/// The answer to a [`BlobRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobReply {
    /// A part of the content; shorter than asked only at the end.
    Data {
        /// Length of the whole content.
        total: u64,
        /// The part.
        bytes: Vec<u8>,
    },
    /// This peer does not hold it.
    Missing,
}

#[derive(Serialize, Deserialize)]
enum ReplyHead {
    Data { total: u64, len: u32 },
    Missing,
}

impl BlobReply {
    /// The bytes for the wire.
    ///
    /// # Errors
    /// [`WireError::TooLarge`] for a part over [`MAX_BLOB_CHUNK`].
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        match self {
            Self::Missing => Ok(encode(&ReplyHead::Missing, 0)),
            Self::Data { total, bytes } => {
                let len = within_chunk(REPLY, bytes.len())?;
                let mut out = encode(&ReplyHead::Data { total: *total, len }, bytes.len());
                out.extend_from_slice(bytes);
                Ok(out)
            }
        }
    }

    /// Reads a reply.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let (head, body) = decode(REPLY, bytes, (MAX_BLOB_HEADER_BYTES, MAX_BLOB_BYTES))?;
        let (len, reply) = match head {
            ReplyHead::Missing => (0, Self::Missing),
            ReplyHead::Data { total, len } => {
                within_chunk(REPLY, len as usize)?;
                (len as usize, Self::Data { total, bytes: body.to_vec() })
            }
        };
        match body.len().cmp(&len) {
            std::cmp::Ordering::Less => Err(WireError::Malformed(REPLY)),
            std::cmp::Ordering::Equal => Ok(reply),
            std::cmp::Ordering::Greater => Err(WireError::Trailing(REPLY)),
        }
    }
}

fn within_chunk(what: &'static str, size: usize) -> Result<u32, WireError> {
    if size > MAX_BLOB_CHUNK {
        return Err(WireError::TooLarge { what, size, limit: MAX_BLOB_CHUNK });
    }
    Ok(u32::try_from(size).expect("a chunk is far below 4 GiB"))
}
