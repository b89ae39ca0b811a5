//! Our own operators: what `rewrite.rs` makes of several of ONNX's.

use std::sync::Arc;

use burn_backend::{Backend, TensorMetadata};

use super::{
    activation,
    call::{self, Call, Outputs},
    elementwise::float_binary,
    matrix, normalize, unary,
};
use crate::{
    DataType, Fault,
    shape::{broadcast, broadcast_strides, pad_rank},
    value::{Host, Value, float_from},
};

/// `x * weight + bias`.
pub(crate) fn linear<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let (x, weight, bias) = (call.float(0)?, call.float(1)?, call.float(2)?);
    let product = matrix::product(call, x, weight)?;
    call::float::<B>(float_binary(call, product, bias, B::float_add)?)
}

/// Layer normalization over the last dimension.
pub(crate) fn layer_norm<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let rank = call.shape(0)?.len();
    let last = rank.checked_sub(1).ok_or_else(|| Fault::Shape("a scalar has no last dimension".into()))?;
    normalize::layer_norm(call, last)
}

pub(crate) fn gelu<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    with_rank(call, activation::gelu)
}

pub(crate) fn gelu_tanh<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    with_rank(call, activation::gelu_tanh)
}

/// The constants that were folded into the operator may have had more dimensions than its operand.
fn with_rank<B: Backend>(call: &mut Call<'_, B>, f: impl Fn(f32) -> f32) -> Result<Outputs<B>, Fault> {
    let rank = call.attributes().int("rank")?.unwrap_or(0) as usize;
    let shape = call.shape(0)?;
    let mut results = unary::map(call, f)?;
    if rank > shape.len() {
        results = results.into_iter().map(|value| value.reshape(pad_rank(&shape, rank))).collect();
    }
    Ok(results)
}

/// `softmax(scores * scale + mask)` over the last dimension.
pub(crate) fn scaled_softmax<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let scale = call.attributes().float("scale")?.unwrap_or(1.0);
    let shape = call.shape(0)?;
    if !call.has(1) {
        let mut scores = call.host_floats(0)?;
        softmax_rows(&mut scores, |_, row| row.iter_mut().for_each(|x| *x *= scale));
        return call::float::<B>(float_from::<B>(scores, call.device));
    }
    let mask_shape = call.shape(1)?;
    if broadcast(&shape, &mask_shape)? != shape {
        // The mask has more rows than the scores: step by step, as the file says.
        call.charge(&shape, DataType::F32)?;
        let scores = B::float_mul_scalar(call.float(0)?, scale.into());
        let mask = call.float(1)?;
        let sum = float_binary(call, scores, mask, B::float_add)?;
        let last = sum.shape().num_dims().saturating_sub(1);
        call.inputs = vec![Some(Value::Float(sum))];
        return normalize::softmax_along(call, last);
    }
    let mut scores = call.host_floats(0)?;
    let mask = call.host_floats(1)?;
    let strides = broadcast_strides(&mask_shape, &shape);
    softmax_rows(&mut scores, |index, row| {
        // The position of the row in the scores, to its position in the mask.
        let (mut index, mut at) = (index, 0);
        for axis in (0..shape.len().saturating_sub(1)).rev() {
            at += index % shape[axis] * strides[axis];
            index /= shape[axis];
        }
        match strides.last() {
            Some(1) => row.iter_mut().zip(&mask.data[at..]).for_each(|(x, &mask)| *x = *x * scale + mask),
            _ => row.iter_mut().for_each(|x| *x = *x * scale + mask.data[at]),
        }
    });
    call::float::<B>(float_from::<B>(scores, call.device))
}

/// Applies `prepare` and then softmax to every row of the last dimension.
pub(crate) fn softmax_rows(host: &mut Host<f32>, prepare: impl Fn(usize, &mut [f32])) {
    let length = host.shape.last().copied().unwrap_or(1);
    if length == 0 {
        return;
    }
    for (index, row) in Arc::make_mut(&mut host.data).chunks_exact_mut(length).enumerate() {
        prepare(index, row);
        activation::softmax(row);
    }
}
