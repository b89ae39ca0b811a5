//! Products and convolutions of small integers, summed in 32 bits.

mod convolution;

use bytemuck::Pod;

use super::{
    Constants, Operator, Packed,
    broadcast::{self, Operand},
    call::{self, Call, Outputs},
    matrix::activation,
    op,
    products::{self, Batches},
};
use crate::{
    DataType, Fault,
    kernels::int8::{self, Bytes, Dequantize, Int8Ref, PackedInt8, Scale, ZeroPoint},
    shape::{self, Shape},
    value::Value,
};
use convolution::convolution;

pub(super) const TABLE: &[Operator] = &[
    op("*QuantizedMatMul", 1, 6..=7, quantized_matmul).packs(1, pack),
    op("ConvInteger", 10, 2..=4, conv_integer).packs(1, |constants| convolution::pack(constants, 1, 3)),
    op("MatMulInteger", 10, 2..=4, matmul_integer).packs(1, pack),
    op("QLinearConv", 10, 8..=9, qlinear_conv).packs(3, |constants| convolution::pack(constants, 3, 5)),
    op("QLinearMatMul", 10, 8..=8, qlinear_matmul),
];

/// Columns from which on weights are packed.
pub(crate) const MIN_COLUMNS: usize = 16;

/// A constant matrix on the right, with its zero points.
fn pack(constants: &Constants<'_>) -> Option<Packed> {
    let weight = constants.values.get(1).copied().flatten()?;
    let &[k, n] = &weight.shape()[..] else {
        return None;
    };
    let zeros = match constants.node.inputs.get(3).copied().flatten() {
        None => vec![0],
        Some(_) => {
            constants.values.get(3).copied().flatten()?.to_integers().ok()?.iter().map(|&zero| zero as i32).collect()
        }
    };
    let zeros = match zeros.as_slice() {
        [zero] => ZeroPoint::One(*zero),
        zeros if zeros.len() == n => ZeroPoint::PerColumn(zeros),
        _ => return None,
    };
    // Panels are as wide as a tile: a few columns would take many times their size.
    if k == 0 || n < MIN_COLUMNS {
        return None;
    }
    let bytes = bytes_of(weight)?;
    Some(Packed::Int8(Box::new(int8::pack_int8(constants.cpu, bytes, k, n, n, 1, zeros))))
}

fn bytes_of(value: &Value) -> Option<Bytes<'_>> {
    match value.data_type() {
        DataType::U8 => Some(Bytes::Unsigned(value.raw())),
        DataType::I8 => Some(Bytes::Signed(value.raw())),
        _ => None,
    }
}

/// A product with weights that were packed at load.
fn packed_matmul(call: &Call<'_>, weight: &PackedInt8) -> Result<Value, Fault> {
    let a = small(call, 0)?;
    let (k, n) = (weight.k(), weight.n());
    if a.shape().last() != Some(&k) {
        return Err(Fault::Shape(format!("the shapes {:?} and [{k}, {n}] do not multiply", a.shape())));
    }
    let mut target = a.shape().clone();
    let m = target[..target.len() - 1].iter().product();
    target.pop();
    target.push(n);
    let mut sums = call.make(DataType::I32, target)?;
    call.memory.check_work(&[m, n, k])?;
    let data = bytes_of(a).ok_or(Fault::Type { input: 0, found: a.data_type() })?;
    let mut scratch = call.scratch(int8::gemm_int8_scratch(call.cpu, m, n, k))?;
    let zeros = if call.has(2) { small(call, 2)?.to_integers()? } else { vec![0] };
    let out = sums.raw_mut::<i32>();
    match zeros.as_slice() {
        [zero] => {
            let left = Int8Ref { data, row_stride: k, zero: *zero as i32 };
            int8::gemm_int8(call.cpu, m, n, k, left, weight, out, n, scratch.slice_mut());
        }
        zeros if zeros.len() == m => {
            for (row, &zero) in zeros.iter().enumerate() {
                let data = match data {
                    Bytes::Signed(data) => Bytes::Signed(&data[row * k..][..k]),
                    Bytes::Unsigned(data) => Bytes::Unsigned(&data[row * k..][..k]),
                };
                let (left, out) = (Int8Ref { data, row_stride: k, zero: zero as i32 }, &mut out[row * n..][..n]);
                int8::gemm_int8(call.cpu, 1, n, k, left, weight, out, n, scratch.slice_mut());
            }
        }
        zeros => return Err(Fault::Shape(format!("{} zero points for {m} rows", zeros.len()))),
    }
    Ok(sums)
}

/// `activation((a - a_zero) · (weight - weight_zero) * (a_scale * weight_scale) + bias)`, rounded after each step.
fn quantized_matmul(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let Some(Packed::Int8(weight)) = call.packed else {
        return Err(Fault::Missing(1));
    };
    let a = small(call, 0)?;
    let (k, n) = (weight.k(), weight.n());
    if a.shape().last() != Some(&k) {
        return Err(Fault::Shape(format!("the shapes {:?} and [{k}, {n}] do not multiply", a.shape())));
    }
    let mut target = a.shape().clone();
    let m = target[..target.len() - 1].iter().product();
    target.pop();
    target.push(n);
    let (a_scale, b_scale) = (call.floats(4)?, call.floats(5)?);
    let bias = call.optional_floats(6)?;
    let zeros = small(call, 2)?.to_integers()?;
    let ([zero], [a_scale]) = (&zeros[..], a_scale) else {
        return Err(Fault::Shape("the integers have more than one scale or zero point".into()));
    };
    let b_scale = match b_scale {
        [scale] => Scale::One(*scale),
        scales if scales.len() == n => Scale::Each(scales),
        scales => return Err(Fault::Shape(format!("{} scales for {n} columns", scales.len()))),
    };
    if bias.is_some_and(|bias| bias.len() != n) {
        return Err(Fault::Shape(format!("the bias does not have {n} numbers")));
    }
    let how = Dequantize { a_scale: Scale::One(*a_scale), b_scale, bias, activation: activation(call)? };
    let mut result = call.make(DataType::F32, target)?;
    call.memory.check_work(&[m, n, k])?;
    let data = bytes_of(a).ok_or(Fault::Type { input: 0, found: a.data_type() })?;
    let mut scratch = call.scratch(int8::gemm_int8_scratch(call.cpu, m, n, k))?;
    let left = Int8Ref { data, row_stride: k, zero: *zero as i32 };
    let out = result.raw_mut();
    int8::gemm_int8_dequantized(call.cpu, m, n, k, left, weight, out, n, &how, scratch.slice_mut());
    call::one(result)
}

fn matmul_integer(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    if let Some(Packed::Int8(weight)) = call.packed {
        return call::one(packed_matmul(call, weight)?);
    }
    let batches = Batches::new(&call.shape(0)?, &call.shape(1)?)?;
    let a = centred(call, 0, 2, &batches.a, &per_row)?;
    let b = centred(call, 1, 3, &batches.b, &per_column)?;
    let sums = product(call, &batches, &a, &b)?;
    call::one(sums.reshape(batches.target))
}

fn qlinear_matmul(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let batches = Batches::new(&call.shape(0)?, &call.shape(3)?)?;
    let a = centred(call, 0, 2, &batches.a, &per_row)?;
    let b = centred(call, 3, 5, &batches.b, &per_column)?;
    let sums = product(call, &batches, &a, &b)?;
    let full = batches.full();
    let factor = ratio(call, [(1, &per_row), (4, &per_column), (6, &per_row)])?;
    let zeros = small(call, 7)?;
    let zeros = zeros.clone().reshape(per_row(zeros.shape()));
    let result = requantized(call, &sums, &factor, &zeros, call.data_type(7)?, &full)?;
    call::one(result.reshape(batches.target))
}

fn conv_integer(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    call::one(convolution(call, 0, 1, 2, 3)?)
}

fn qlinear_conv(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let mut sums = convolution(call, 0, 3, 2, 5)?;
    let full = sums.shape().clone();
    let channels = full[1];
    let positions: usize = full[2..].iter().product();
    let bias = match call.has(8) {
        true => Some(call.expect(8, DataType::I32)?),
        false => None,
    };
    if let Some(bias) = bias.filter(|bias| bias.shape()[..] != [channels]) {
        return Err(Fault::Shape(format!("the bias {:?} does not fit {channels} channels", bias.shape())));
    }
    let bias = bias.map(Value::raw::<i32>);
    let spatial = full.len() - 2;
    let channel = move |shape: &[usize]| per_channel(shape, spatial);
    let factor = ratio(call, [(1, &channel), (4, &channel), (6, &channel)])?;
    let zeros = small(call, 7)?;
    let zeros = zeros.clone().reshape(channel(zeros.shape()));
    let to = call.data_type(7)?;
    if let Some(result) = convolution::requantized(call, &sums, bias, &factor, &zeros, to)? {
        return call::one(result);
    }
    if let Some(bias) = bias {
        let rows = sums.raw_mut::<i32>().chunks_exact_mut(positions.max(1));
        for (row, &bias) in rows.zip(bias.iter().cycle()) {
            row.iter_mut().for_each(|sum| *sum = sum.wrapping_add(bias));
        }
    }
    call::one(requantized(call, &sums, &factor, &zeros, to, &full)?)
}

/// A list belongs to the rows of a matrix.
fn per_row(shape: &[usize]) -> Shape {
    match shape {
        [rows] => Shape::from_slice(&[*rows, 1]),
        other => other.into(),
    }
}

/// A list belongs to the columns of a matrix.
fn per_column(shape: &[usize]) -> Shape {
    shape.into()
}

/// A list belongs to the channels in front of so many spatial dimensions.
fn per_channel(shape: &[usize], spatial: usize) -> Shape {
    let mut shape = Shape::from_slice(shape);
    if shape.len() == 1 {
        shape.extend(std::iter::repeat_n(1, spatial));
    }
    shape
}

/// An operand of bytes.
fn small<'a>(call: &'a Call<'_>, input: usize) -> Result<&'a Value, Fault> {
    let value = call.peek(input)?;
    match value.data_type() {
        DataType::U8 | DataType::I8 => Ok(value),
        found => Err(Fault::Type { input, found }),
    }
}

/// How a list of scales or zero points lies beside what it belongs to.
type Aligned<'a> = dyn Fn(&[usize]) -> Shape + 'a;

/// An operand in 32 bits less its zero point, which broadcasts to it in the shape that `aligned` gives it.
fn centred(call: &Call<'_>, input: usize, zero: usize, sizes: &Shape, aligned: &Aligned<'_>) -> Result<Value, Fault> {
    let value = small(call, input)?;
    if call.has(zero) && call.data_type(zero)? != value.data_type() {
        return Err(Fault::Type { input: zero, found: call.data_type(zero)? });
    }
    let mut result = call.make(DataType::I32, sizes.clone())?;
    match value.data_type() {
        DataType::U8 => centre::<u8>(call, value, zero, sizes, aligned, result.raw_mut())?,
        _ => centre::<i8>(call, value, zero, sizes, aligned, result.raw_mut())?,
    }
    Ok(result)
}

fn centre<T: Pod + Into<i32>>(
    call: &Call<'_>,
    value: &Value,
    zero: usize,
    sizes: &Shape,
    aligned: &Aligned<'_>,
    out: &mut [i32],
) -> Result<(), Fault> {
    let value = Operand { shape: sizes, data: value.raw::<T>() };
    if !call.has(zero) {
        out.iter_mut().zip(value.data).for_each(|(out, &value)| *out = value.into());
        return Ok(());
    }
    let zeros = small(call, zero)?;
    let own = aligned(zeros.shape());
    if shape::broadcast(sizes, &own)? != *sizes {
        return Err(Fault::Shape(format!("zero points of shape {own:?} do not fit {sizes:?}")));
    }
    let zeros = Operand { shape: &own, data: zeros.raw::<T>() };
    broadcast::zip(value, zeros, sizes, out, |value, zero| value.into() - zero.into());
    Ok(())
}

fn product(call: &Call<'_>, batches: &Batches, a: &Value, b: &Value) -> Result<Value, Fault> {
    let (m, n, k) = (batches.m, batches.n, batches.k);
    let mut sums = call.make(DataType::I32, batches.full())?;
    let count: usize = batches.outer.iter().product();
    call.memory.check_work(&[count, m, n, k])?;
    let (a, b) = (a.raw::<i32>(), b.raw::<i32>());
    let out = sums.raw_mut::<i32>().chunks_exact_mut((m * n).max(1));
    for (out, (at_a, at_b)) in out.zip(batches.pairs()) {
        products::integers([m, n, k], &a[at_a * m * k..][..m * k], &b[at_b * k * n..][..k * n], out);
    }
    Ok(sums)
}

/// `first * second / third` of three scales, in the shapes that the functions give them.
fn ratio(call: &Call<'_>, [a, b, c]: [(usize, &Aligned<'_>); 3]) -> Result<Value, Fault> {
    let operand = |(input, aligned): (usize, &Aligned<'_>)| -> Result<(Shape, &[f32]), Fault> {
        let floats = call.floats(input)?;
        Ok((aligned(&call.shape(input)?), floats))
    };
    let (a, b, c) = (operand(a)?, operand(b)?, operand(c)?);
    let product_shape = shape::broadcast(&a.0, &b.0)?;
    let mut product = call.make(DataType::F32, product_shape.clone())?;
    let (left, right) = (Operand { shape: &a.0, data: a.1 }, Operand { shape: &b.0, data: b.1 });
    broadcast::zip(left, right, &product_shape, product.raw_mut::<f32>(), |a, b| a * b);
    let target = shape::broadcast(&product_shape, &c.0)?;
    let mut result = call.make(DataType::F32, target.clone())?;
    let (left, right) = (Operand { shape: &product_shape, data: product.raw() }, Operand { shape: &c.0, data: c.1 });
    broadcast::zip(left, right, &target, result.raw_mut::<f32>(), |product: f32, c| product / c);
    Ok(result)
}

/// The sums times the factor, rounded to even, plus the zero point, saturated.
fn requantized(
    call: &Call<'_>,
    sums: &Value,
    factor: &Value,
    zeros: &Value,
    to: DataType,
    full: &Shape,
) -> Result<Value, Fault> {
    for shape in [factor.shape(), zeros.shape()] {
        if shape::broadcast(full, shape)? != *full {
            return Err(Fault::Shape(format!("scales or zero points of shape {shape:?} do not fit {full:?}")));
        }
    }
    let mut result = call.make(to, full.clone())?;
    let sums = Operand { shape: full, data: sums.raw::<i32>() };
    let factor = Operand { shape: factor.shape(), data: factor.raw::<f32>() };
    match to {
        DataType::U8 => {
            let zeros = Operand { shape: zeros.shape(), data: zeros.raw::<u8>() };
            broadcast::zip3(sums, factor, zeros, full, result.raw_mut::<u8>(), |sum, factor, zero| {
                int8::rounded(sum as f32 * factor, zero.into(), 0, 255) as u8
            });
        }
        _ => {
            let zeros = Operand { shape: zeros.shape(), data: zeros.raw::<i8>() };
            broadcast::zip3(sums, factor, zeros, full, result.raw_mut::<i8>(), |sum, factor, zero| {
                int8::rounded(sum as f32 * factor, zero.into(), -128, 127) as i8
            });
        }
    }
    Ok(result)
}
