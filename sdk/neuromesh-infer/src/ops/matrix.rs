//! Matrix products.

use super::{
    Constants, Operator, Packed,
    call::{self, Call, Outputs},
    op,
};
use crate::{
    DataType, Fault,
    buffer::Buffer,
    kernels::{
        elementwise::{self, Binary, Side, Unary},
        gemm::{self, Activation, Bias, Epilogue, Left, MatrixRef, PackedB, Right},
    },
    rewrite::activation::ACTIVATION,
    shape::{Shape, broadcast as broadcast_shape, broadcast_strides, pad_rank},
    value::Value,
};

pub(super) const TABLE: &[Operator] = &[
    op("*Linear", 1, 3..=3, linear).packs(1, pack),
    op("Gemm", 1, 2..=3, gemm_operator).packs(1, pack),
    op("MatMul", 1, 2..=2, mat_mul).packs(1, pack),
];

/// Rows of C up to which B is read where it lies: packing it would cost more than it saves.
const FEW_ROWS: usize = 4;

/// A constant right-hand matrix in panels.
fn pack(constants: &Constants<'_>) -> Option<Packed> {
    let weight = constants.floats(1)?;
    let &[rows, columns] = &weight.shape()[..] else {
        return None;
    };
    let transposes = constants.node.attributes.flag("transB", false).ok()?;
    let (k, n, strides) = if transposes { (columns, rows, (1, columns)) } else { (rows, columns, (columns, 1)) };
    // Panels are as wide as a tile: a few columns would take many times their size.
    let worth = k > 0 && n > 0 && gemm::packed_len(constants.cpu, k, n) <= 2 * k * n;
    worth.then(|| Packed::Matrix(gemm::pack_b(constants.cpu, weight.raw(), k, n, strides.0, strides.1)))
}

/// A right-hand matrix.
#[derive(Clone, Copy)]
enum Matrix<'a> {
    Strided(MatrixRef<'a>),
    Packed(&'a PackedB),
}

/// `activation(x * weight + bias)`.
fn linear(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let bias = call.take(2)?;
    let epilogue = Epilogue { bias: Bias::PerColumn(bias.raw()), activation: activation(call)?, ..Epilogue::default() };
    call::one(product(call, epilogue)?)
}

fn mat_mul(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let activation = activation(call)?;
    call::one(product(call, Epilogue { activation, ..Epilogue::default() })?)
}

/// ONNX's `MatMul`, which is numpy's `matmul`.
fn product(call: &mut Call<'_>, epilogue: Epilogue<'_>) -> Result<Value, Fault> {
    call.expect(0, DataType::F32)?;
    let a = call.take(0)?;
    let mut a_shape = a.shape().clone();
    if let Some(Packed::Matrix(packed)) = call.packed {
        let (k, n) = (packed.k(), packed.n());
        if a_shape.last() != Some(&k) {
            return Err(Fault::Shape(format!("the shapes {a_shape:?} and [{k}, {n}] do not multiply")));
        }
        let m = a_shape[..a_shape.len() - 1].iter().product();
        let last = a_shape.len() - 1;
        a_shape[last] = n;
        let mut result = call.make(DataType::F32, a_shape)?;
        call.memory.check_work(&[result.len(), k])?;
        let left = MatrixRef { data: a.raw(), row_stride: k, col_stride: 1 };
        Job { m, n, k, epilogue }.run(call, left, Matrix::Packed(packed), result.raw_mut())?;
        return Ok(result);
    }
    call.expect(1, DataType::F32)?;
    let b = call.take(1)?;
    let mut b_shape = b.shape().clone();
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
        let job = Job { m, n, k, epilogue };
        let (a, b) = (a.raw::<f32>(), b.raw::<f32>());
        for (index, c) in result.raw_mut::<f32>().chunks_exact_mut(m * n).enumerate() {
            let (a_at, b_at) = (offset(index, &batch, &a_steps), offset(index, &batch, &b_steps));
            let a = MatrixRef { data: &a[a_at..], row_stride: k, col_stride: 1 };
            let b = MatrixRef { data: &b[b_at..], row_stride: n, col_stride: 1 };
            job.run(call, a, Matrix::Strided(b), c)?;
        }
    }
    Ok(result)
}

/// The function that a rewrite attached to the end of a node.
pub(crate) fn activation(call: &Call<'_>) -> Result<Activation, Fault> {
    let number = |name: &str| {
        let name = format!("{ACTIVATION}_{name}");
        Ok::<_, Fault>(call.attributes().float(&name)?.unwrap_or_default())
    };
    Ok(match call.attributes().text(ACTIVATION)? {
        None => Activation::None,
        Some("Relu") => Activation::Relu,
        Some("Clip") => Activation::Clip { min: number("low")?, max: number("high")? },
        Some("LeakyRelu") => Activation::LeakyRelu(number("alpha")?),
        Some("Gelu") => Activation::Custom(|cpu, x| elementwise::unary_in_place(cpu, Unary::Gelu, x)),
        Some("GeluTanh") => Activation::Custom(|cpu, x| elementwise::unary_in_place(cpu, Unary::GeluTanh, x)),
        Some("HardSwish") => Activation::Custom(|cpu, x| elementwise::unary_in_place(cpu, Unary::HardSwish, x)),
        Some("Sigmoid") => Activation::Custom(|cpu, x| elementwise::unary_in_place(cpu, Unary::Sigmoid, x)),
        Some("Silu") => Activation::Custom(|cpu, x| elementwise::unary_in_place(cpu, Unary::Silu, x)),
        Some("Tanh") => Activation::Custom(|cpu, x| elementwise::unary_in_place(cpu, Unary::Tanh, x)),
        Some(other) => return Err(Fault::Unsupported(format!("the activation {other}"))),
    })
}

/// Applies it to what is finished.
pub(crate) fn activate(call: &Call<'_>, activation: Activation, value: &mut Value) -> Result<(), Fault> {
    let x = value.raw_mut::<f32>();
    let op = match activation {
        Activation::None => return Ok(()),
        Activation::Custom(apply) => {
            apply(call.cpu, x);
            return Ok(());
        }
        Activation::Relu => Unary::Relu,
        Activation::Clip { min, max } => Unary::Clip { low: min, high: max },
        Activation::LeakyRelu(alpha) => Unary::LeakyRelu { alpha },
    };
    elementwise::unary_in_place(call.cpu, op, x);
    Ok(())
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
    fn run(&self, call: &Call<'_>, a: MatrixRef<'_>, b: Matrix<'_>, c: &mut [f32]) -> Result<(), Fault> {
        let (m, n, k) = (self.m, self.n, self.k);
        let mut panels = Buffer::default();
        let right = match b {
            Matrix::Packed(packed) => Right::Packed(packed.view()),
            Matrix::Strided(b) if m <= FEW_ROWS && b.col_stride == 1 => {
                Right::Rows { data: b.data, row_stride: b.row_stride }
            }
            Matrix::Strided(b) => {
                panels = call.scratch(gemm::packed_len(call.cpu, k, n))?;
                let panels = panels.slice_mut::<f32>();
                Right::Packed(gemm::pack_b_into(call.cpu, b.data, k, n, b.row_stride, b.col_stride, panels))
            }
        };
        let left = Left::Matrix(a);
        let mut scratch = call.scratch(gemm::gemm_scratch(call.cpu, m, n, k, &left, &right))?;
        gemm::gemm_with(call.cpu, m, n, k, left, right, c, n, &self.epilogue, scratch.slice_mut());
        Ok(())
    }
}

/// `alpha * A' * B' + beta * C`, where `'` may transpose.
fn gemm_operator(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let alpha = call.attributes().float("alpha")?.unwrap_or(1.0);
    let beta = call.attributes().float("beta")?.unwrap_or(1.0);
    let (transpose_a, transpose_b) =
        (call.attributes().flag("transA", false)?, call.attributes().flag("transB", false)?);
    let ((m, k), a) = operand(call, 0, transpose_a)?;
    let ((b_rows, n), b) = match call.packed {
        Some(Packed::Matrix(packed)) => ((packed.k(), packed.n()), Matrix::Packed(packed)),
        _ => {
            let (sizes, b) = operand(call, 1, transpose_b)?;
            (sizes, Matrix::Strided(b))
        }
    };
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
        // With C still to come, the activation must wait.
        let ends = c.is_none() || columns.is_some();
        let activation = if ends { activation(call)? } else { Activation::None };
        let alpha = (alpha != 1.0).then_some(alpha);
        Job { m, n, k, epilogue: Epilogue { alpha, bias, activation, ..Epilogue::default() } }
            .run(call, a, b, result.raw_mut())?;
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
fn operand<'a>(call: &'a Call<'_>, input: usize, transpose: bool) -> Result<((usize, usize), MatrixRef<'a>), Fault> {
    let value = call.expect(input, DataType::F32)?;
    let &[rows, columns] = &value.shape()[..] else {
        return Err(Fault::Shape(format!("input {input} has {} dimensions; a matrix is needed", value.rank())));
    };
    let data = value.raw();
    Ok(match transpose {
        true => ((columns, rows), MatrixRef { data, row_stride: 1, col_stride: columns }),
        false => ((rows, columns), MatrixRef { data, row_stride: columns, col_stride: 1 }),
    })
}
