//! Arithmetic between tensors, with broadcasting.

use super::{
    MANY, Operator,
    broadcast::{self, Operand},
    call::{self, Call, Outputs},
    cast, op,
};
use crate::{
    DataType, Fault,
    kernels::elementwise::{self, Binary, Side, Unary},
    shape::{broadcast as broadcast_shape, broadcast_strides},
    value::Value,
};

pub(super) const TABLE: &[Operator] = &[
    op("Add", 1, 2..=2, add),
    op("Div", 1, 2..=2, div),
    op("Max", 1, 1..=MANY, max),
    op("Mean", 1, 1..=MANY, mean),
    op("Min", 1, 1..=MANY, min),
    op("Mod", 10, 2..=2, modulo),
    op("Mul", 1, 2..=2, mul),
    op("PRelu", 1, 2..=2, parametric_relu),
    op("Pow", 1, 2..=2, pow),
    op("Sub", 1, 2..=2, sub),
    op("Sum", 1, 1..=MANY, sum),
];

fn add(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    arithmetic(call, Binary::Add, |a, b| Ok(a.wrapping_add(b)))
}

fn sub(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    arithmetic(call, Binary::Sub, |a, b| Ok(a.wrapping_sub(b)))
}

fn mul(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    arithmetic(call, Binary::Mul, |a, b| Ok(a.wrapping_mul(b)))
}

fn div(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    // Integers: ONNX truncates towards zero, as the hardware does.
    arithmetic(call, Binary::Div, |a, b| match b {
        0 => Err(division_by_zero()),
        b => Ok(a.wrapping_div(b)),
    })
}

fn modulo(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let like_c = call.attributes().flag("fmod", false)?;
    if call.same_type()? == DataType::F32 {
        return match like_c {
            true => call::one(float_binary(call, Binary::Remainder)?),
            false => Err(Fault::Value("floats need fmod = 1".into())),
        };
    }
    call::one(integers(call, |a, b| match b {
        0 => Err(division_by_zero()),
        b if like_c => Ok(a.wrapping_rem(b)),
        // The result has the divisor's sign.
        b => Ok(match a.wrapping_rem(b) {
            rest if rest != 0 && (rest < 0) != (b < 0) => rest + b,
            rest => rest,
        }),
    })?)
}

/// `x` where it is not negative, `slope * x` elsewhere; the slope broadcasts to `x`.
fn parametric_relu(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    if call.same_type()? != DataType::F32 {
        return call::one(integers_with_slope(call)?);
    }
    let (x, mut slope) = (call.shape(0)?, call.shape(1)?);
    // Before operator set 7 a slope for each channel stood without the dimensions behind it.
    if slope.len() == 1 && x.len() > 2 && slope[0] != 1 && slope[0] == x[1] && slope[0] != x[x.len() - 1] {
        slope.resize(x.len() - 1, 1);
        let value = call.take(1)?;
        call.inputs[1] = Some(value.reshape(slope.clone()));
    }
    if broadcast_shape(&x, &slope)? != x {
        return Err(Fault::Shape(format!("a slope of shape {slope:?} does not broadcast to {x:?}")));
    }
    call::one(float_binary(call, Binary::PRelu)?)
}

fn integers_with_slope(call: &mut Call<'_>) -> Result<Value, Fault> {
    integers(call, |x, slope| Ok(if x < 0 { x.wrapping_mul(slope) } else { x }))
}

fn pow(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let (base, exponent) = (call.data_type(0)?, call.data_type(1)?);
    match (base, exponent) {
        (DataType::Bool, found) | (found, DataType::Bool) => return Err(Fault::Type { input: 0, found }),
        (DataType::F32, _) => {}
        _ => return integer_power(call),
    }
    let exponent = call.take(1)?;
    let exponent = cast::convert(call.memory, exponent, DataType::F32)?;
    let scalar = (exponent.len() == 1 && exponent.rank() <= call.peek(0)?.rank()).then(|| exponent.raw::<f32>()[0]);
    match scalar {
        Some(exponent) => call::one(map(call, Unary::Pow { exponent })?),
        None => {
            call.inputs[1] = Some(exponent);
            call::one(float_binary(call, Binary::Pow)?)
        }
    }
}

fn integer_power(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let data_type = call.data_type(0)?;
    let (base, base_shape, exponent_shape) = (call.integers(0)?, call.shape(0)?, call.shape(1)?);
    let exponents: Vec<f64> = match call.data_type(1)? {
        DataType::F32 => call.floats(1)?.iter().map(|&value| value.into()).collect(),
        _ => call.integers(1)?.into_iter().map(|value| value as f64).collect(),
    };
    let shape = broadcast_shape(&base_shape, &exponent_shape)?;
    let power = |base: i64, exponent: f64| match exponent {
        whole if whole >= 0.0 && whole <= f64::from(u32::MAX) && whole.fract() == 0.0 => {
            base.wrapping_pow(whole as u32)
        }
        exponent => libm::pow(base as f64, exponent) as i64,
    };
    let mut result = call.make(data_type, shape.clone())?;
    let mut powers = vec![0; result.len()];
    let (a, b) =
        (Operand { shape: &base_shape, data: &base[..] }, Operand { shape: &exponent_shape, data: &exponents[..] });
    broadcast::zip(a, b, &shape, &mut powers, power);
    result.write_integers(powers.into_iter());
    call::one(result)
}

fn sum(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    call::one(fold(call, Binary::Add)?)
}

fn mean(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let count = call.inputs.len() as f32;
    let mut total = fold(call, Binary::Add)?;
    if !total.is_unique() {
        total = Value::constant(DataType::F32, total.shape().clone(), total.raw::<f32>());
    }
    elementwise::binary_scalar(call.cpu, Binary::Div, total.raw_mut(), count, Side::Left);
    call::one(total)
}

fn max(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    extreme(call, Binary::Max, i64::max)
}

fn min(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    extreme(call, Binary::Min, i64::min)
}

fn extreme(call: &mut Call<'_>, floats: Binary, ints: fn(i64, i64) -> i64) -> Result<Outputs, Fault> {
    match call.same_type()? {
        DataType::F32 => call::one(fold(call, floats)?),
        found @ (DataType::Bool | DataType::F16) => Err(Fault::Type { input: 0, found }),
        _ => {
            while call.inputs.len() > 1 {
                let total = integers(call, |a, b| Ok(ints(a, b)))?;
                call.inputs.remove(0);
                call.inputs[0] = Some(total);
            }
            call::one(call.take(0)?)
        }
    }
}

/// All operands, from left to right.
fn fold(call: &mut Call<'_>, op: Binary) -> Result<Value, Fault> {
    while call.inputs.len() > 1 {
        let total = float_binary(call, op)?;
        call.inputs.remove(0);
        call.inputs[0] = Some(total);
    }
    call.expect(0, DataType::F32)?;
    call.take(0)
}

fn arithmetic(
    call: &mut Call<'_>,
    floats: Binary,
    ints: impl Fn(i64, i64) -> Result<i64, Fault>,
) -> Result<Outputs, Fault> {
    match call.same_type()? {
        DataType::F32 => call::one(float_binary(call, floats)?),
        _ => call::one(integers(call, ints)?),
    }
}

/// An operation of the first two operands, in the memory of one of them if nobody else needs it.
pub(crate) fn float_binary(call: &mut Call<'_>, op: Binary) -> Result<Value, Fault> {
    call.expect(0, DataType::F32)?;
    call.expect(1, DataType::F32)?;
    let (mut a, mut b) = (call.take(0)?, call.take(1)?);
    let shape = broadcast_shape(a.shape(), b.shape())?;
    if *a.shape() == shape && a.is_unique() {
        let strides = broadcast_strides(b.shape(), &shape);
        elementwise::broadcast_assign(call.cpu, op, &shape, a.raw_mut(), (b.raw(), &strides), Side::Left);
        return Ok(a);
    }
    if *b.shape() == shape && b.is_unique() {
        let strides = broadcast_strides(a.shape(), &shape);
        elementwise::broadcast_assign(call.cpu, op, &shape, b.raw_mut(), (a.raw(), &strides), Side::Right);
        return Ok(b);
    }
    let mut result = call.make(DataType::F32, shape.clone())?;
    let (a_strides, b_strides) = (broadcast_strides(a.shape(), &shape), broadcast_strides(b.shape(), &shape));
    let out = result.raw_mut();
    elementwise::broadcast(call.cpu, op, &shape, (a.raw(), &a_strides), (b.raw(), &b_strides), out);
    Ok(result)
}

/// A map of the first operand, in its own memory if nobody else needs it.
pub(crate) fn map(call: &mut Call<'_>, op: Unary) -> Result<Value, Fault> {
    call.expect(0, DataType::F32)?;
    let mut x = call.take(0)?;
    if x.is_unique() {
        elementwise::unary_in_place(call.cpu, op, x.raw_mut());
        return Ok(x);
    }
    let mut result = call.make(DataType::F32, x.shape().clone())?;
    elementwise::unary(call.cpu, op, x.raw(), result.raw_mut());
    Ok(result)
}

/// An operation of the first two operands, integers of one type; results wrap to its width.
fn integers(call: &mut Call<'_>, f: impl Fn(i64, i64) -> Result<i64, Fault>) -> Result<Value, Fault> {
    let (a_shape, b_shape) = (call.shape(0)?, call.shape(1)?);
    let shape = broadcast_shape(&a_shape, &b_shape)?;
    let (a, b) = (call.integers(0)?, call.integers(1)?);
    let mut result = call.make(call.data_type(0)?, shape.clone())?;
    call.memory.check(result.len() as u64 * 8)?;
    let mut fault = None;
    let mut values = vec![0; result.len()];
    let (a, b) = (Operand { shape: &a_shape, data: &a[..] }, Operand { shape: &b_shape, data: &b[..] });
    broadcast::zip(a, b, &shape, &mut values, |x, y| match f(x, y) {
        Ok(value) => value,
        Err(error) => {
            fault.get_or_insert(error);
            0
        }
    });
    result.write_integers(values.into_iter());
    fault.map_or(Ok(result), Err)
}

fn division_by_zero() -> Fault {
    Fault::Value("division of an integer by zero".into())
}
