//! Where the rows of each head lie.

use super::Matrix;
use crate::{
    DataType, Fault,
    attribute::wrong,
    memory::Memory,
    ops::call::Call,
    shape::{self, Shape},
    value::Value,
};

/// A tensor of heads: `[batch, heads, length, size]`, or `[batch, length, heads * size]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    pub batch: usize,
    pub heads: usize,
    pub length: usize,
    pub size: usize,
    /// Whether the rows of a head lie together.
    pub apart: bool,
}

impl Heads {
    /// An operand; the attribute tells how many heads there are where the shape does not.
    pub fn new(call: &Call<'_>, input: usize, attribute: &str) -> Result<Self, Fault> {
        let sizes = call.shape(input)?;
        match sizes[..] {
            [batch, heads, length, size] => Ok(Self { batch, heads, length, size, apart: true }),
            [batch, length, width] => {
                let heads = call.attributes().int(attribute)?.and_then(|heads| usize::try_from(heads).ok());
                let heads = heads.filter(|&heads| heads > 0 && width.is_multiple_of(heads));
                let heads = heads.ok_or_else(|| wrong(attribute, &format!("it is needed to divide {sizes:?}")))?;
                Ok(Self { batch, heads, length, size: width / heads, apart: false })
            }
            _ => Err(Fault::Shape(format!("{sizes:?} should have three or four dimensions"))),
        }
    }

    pub fn shape(&self) -> Shape {
        match self.apart {
            true => Shape::from_slice(&[self.batch, self.heads, self.length, self.size]),
            false => Shape::from_slice(&[self.batch, self.length, self.heads * self.size]),
        }
    }

    /// Where a row begins.
    pub fn row(&self, batch: usize, head: usize, index: usize) -> usize {
        match self.apart {
            true => ((batch * self.heads + head) * self.length + index) * self.size,
            false => ((batch * self.length + index) * self.heads + head) * self.size,
        }
    }

    /// The rows of one head.
    pub fn matrix<'a>(&self, data: &'a [f32], batch: usize, head: usize) -> Matrix<'a> {
        let row = if self.apart { self.size } else { self.heads * self.size };
        // A head without rows may begin at the end.
        let start = self.row(batch, head, 0).min(data.len());
        Matrix { data: &data[start..], row, column: 1 }
    }

    /// Puts the rows of one head, which lie together in `from`, where they belong.
    pub fn store(&self, from: &[f32], batch: usize, head: usize, to: &mut [f32]) {
        if self.size == 0 {
            return;
        }
        for (index, row) in from.chunks_exact(self.size).enumerate() {
            to[self.row(batch, head, index)..][..self.size].copy_from_slice(row);
        }
    }

    /// The rows of each head behind its rows in `before`, which lie together there and in the result.
    pub fn behind(&self, memory: &Memory, data: &[f32], before: &[f32], whole: Heads) -> Result<Value, Fault> {
        let target = whole.shape();
        shape::checked(&target)?;
        let mut result = memory.value(DataType::F32, target)?;
        let out = result.raw_mut::<f32>();
        if out.is_empty() {
            return Ok(result);
        }
        let past = whole.length - self.length;
        for batch in 0..self.batch {
            for head in 0..self.heads {
                let rows = past * self.size;
                out[whole.row(batch, head, 0)..][..rows]
                    .copy_from_slice(&before[(batch * self.heads + head) * rows..][..rows]);
                for index in 0..self.length {
                    out[whole.row(batch, head, past + index)..][..self.size]
                        .copy_from_slice(&data[self.row(batch, head, index)..][..self.size]);
                }
            }
        }
        Ok(result)
    }
}
