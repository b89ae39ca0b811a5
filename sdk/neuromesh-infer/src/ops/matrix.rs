//! Matrix products.

use super::{
    Constants, Operator, Packed,
    call::{self, Call, Outputs},
    op,
    products::{self, Batches, Matrix, Weight},
};
use crate::{
    DataType, Fault,
    kernels::{
        elementwise::{self, Binary, Side, Unary},
        gemm::{self, Activation, Bias, Epilogue},
    },
    rewrite::activation::ACTIVATION,
    shape::{broadcast as broadcast_shape, broadcast_strides, pad_rank},
    value::Value,
};

pub(super) const TABLE: &[Operator] = &[
    op("*Linear", 1, 3..=3, linear).packs(1, pack),
    op("Gemm", 1, 2..=3, gemm_operator).packs(1, pack),
    op("MatMul", 1, 2..=2, mat_mul).packs(1, pack),
];

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

/// `activation(x * weight + bias)`.
fn linear(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let bias = call.take(2)?;
    let epilogue = Epilogue { bias: Bias::PerColumn(bias.raw()), activation: activation(call)?, ..Epilogue::default() };
    call::one(product(call, epilogue)?)
}

pub(super) fn mat_mul(call: &mut Call<'_>) -> Result<Outputs, Fault> {
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
        let (left, right) = (Matrix::rows(a.raw(), k), Weight::Packed(packed));
        products::product(call.cpu, call.memory, [m, n, k], left, right, &epilogue, result.raw_mut())?;
        return Ok(result);
    }
    call.expect(1, DataType::F32)?;
    let b = call.take(1)?;
    let batches = Batches::new(a.shape(), b.shape())?;
    let Batches { mut m, n, k, .. } = batches;
    let mut result = call.make(DataType::F32, batches.target.clone())?;
    call.memory.check_work(&[result.len(), k])?;
    let (a_data, b_data) = (a.raw::<f32>(), b.raw::<f32>());
    let (a_rank, b_rank) = (batches.a.len(), batches.b.len());
    let alone = batches.b[..b_rank - 2].iter().all(|&size| size == 1) && b_rank <= a_rank;
    if alone {
        // One matrix on the right: the batch is just more rows.
        m = batches.a[..a_rank - 1].iter().product();
    }
    if m * n > 0 {
        let pairs = batches.pairs().take(if alone { 1 } else { usize::MAX });
        for (c, (left, right)) in result.raw_mut::<f32>().chunks_exact_mut(m * n).zip(pairs) {
            let left = Matrix::rows(&a_data[left * m * k..], k);
            let right = Matrix::rows(&b_data[right * k * n..], n);
            products::product(call.cpu, call.memory, [m, n, k], left, Weight::Matrix(right), &epilogue, c)?;
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

/// `alpha * A' * B' + beta * C`, where `'` may transpose.
fn gemm_operator(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let alpha = call.attributes().float("alpha")?.unwrap_or(1.0);
    let beta = call.attributes().float("beta")?.unwrap_or(1.0);
    let (transpose_a, transpose_b) =
        (call.attributes().flag("transA", false)?, call.attributes().flag("transB", false)?);
    let ((m, k), a) = operand(call, 0, transpose_a)?;
    let ((b_rows, n), b) = match call.packed {
        Some(Packed::Matrix(packed)) => ((packed.k(), packed.n()), Weight::Packed(packed)),
        _ => {
            let (sizes, b) = operand(call, 1, transpose_b)?;
            (sizes, Weight::Matrix(b))
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
        let epilogue = Epilogue { alpha, bias, activation, ..Epilogue::default() };
        products::product(call.cpu, call.memory, [m, n, k], a, b, &epilogue, result.raw_mut())?;
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
        true => ((columns, rows), Matrix::rows(data, columns).transposed()),
        false => ((rows, columns), Matrix::rows(data, columns)),
    })
}
