//! How large an input is, roughly.

use serde::{Deserialize, Serialize};

use super::Payload;

/// Inputs of like size: what a run takes is learned for each class. Class `c` holds the sizes above `2^(c-1)` up to `2^c`,
/// class 0 those of 0 and 1. A size counts the elements of all tensors, or the bytes at hand of anything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShapeClass(u8);

impl ShapeClass {
    /// The class of an input.
    pub fn of(payload: &Payload) -> Self {
        let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0, u64::saturating_add);
        Self::of_size(match payload {
            Payload::Text(text) | Payload::Json(text) => text.len() as u64,
            Payload::Bytes(bytes) => sum(&mut bytes.parts.iter().map(|part| part.data.len() as u64)),
            Payload::Tensors(tensors) => sum(&mut tensors.iter().map(|t| (t.data.len() / t.dtype.size()) as u64)),
        })
    }

    /// The class of a size.
    pub const fn of_size(size: u64) -> Self {
        match size {
            0 | 1 => Self(0),
            // At most 64.
            _ => Self((64 - (size - 1).leading_zeros()) as u8),
        }
    }

    /// The binary logarithm of the largest size in the class.
    pub const fn log2(self) -> u8 {
        self.0
    }
}
