//! Matrix products.

use burn_backend::{Backend, Shape, TensorData, TensorMetadata, tensor::FloatTensor};

use super::{
    call::{self, Call, Outputs},
    elementwise::float_binary,
};
use crate::{
    DataType, Fault,
    shape::{broadcast as broadcast_shape, pad_rank},
};

pub(crate) fn mat_mul<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let (a, b) = (call.float(0)?, call.float(1)?);
    call::float::<B>(product(call, a, b)?)
}

/// ONNX's `MatMul`, which is numpy's `matmul`.
pub(crate) fn product<B: Backend>(
    call: &mut Call<'_, B>,
    a: FloatTensor<B>,
    b: FloatTensor<B>,
) -> Result<FloatTensor<B>, Fault> {
    let (mut a_shape, mut b_shape) = (a.shape().to_vec(), b.shape().to_vec());
    let mismatch = || Fault::Shape(format!("the shapes {a_shape:?} and {b_shape:?} do not multiply"));
    let (Some(&k), Some(&b_last)) = (a_shape.last(), b_shape.last()) else {
        return Err(mismatch());
    };
    if k != b_shape.iter().rev().nth(1).copied().unwrap_or(b_last) {
        return Err(mismatch());
    }
    // A vector is a row on the left and a column on the right; the added dimension leaves again.
    let (row, column) = (a_shape.len() == 1, b_shape.len() == 1);
    if row {
        a_shape.insert(0, 1);
    }
    if column {
        b_shape.push(1);
    }
    let (a_batch, b_batch) = (&a_shape[..a_shape.len() - 2], &b_shape[..b_shape.len() - 2]);
    let batch = broadcast_shape(a_batch, b_batch)?;
    let (m, n) = (a_shape[a_shape.len() - 2], b_shape[b_shape.len() - 1]);
    let mut shape = batch.clone();
    shape.extend([m, n]);
    let elements = call.charge(&shape, DataType::F32)?;
    call.meter.check_work(&[elements, k])?;
    call.meter.charge_packing(m.saturating_mul(k), k.saturating_mul(n))?;

    let mut result_shape = batch.clone();
    result_shape.extend((!row).then_some(m));
    result_shape.extend((!column).then_some(n));
    if elements == 0 || k == 0 {
        let zeros = TensorData::new(vec![0f32; elements], result_shape);
        return Ok(B::float_from_data(zeros, call.device));
    }
    let result = if b_batch.iter().all(|&size| size == 1) && b_batch.len() <= a_batch.len() {
        // One matrix on the right: the batch is just more rows.
        call.charge(&a_shape, DataType::F32)?;
        let a = reshape::<B>(a, vec![elements / n, k]);
        B::float_matmul(a, reshape::<B>(b, vec![k, n]))
    } else {
        let rank = shape.len();
        B::float_matmul(reshape::<B>(a, pad_rank(&a_shape, rank)), reshape::<B>(b, pad_rank(&b_shape, rank)))
    };
    Ok(reshape::<B>(result, result_shape))
}

pub(crate) fn gemm<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let alpha = call.attributes().float("alpha")?.unwrap_or(1.0);
    let beta = call.attributes().float("beta")?.unwrap_or(1.0);
    let (transpose_a, transpose_b) =
        (call.attributes().flag("transA", false)?, call.attributes().flag("transB", false)?);
    let mut operand = |input: usize, transpose: bool| {
        let tensor = call.float(input)?;
        match (tensor.shape().num_dims(), transpose) {
            (2, true) => Ok(B::float_transpose(tensor)),
            (2, false) => Ok(tensor),
            (rank, _) => Err(Fault::Shape(format!("input {input} has {rank} dimensions; a matrix is needed"))),
        }
    };
    let (a, b) = (operand(0, transpose_a)?, operand(1, transpose_b)?);
    let mut result = product(call, a, b)?;
    if alpha != 1.0 {
        result = B::float_mul_scalar(result, alpha.into());
    }
    if call.has(2) {
        let mut c = call.float(2)?;
        let shape = result.shape().to_vec();
        if broadcast_shape(&shape, &c.shape())? != shape {
            return Err(Fault::Shape(format!("input 2 of shape {:?} does not fit {shape:?}", c.shape().to_vec())));
        }
        if beta != 1.0 {
            call.charge(&c.shape(), DataType::F32)?;
            c = B::float_mul_scalar(c, beta.into());
        }
        result = float_binary(call, result, c, B::float_add)?;
    }
    call::float::<B>(result)
}

fn reshape<B: Backend>(tensor: FloatTensor<B>, shape: Vec<usize>) -> FloatTensor<B> {
    match tensor.shape().to_vec() == shape {
        true => tensor,
        false => B::float_reshape(tensor, Shape::from(shape)),
    }
}
