//! Matrix products.

use super::{
    Operator,
    call::{self, Call, Outputs},
    op,
};
use crate::{
    DataType, Fault,
    kernels::{
        elementwise::{self, Binary, Side},
        gemm::{self, Bias, Epilogue, Left, MatrixRef, Right},
    },
    shape::{Shape, broadcast as broadcast_shape, broadcast_strides, pad_rank},
    value::Value,
};

pub(super) const TABLE: &[Operator] = &[
    op("*Linear", 1, 3..=3, linear),
    op("Gemm", 1, 2..=3, gemm_operator),
    op("MatMul", 1, 2..=2, mat_mul),
];

/// Rows of C up to which B is read where it lies: packing it would cost more than it saves.
const FEW_ROWS: usize = 4;

/// A matrix, or a batch of them, in the memory of a value.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    data: &'a [f32],
    row_stride: usize,
    col_stride: usize,
}

/// `x * weight + bias`.
fn linear(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let bias = call.take(2)?;
    let product = product(call, Bias::PerColumn(bias.raw()))?;
    call::one(product)
}

fn mat_mul(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    call::one(product(call, Bias::None)?)
}

/// ONNX's `MatMul`, which is numpy's `matmul`.
fn product(call: &mut Call<'_>, bias: Bias<'_>) -> Result<Value, Fault> {
    call.expect(0, DataType::F32)?;
    call.expect(1, DataType::F32)?;
    let (a, b) = (call.take(0)?, call.take(1)?);
    let (mut a_shape, mut b_shape) = (a.shape().clone(), b.shape().clone());
    let mismatch = || Fault::Shape(format!("the shapes {:?} and {:?} do not multiply", a.shape(), b.shape()));
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
    let (mut m, n) = (a_shape[a_shape.len() - 2], b_shape[b_shape.len() - 1]);
    let mut result_shape = batch.clone();
    result_shape.extend((!row).then_some(m));
    result_shape.extend((!column).then_some(n));
    let mut result = call.make(DataType::F32, result_shape)?;
    call.memory.check_work(&[result.len(), k])?;

    let (mut batch, mut a_batch, mut b_batch) = (batch, Shape::from_slice(a_batch), Shape::from_slice(b_batch));
    if b_batch.iter().all(|&size| size == 1) && b_batch.len() <= a_batch.len() {
        // One matrix on the right: the batch is just more rows.
        m *= a_batch.iter().product::<usize>();
        [&mut batch, &mut a_batch, &mut b_batch].into_iter().for_each(|batch| batch.clear());
    }
    let (a_steps, b_steps) = (matrix_steps(&a_batch, &batch, m * k), matrix_steps(&b_batch, &batch, k * n));
    if m * n > 0 {
        let epilogue = Epilogue { bias, ..Epilogue::default() };
        let job = Job { m, n, k, epilogue };
        let (a, b) = (a.raw::<f32>(), b.raw::<f32>());
        for (index, c) in result.raw_mut::<f32>().chunks_exact_mut(m * n).enumerate() {
            let (a_at, b_at) = (offset(index, &batch, &a_steps), offset(index, &batch, &b_steps));
            let a = Matrix { data: &a[a_at..], row_stride: k, col_stride: 1 };
            let b = Matrix { data: &b[b_at..], row_stride: n, col_stride: 1 };
            job.run(call, a, b, c)?;
        }
    }
    Ok(result)
}

/// How far apart the matrices of an operand are, along each dimension of the batch.
fn matrix_steps(own: &[usize], batch: &[usize], size: usize) -> Shape {
    broadcast_strides(own, batch).into_iter().map(|stride| stride * size).collect()
}

fn offset(mut index: usize, batch: &[usize], steps: &[usize]) -> usize {
    let mut at = 0;
    for (size, step) in batch.iter().zip(steps).rev() {
        at += index % size * step;
        index /= size;
    }
    at
}

/// The sizes of a product, and what follows it.
struct Job<'a> {
    m: usize,
    n: usize,
    k: usize,
    epilogue: Epilogue<'a>,
}

impl Job<'_> {
    fn run(&self, call: &Call<'_>, a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32]) -> Result<(), Fault> {
        let Job { m, n, k, epilogue } = self;
        let (m, n, k) = (*m, *n, *k);
        let left = Left::Matrix(MatrixRef { data: a.data, row_stride: a.row_stride, col_stride: a.col_stride });
        if m <= FEW_ROWS && b.col_stride == 1 {
            let right = Right::Rows { data: b.data, row_stride: b.row_stride };
            let mut scratch = call.scratch(gemm::gemm_scratch(call.cpu, m, n, k, &left, &right))?;
            gemm::gemm_with(call.cpu, m, n, k, left, right, c, n, epilogue, scratch.slice_mut());
            return Ok(());
        }
        let mut panels = call.scratch(gemm::packed_len(call.cpu, k, n))?;
        let packed =
            gemm::pack_b_into(call.cpu, b.data, k, n, b.row_stride, b.col_stride, panels.slice_mut::<f32>());
        let right = Right::Packed(packed);
        let mut scratch = call.scratch(gemm::gemm_scratch(call.cpu, m, n, k, &left, &right))?;
        gemm::gemm_with(call.cpu, m, n, k, left, right, c, n, epilogue, scratch.slice_mut());
        Ok(())
    }
}

/// `alpha * A' * B' + beta * C`, where `'` may transpose.
fn gemm_operator(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let alpha = call.attributes().float("alpha")?.unwrap_or(1.0);
    let beta = call.attributes().float("beta")?.unwrap_or(1.0);
    let (transpose_a, transpose_b) =
        (call.attributes().flag("transA", false)?, call.attributes().flag("transB", false)?);
    let (a, b) = (operand(call, 0, transpose_a)?, operand(call, 1, transpose_b)?);
    let ((m, k), (b_rows, n)) = (a.0, b.0);
    if k != b_rows {
        return Err(Fault::Shape(format!("{m} x {k} and {b_rows} x {n} matrices do not multiply")));
    }
    let mut result = call.make(DataType::F32, [m, n].as_slice())?;
    call.memory.check_work(&[result.len(), k])?;
    let c = match call.has(2) {
        true => Some(call.expect(2, DataType::F32)?.clone()),
        false => None,
    };
    if let Some(c) = &c
        && broadcast_shape(&[m, n], c.shape())?[..] != [m, n]
    {
        return Err(Fault::Shape(format!("input 2 of shape {:?} does not fit [{m}, {n}]", c.shape())));
    }
    // The usual case is a bias for each column, which the product adds while its results are at hand.
    let columns = c.as_ref().filter(|c| beta == 1.0 && c.len() == n && c.shape().last() == Some(&n));
    let bias = columns.map_or(Bias::None, |c| Bias::PerColumn(c.raw()));
    if m * n > 0 {
        let epilogue = Epilogue { alpha: (alpha != 1.0).then_some(alpha), bias, ..Epilogue::default() };
        Job { m, n, k, epilogue }.run(call, a.1, b.1, result.raw_mut())?;
    }
    if let Some(c) = c.as_ref().filter(|_| columns.is_none()) {
        let strides = broadcast_strides(&pad_rank(c.shape(), 2), &[m, n]);
        let mut scaled = call.make(DataType::F32, c.shape().clone())?;
        scaled.raw_mut::<f32>().copy_from_slice(c.raw());
        if beta != 1.0 {
            elementwise::binary_scalar(call.cpu, Binary::Mul, scaled.raw_mut(), beta, Side::Left);
        }
        let shape = [m, n];
        elementwise::broadcast_assign(
            call.cpu,
            Binary::Add,
            &shape,
            result.raw_mut(),
            (scaled.raw(), &strides),
            Side::Left,
        );
    }
    call::one(result)
}

/// Rows and columns of a matrix as the product sees it, and where it lies.
fn operand<'a>(call: &'a Call<'_>, input: usize, transpose: bool) -> Result<((usize, usize), Matrix<'a>), Fault> {
    let value = call.expect(input, DataType::F32)?;
    let &[rows, columns] = &value.shape()[..] else {
        return Err(Fault::Shape(format!("input {input} has {} dimensions; a matrix is needed", value.rank())));
    };
    let data = value.raw();
    Ok(match transpose {
        true => ((columns, rows), Matrix { data, row_stride: 1, col_stride: columns }),
        false => ((rows, columns), Matrix { data, row_stride: columns, col_stride: 1 }),
    })
}
