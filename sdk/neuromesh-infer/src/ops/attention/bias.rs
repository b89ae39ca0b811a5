//! Which keys a query may see, as numbers added to the scores.

use crate::{
    DataType, Fault,
    ops::call::Call,
    shape::{Shape, broadcast, broadcast_strides},
};

/// The mask and the order of time.
pub(super) struct Bias<'a> {
    mask: Option<Mask<'a>>,
    /// How many keys lie before the first query, if a query must not see what comes after it.
    causal: Option<usize>,
    rows: usize,
    length: usize,
}

struct Mask<'a> {
    data: Numbers<'a>,
    /// Distances between neighbours along batch, head, row and key.
    strides: Shape,
    /// Keys that it speaks of; those behind are hidden.
    length: usize,
}

enum Numbers<'a> {
    /// What is added.
    Floats(&'a [f32]),
    /// Whether a key is seen.
    Bools(&'a [u8]),
}

impl<'a> Bias<'a> {
    /// From a mask that broadcasts to this shape, or has fewer keys.
    pub fn new(call: &'a Call<'_>, input: usize, pairs: [usize; 4], past: usize) -> Result<Self, Fault> {
        let [batch, heads, rows, length] = pairs;
        let causal = call.attributes().flag("is_causal", false)?.then_some(past);
        let mask = match call.has(input) {
            false => None,
            true => {
                let own = call.shape(input)?;
                let last = own.last().copied().filter(|&last| last != 1 && last < length);
                let full = [batch, heads, rows, last.unwrap_or(length)];
                if own.len() > 4 || broadcast(&full, &own)?[..] != full {
                    return Err(Fault::Shape(format!("a mask of shape {own:?} does not fit {pairs:?}")));
                }
                let data = match call.data_type(input)? {
                    DataType::F32 => Numbers::Floats(call.floats(input)?),
                    DataType::Bool => Numbers::Bools(call.bools(input)?),
                    found => return Err(Fault::Type { input, found }),
                };
                Some(Mask { data, strides: broadcast_strides(&own, &full), length: full[3] })
            }
        };
        Ok(Self { mask, causal, rows, length })
    }

    /// Adds to the scores of one head, and marks the rows that see nothing.
    pub fn add(&self, batch: usize, head: usize, scores: &mut [f32], empty: &mut [u8]) {
        if self.length == 0 {
            return;
        }
        for (row, (scores, empty)) in scores.chunks_exact_mut(self.length).zip(empty).enumerate().take(self.rows) {
            let visible = match self.causal {
                Some(past) => (past + row + 1).min(self.length),
                None => self.length,
            };
            let mut sees = false;
            for (key, score) in scores.iter_mut().enumerate() {
                let hidden = key >= visible;
                let bias = match &self.mask {
                    None => 0.0,
                    Some(mask) => mask.at(batch, head, row, key),
                } + if hidden { f32::NEG_INFINITY } else { 0.0 };
                sees |= bias != f32::NEG_INFINITY;
                *score += bias;
            }
            let nothing_left = scores.iter().all(|&score| score == f32::NEG_INFINITY);
            *empty = u8::from(!sees || nothing_left);
        }
    }
}

impl Mask<'_> {
    fn at(&self, batch: usize, head: usize, row: usize, key: usize) -> f32 {
        if key >= self.length {
            return f32::NEG_INFINITY;
        }
        let at = batch * self.strides[0] + head * self.strides[1] + row * self.strides[2] + key * self.strides[3];
        match self.data {
            Numbers::Floats(data) => data[at],
            Numbers::Bools(data) if data[at] != 0 => 0.0,
            Numbers::Bools(_) => f32::NEG_INFINITY,
        }
    }
}
