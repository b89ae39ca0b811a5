//! Softmax and layer normalization.

use super::{
    Operator,
    call::{self, Call, Outputs},
    op,
};
use crate::{
    DataType, Fault,
    kernels::{
        norm,
        softmax::{self, Kind, Scores},
    },
    shape::{self, broadcast, broadcast_strides, split_at},
    value::Value,
};

pub(super) const TABLE: &[Operator] = &[
    op("*LayerNorm", 1, 3..=3, |call| {
        let rank = call.peek(0)?.rank();
        let last = rank.checked_sub(1).ok_or_else(|| Fault::Shape("a scalar has no last dimension".into()))?;
        layer_norm(call, last)
    }),
    op("*ScaledSoftmax", 1, 1..=2, scaled_softmax),
    op("LayerNormalization", 17, 2..=3, layer_normalization).outputs(1..=3),
    op("LogSoftmax", 1, 1..=1, |call| along_axis(call, Kind::LogSoftmax)),
    op("Softmax", 1, 1..=1, |call| along_axis(call, Kind::Softmax)),
];

fn along_axis(call: &mut Call<'_>, kind: Kind) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let flattens = call.opset() < 13;
    let axis = call.attributes().int("axis")?.unwrap_or(if flattens { 1 } else { -1 });
    let axis = shape::axis(axis, sizes.len())?;
    let dimensions = match flattens {
        // Before operator set 13 everything from the axis on is one row.
        true => [sizes[..axis].iter().product(), sizes[axis..].iter().product(), 1],
        false => <[usize; 3]>::from(split_at(&sizes, axis)),
    };
    let mut x = own_floats(call)?;
    if x.len() > 0 {
        softmax::softmax_axis(call.cpu, kind, x.raw_mut(), dimensions);
    }
    call::one(x)
}

/// The first operand, in memory that may be overwritten.
pub(crate) fn own_floats(call: &mut Call<'_>) -> Result<Value, Fault> {
    call.expect(0, DataType::F32)?;
    let mut x = call.take(0)?;
    if x.is_unique() {
        return Ok(x);
    }
    let mut copy = call.make(DataType::F32, x.shape().clone())?;
    copy.raw_mut::<f32>().copy_from_slice(x.raw());
    Ok(copy)
}

/// `softmax(scores * scale + mask)` over the last dimension.
pub(super) fn scaled_softmax(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let scale = call.attributes().float("scale")?.unwrap_or(1.0);
    let shape = call.shape(0)?;
    let Some(&row) = shape.last() else {
        return Err(Fault::Shape("a scalar has no last dimension".into()));
    };
    let mut mask = match call.has(1) {
        true => Some(call.take(1)?),
        false => None,
    };
    if let Some(mask) = &mut mask {
        if mask.data_type() != DataType::F32 {
            return Err(Fault::Type { input: 1, found: mask.data_type() });
        }
        let both = broadcast(&shape, mask.shape())?;
        if both != shape {
            // The mask has more rows than the scores: those are repeated first.
            let scores = call.take(0)?;
            call.inputs[0] = Some(super::movement::expand(call.memory, &scores, &both)?);
            call.inputs[1] = Some(mask.clone());
            return scaled_softmax(call);
        }
        if mask.shape().last() != Some(&row) {
            // One number for a whole row.
            let mut target = mask.shape().clone();
            target.pop();
            target.push(row);
            *mask = super::movement::expand(call.memory, mask, &target)?;
        }
    }
    let mut x = own_floats(call)?;
    if x.len() == 0 {
        return call::one(x);
    }
    match &mask {
        None => softmax::attention_softmax(call.cpu, x.raw_mut(), row, Scores { scale, mask: None }),
        Some(mask) => {
            let strides = broadcast_strides(mask.shape(), &shape);
            let elements = mask.raw::<f32>();
            let row_of = |index: usize| {
                let (mut index, mut at) = (index, 0);
                for axis in (0..shape.len() - 1).rev() {
                    at += index % shape[axis] * strides[axis];
                    index /= shape[axis];
                }
                &elements[at..at + row]
            };
            softmax::attention_softmax(call.cpu, x.raw_mut(), row, Scores { scale, mask: Some(&row_of) });
        }
    }
    call::one(x)
}

fn layer_normalization(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let axis = shape::axis(call.attributes().int("axis")?.unwrap_or(-1), sizes.len())?;
    layer_norm(call, axis)
}

/// Normalizes everything from `axis` on, then scales by operand 1 and adds operand 2 if it is there.
fn layer_norm(call: &mut Call<'_>, axis: usize) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let epsilon = call.attributes().float("epsilon")?.unwrap_or(1e-5);
    let row: usize = sizes[axis..].iter().product();
    for input in 1..call.inputs.len() {
        if call.has(input) {
            let own = call.shape(input)?;
            let leading =
                own.iter().take_while(|&&size| size == 1).count().min(own.len().saturating_sub(sizes.len() - axis));
            if own[leading..] != sizes[axis..] {
                return Err(Fault::Unsupported(format!(
                    "{own:?} as scale or bias of {sizes:?} from dimension {axis} on"
                )));
            }
        }
    }
    let statistics = match call.node.outputs.len() {
        1 => None,
        _ => Some(moments(call, axis, epsilon)?),
    };
    let mut x = own_floats(call)?;
    if x.len() > 0 {
        let parameters = (Some(call.floats(1)?), call.optional_floats(2)?);
        norm::layer_norm(call.cpu, None, x.raw_mut(), row, epsilon, parameters);
    }
    let mut results = vec![x];
    results.extend(statistics.into_iter().flatten());
    Ok(results)
}

/// The mean of each row, and the reciprocal of its standard deviation.
fn moments(call: &Call<'_>, axis: usize, epsilon: f32) -> Result<[Value; 2], Fault> {
    let sizes = call.shape(0)?;
    let mut target = sizes.clone();
    target[axis..].fill(1);
    let row: usize = sizes[axis..].iter().product();
    let (mut means, mut inverses) = (call.make(DataType::F32, target.clone())?, call.make(DataType::F32, target)?);
    let x = call.floats(0)?;
    if row > 0 {
        let results = means.raw_mut::<f32>().iter_mut().zip(inverses.raw_mut::<f32>());
        for (x, (mean, inverse)) in x.chunks_exact(row).zip(results) {
            (*mean, *inverse) = norm::moments(x, epsilon);
        }
    }
    Ok([means, inverses])
}
