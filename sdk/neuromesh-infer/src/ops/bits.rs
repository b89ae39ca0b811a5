//! Bits of integers, and the classes of floats.

use super::{
    Operator,
    broadcast::{self, Operand},
    call::{self, Call, Outputs},
    moves, op,
};
use crate::{DataType, Fault, attribute::wrong, shape, value::by_size};

pub(super) const TABLE: &[Operator] = &[
    moves("BitShift", 11, 2..=2, shift),
    moves("BitwiseAnd", 18, 2..=2, and),
    moves("BitwiseNot", 18, 1..=1, not),
    moves("BitwiseOr", 18, 2..=2, or),
    moves("BitwiseXor", 18, 2..=2, xor),
    op("IsInf", 10, 1..=1, is_inf),
    op("IsNaN", 9, 1..=1, is_nan),
];

#[derive(Clone, Copy)]
enum Gate {
    And,
    Or,
    Xor,
}

fn and(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    combine(call, Gate::And)
}

fn or(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    combine(call, Gate::Or)
}

fn xor(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    combine(call, Gate::Xor)
}

fn combine(call: &mut Call<'_>, gate: Gate) -> Result<Outputs, Fault> {
    let data_type = integer_type(call)?;
    let (a, b) = (call.peek(0)?, call.peek(1)?);
    let target = shape::broadcast(a.shape(), b.shape())?;
    let mut result = call.make(data_type, target.clone())?;
    by_size!(data_type, T => {
        let f: fn(T, T) -> T = match gate {
            Gate::And => |a, b| a & b,
            Gate::Or => |a, b| a | b,
            Gate::Xor => |a, b| a ^ b,
        };
        let (a, b) = (Operand { shape: a.shape(), data: a.raw() }, Operand { shape: b.shape(), data: b.raw() });
        broadcast::zip(a, b, &target, result.raw_mut(), f);
    });
    call::one(result)
}

fn not(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let data_type = integer_type(call)?;
    let value = call.peek(0)?;
    let mut result = call.make(data_type, value.shape().clone())?;
    by_size!(data_type, T => {
        result.raw_mut::<T>().iter_mut().zip(value.raw::<T>()).for_each(|(to, &from)| *to = !from);
    });
    call::one(result)
}

/// Bits that leave the element are lost; to the right, signed elements keep their sign.
fn shift(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let data_type = integer_type(call)?;
    let left = match call.attributes().text("direction")? {
        Some("LEFT") => true,
        Some("RIGHT") => false,
        _ => return Err(wrong("direction", "LEFT or RIGHT is expected")),
    };
    let (a_shape, b_shape) = (call.shape(0)?, call.shape(1)?);
    let target = shape::broadcast(&a_shape, &b_shape)?;
    let mut result = call.make(data_type, target.clone())?;
    let (a, b) = (call.integers(0)?, call.integers(1)?);
    let (a, b) = (Operand { shape: &a_shape, data: &a[..] }, Operand { shape: &b_shape, data: &b[..] });
    call.memory.check(result.len() as u64 * 8)?;
    let mut shifted = vec![0i64; result.len()];
    broadcast::zip(a, b, &target, &mut shifted, |value, by| match u32::try_from(by) {
        Ok(by) if left => value.checked_shl(by).unwrap_or(0),
        Ok(by) => value >> by.min(63),
        Err(_) if left || value >= 0 => 0,
        Err(_) => -1,
    });
    result.write_integers(shifted.into_iter());
    call::one(result)
}

fn integer_type(call: &Call<'_>) -> Result<DataType, Fault> {
    match call.same_type()? {
        found if found.is_integer() => Ok(found),
        found => Err(Fault::Type { input: 0, found }),
    }
}

fn is_inf(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let positive = call.attributes().flag("detect_positive", true)?;
    let negative = call.attributes().flag("detect_negative", true)?;
    classify(call, |x| (positive && x == f32::INFINITY) || (negative && x == f32::NEG_INFINITY))
}

fn is_nan(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    classify(call, f32::is_nan)
}

fn classify(call: &mut Call<'_>, f: impl Fn(f32) -> bool) -> Result<Outputs, Fault> {
    let mut result = call.make(DataType::Bool, call.shape(0)?)?;
    result.raw_mut::<u8>().iter_mut().zip(call.floats(0)?).for_each(|(to, &from)| *to = u8::from(f(from)));
    call::one(result)
}
