//! Attention and the rotation of its operands.

mod bias;
mod fused;
mod heads;
mod rotary;

use super::{
    Operator,
    call::{Call, Outputs},
    op,
    products::{self, Matrix},
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    kernels::{
        math,
        softmax::{self, Kind},
    },
    memory::Memory,
    value::Value,
};
use bias::Bias;
use heads::Heads;

pub(crate) use fused::{HEADS_FIRST, KEY, LENGTH_FIRST, PLAIN, QUERY, RESULT, VALUE};

pub(super) const TABLE: &[Operator] = &[
    op("*Attention", 1, 3..=4, fused::attention),
    op("Attention", 23, 3..=6, attention).outputs(1..=4),
    rotary::OPERATOR,
];

/// What the fourth result shows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    Products,
    Capped,
    Biased,
    Weights,
}

/// `Y = softmax(cap(Q · K^T * scale) + bias) · V` for each head.
fn attention(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let attributes = call.attributes();
    let scale = attributes.float("scale")?;
    let cap = attributes.float("softcap")?.unwrap_or(0.0);
    let shown = match attributes.int("qk_matmul_output_mode")?.unwrap_or(0) {
        0 => Shown::Products,
        1 => Shown::Capped,
        2 => Shown::Biased,
        3 => Shown::Weights,
        mode => return Err(wrong("qk_matmul_output_mode", &format!("{mode} is unknown"))),
    };
    // Single precision is at least what is asked for, except for doubles, which the engine does not have.
    match attributes.int("softmax_precision")? {
        None | Some(1 | 10 | 11 | 16) => {}
        Some(code) => return Err(wrong("softmax_precision", &format!("{code} is not a float type"))),
    }
    let query = Heads::new(call, 0, "q_num_heads")?;
    let keys = State::new(call, 1, 4)?;
    let values = State::new(call, 2, 5)?;
    let (k, v) = (keys.heads, values.heads);
    let fits = k.batch == query.batch
        && v.batch == query.batch
        && k.heads == v.heads
        && k.length == v.length
        && k.size == query.size
        && k.heads > 0
        && query.heads.is_multiple_of(k.heads)
        && call.has(4) == call.has(5);
    if !fits {
        let shapes = (call.shape(0)?, call.shape(1)?, call.shape(2)?);
        return Err(Fault::Shape(format!("queries, keys and values of the shapes {shapes:?} do not fit together")));
    }
    let (rows, length) = (query.length, k.length);
    let past = if call.has(4) { call.shape(4)?[2] } else { 0 };
    let bias = Bias::new(call, 3, [query.batch, query.heads, rows, length], past)?;
    let pairs = [query.batch, query.heads, rows, length];
    // Also what has no elements is gone through, head by head.
    let width = k.size.saturating_add(v.size);
    call.memory.check_work(&[pairs[0], pairs[1], rows.max(1), length.max(1), width.saturating_add(1)])?;
    let scale = scale.unwrap_or_else(|| 1.0 / (query.size as f32).sqrt());

    let target = Heads { size: v.size, ..query };
    let mut result = call.make(DataType::F32, target.shape())?;
    let mut kept = match matches!(call.node.outputs.get(3), Some(Some(_))) {
        true => Some(call.make(DataType::F32, pairs.as_slice())?),
        false => None,
    };
    let mut scores = call.make(DataType::F32, [rows, length].as_slice())?;
    let mut head = call.make(DataType::F32, [rows, v.size].as_slice())?;
    let mut empty = call.make(DataType::Bool, [rows].as_slice())?;
    let (queries, group) = (call.floats(0)?, query.heads / k.heads);
    for index in 0..query.batch * query.heads {
        let (batch, at) = (index / query.heads, index % query.heads);
        let scores = scores.raw_mut::<f32>();
        let mut show = |stage: Shown, scores: &[f32]| {
            if let Some(kept) = kept.as_mut().filter(|_| stage == shown) {
                kept.raw_mut::<f32>()[index * rows * length..][..rows * length].copy_from_slice(scores);
            }
        };
        let q = query.matrix(queries, batch, at);
        let keys = k.matrix(keys.value.raw(), batch, at / group).transposed();
        products::matmul(call.cpu, call.memory, [rows, length, query.size], q, keys, scores)?;
        scores.iter_mut().for_each(|score| *score *= scale);
        show(Shown::Products, scores);
        if cap > 0.0 {
            scores.iter_mut().for_each(|score| *score = cap * math::tanh(*score / cap));
        }
        show(Shown::Capped, scores);
        bias.add(batch, at, scores, empty.raw_mut());
        show(Shown::Biased, scores);
        weigh(call, scores, length, empty.raw());
        show(Shown::Weights, scores);
        let weights = Matrix::rows(scores, length);
        let values = v.matrix(values.value.raw(), batch, at / group);
        products::matmul(call.cpu, call.memory, [rows, v.size, length], weights, values, head.raw_mut())?;
        target.store(head.raw(), batch, at, result.raw_mut());
    }
    let mut results = vec![result];
    for (output, state) in [(1, keys), (2, values)] {
        results.push(state.present(call, output)?);
    }
    results.push(kept.map_or_else(|| nothing(call.memory), Ok)?);
    results.truncate(call.node.outputs.len());
    Ok(results)
}

/// Softmax of each row; zeros in rows that see nothing.
fn weigh(call: &Call<'_>, scores: &mut [f32], length: usize, empty: &[u8]) {
    if length == 0 {
        return;
    }
    for (row, _) in scores.chunks_exact_mut(length).zip(empty).filter(|(_, empty)| **empty != 0) {
        // Of no use, but without it the row would be all NaN.
        row.fill(0.0);
    }
    softmax::softmax(call.cpu, Kind::Softmax, None, scores, length);
    for (row, _) in scores.chunks_exact_mut(length).zip(empty).filter(|(_, empty)| **empty != 0) {
        row.fill(0.0);
    }
}

/// In place of a result that nobody wants.
fn nothing(memory: &Memory) -> Result<Value, Fault> {
    memory.value(DataType::F32, [0].as_slice())
}

/// Keys or values, behind those of earlier calls.
struct State {
    value: Value,
    heads: Heads,
}

impl State {
    fn new(call: &Call<'_>, input: usize, past: usize) -> Result<Self, Fault> {
        let heads = Heads::new(call, input, "kv_num_heads")?;
        let value = call.expect(input, DataType::F32)?.clone();
        if !call.has(past) {
            return Ok(Self { value, heads });
        }
        let before = call.expect(past, DataType::F32)?;
        let length = match before.shape()[..] {
            [batch, count, length, size] if [batch, count, size] == [heads.batch, heads.heads, heads.size] => length,
            _ => return Err(Fault::Shape(format!("the past {:?} does not fit {:?}", before.shape(), value.shape()))),
        };
        let whole = Heads { length: length + heads.length, apart: true, ..heads };
        Ok(Self { value: heads.behind(call.memory, value.raw(), before.raw(), whole)?, heads: whole })
    }

    /// All of it, in four dimensions, if this result is wanted.
    fn present(self, call: &Call<'_>, output: usize) -> Result<Value, Fault> {
        if !matches!(call.node.outputs.get(output), Some(Some(_))) {
            return nothing(call.memory);
        }
        match self.heads.apart {
            true => Ok(self.value),
            false => self.heads.behind(call.memory, self.value.raw(), &[], Heads { apart: true, ..self.heads }),
        }
    }
}
