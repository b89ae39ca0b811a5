//! What goes into a model run and what comes out of it.

use serde::{Deserialize, Serialize};

use crate::{Digest, ids::DigestWriter};

mod class;
#[cfg(test)]
mod tests;

pub use class::ShapeClass;

/// The most bytes that one payload may carry.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;
/// The most tensors in one payload.
pub const MAX_TENSORS: usize = 64;
/// The most dimensions of a tensor.
pub const MAX_RANK: usize = 8;
/// The most parts of a [`SparseBytes`].
pub const MAX_PARTS: usize = 16;
/// The longest name of a tensor, in bytes.
pub const MAX_NAME: usize = 256;

/// The element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// Signed 64-bit.
    I64,
    /// Signed 32-bit.
    I32,
    /// Signed 8-bit.
    I8,
    /// Unsigned 8-bit.
    U8,
    /// One byte per element, 0 or 1.
    Bool,
}

impl DType {
    /// Bytes per element.
    pub const fn size(self) -> usize {
        match self {
            Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }
}

/// A named, dense, row-major tensor; `data` is little-endian.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tensor {
    /// The model's name for this input or output.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Sizes, outermost first; empty for a scalar.
    pub shape: Vec<u32>,
    /// `shape.product() * dtype.size()` bytes.
    pub data: Vec<u8>,
}

/// A byte string of which only some parts are at hand: a pipeline that reads the ends of a file needs no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SparseBytes {
    /// Length of the whole, in bytes.
    pub len: u64,
    /// The parts at hand: ascending, not overlapping, inside `len`.
    pub parts: Vec<Part>,
}

/// A contiguous part of a [`SparseBytes`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Where it begins.
    pub offset: u64,
    /// Its content.
    pub data: Vec<u8>,
}

impl SparseBytes {
    /// All of `data`.
    pub fn whole(data: Vec<u8>) -> Self {
        Self { len: data.len() as u64, parts: vec![Part { offset: 0, data }] }
    }

    /// The first `head` and last `tail` bytes of `data`; all of it when they meet.
    pub fn ends(data: &[u8], head: usize, tail: usize) -> Self {
        if head.saturating_add(tail) >= data.len() {
            return Self::whole(data.to_vec());
        }
        let cut = data.len() - tail;
        Self {
            len: data.len() as u64,
            parts: vec![
                Part { offset: 0, data: data[..head].to_vec() },
                Part { offset: cut as u64, data: data[cut..].to_vec() },
            ],
        }
    }

    /// The `len` bytes from `offset`, if one part holds them all.
    pub fn read(&self, offset: u64, len: usize) -> Option<&[u8]> {
        self.parts.iter().find_map(|part| {
            let start = usize::try_from(offset.checked_sub(part.offset)?).ok()?;
            part.data.get(start..start.checked_add(len)?)
        })
    }
}

/// The input or the output of a model run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// Plain text, for pipelines that tokenize.
    Text(String),
    /// Bytes of a file or a stream.
    Bytes(SparseBytes),
    /// Named tensors.
    Tensors(Vec<Tensor>),
    /// A JSON document, as plugins return it.
    Json(String),
}

/// A payload breaks a rule; nothing was accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// More bytes than [`MAX_PAYLOAD_BYTES`].
    #[error("payload of {size} bytes is over the limit of {MAX_PAYLOAD_BYTES}")]
    TooLarge {
        /// What was offered.
        size: usize,
    },
    /// Too many tensors, dimensions or parts, or too long a name.
    #[error("payload has {count} {what}, over the limit of {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many were offered.
        count: usize,
        /// How many are taken.
        limit: usize,
    },
    /// `data` is not as long as the shape says.
    #[error("tensor {name:?}: shape and type need {expected} bytes, got {actual}")]
    DataLength {
        /// The tensor.
        name: String,
        /// Bytes that shape and type need.
        expected: u64,
        /// Bytes given.
        actual: u64,
    },
    /// Parts overlap, are out of order, or reach past the end.
    #[error("byte parts must be ascending, disjoint and inside the length of {len} bytes")]
    Parts {
        /// The stated length.
        len: u64,
    },
}

impl Payload {
    /// Bytes of content, without framing.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) | Self::Json(text) => text.len(),
            Self::Bytes(bytes) => bytes.parts.iter().map(|part| part.data.len()).sum(),
            Self::Tensors(tensors) => tensors.iter().map(|tensor| tensor.data.len()).sum(),
        }
    }

    /// Checks sizes and shapes; every payload from a peer or a caller passes here before it is used.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), PayloadError> {
        let size = self.size();
        if size > MAX_PAYLOAD_BYTES {
            return Err(PayloadError::TooLarge { size });
        }
        match self {
            Self::Text(_) | Self::Json(_) => Ok(()),
            Self::Bytes(bytes) => validate_parts(bytes),
            Self::Tensors(tensors) => {
                at_most("tensors", tensors.len(), MAX_TENSORS)?;
                tensors.iter().try_for_each(validate_tensor)
            }
        }
    }

    /// The digest that receipts name. It hashes content, not an encoding: a tag, then each field with its length.
    pub fn digest(&self) -> Digest {
        let mut hash = DigestWriter::new();
        let field = |hash: &mut DigestWriter, bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        match self {
            Self::Text(text) => {
                hash.update(b"text");
                field(&mut hash, text.as_bytes());
            }
            Self::Json(text) => {
                hash.update(b"json");
                field(&mut hash, text.as_bytes());
            }
            Self::Bytes(bytes) => {
                hash.update(b"byte");
                hash.update(&bytes.len.to_le_bytes());
                for part in &bytes.parts {
                    hash.update(&part.offset.to_le_bytes());
                    field(&mut hash, &part.data);
                }
            }
            Self::Tensors(tensors) => {
                hash.update(b"tens");
                for tensor in tensors {
                    field(&mut hash, tensor.name.as_bytes());
                    hash.update(&[tensor.dtype as u8, tensor.shape.len() as u8]);
                    for dim in &tensor.shape {
                        hash.update(&dim.to_le_bytes());
                    }
                    field(&mut hash, &tensor.data);
                }
            }
        }
        hash.finish()
    }
}

fn validate_tensor(tensor: &Tensor) -> Result<(), PayloadError> {
    at_most("bytes in a tensor's name", tensor.name.len(), MAX_NAME)?;
    at_most("dimensions", tensor.shape.len(), MAX_RANK)?;
    let expected = tensor
        .shape
        .iter()
        .try_fold(tensor.dtype.size() as u64, |product, dim| product.checked_mul(u64::from(*dim)))
        .unwrap_or(u64::MAX);
    let actual = tensor.data.len() as u64;
    if expected == actual {
        Ok(())
    } else {
        Err(PayloadError::DataLength { name: tensor.name.clone(), expected, actual })
    }
}

fn validate_parts(bytes: &SparseBytes) -> Result<(), PayloadError> {
    at_most("byte parts", bytes.parts.len(), MAX_PARTS)?;
    let mut end = 0;
    for part in &bytes.parts {
        let next = part.offset.checked_add(part.data.len() as u64);
        match next {
            Some(next) if part.offset >= end && next <= bytes.len => end = next,
            _ => return Err(PayloadError::Parts { len: bytes.len }),
        }
    }
    Ok(())
}

fn at_most(what: &'static str, count: usize, limit: usize) -> Result<(), PayloadError> {
    if count > limit { Err(PayloadError::TooMany { what, count, limit }) } else { Ok(()) }
}
