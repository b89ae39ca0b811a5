//! Comparison, logic and choice.

use bytemuck::Pod;

use super::{
    Operator,
    broadcast::{self, Operand},
    call::{self, Call, Outputs},
    moves, op,
};
use crate::{
    DataType, Fault,
    shape::{Shape, broadcast as broadcast_shape},
    value::{Value, by_size},
};

pub(super) const TABLE: &[Operator] = &[
    op("And", 1, 2..=2, and),
    op("Equal", 1, 2..=2, equal),
    op("Greater", 1, 2..=2, greater),
    op("GreaterOrEqual", 12, 2..=2, greater_or_equal),
    op("Less", 1, 2..=2, less),
    op("LessOrEqual", 12, 2..=2, less_or_equal),
    op("Not", 1, 1..=1, not),
    op("Or", 1, 2..=2, or),
    moves("Where", 9, 3..=3, choose),
    op("Xor", 1, 2..=2, xor),
];

fn equal(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    if call.same_type()? == DataType::Bool {
        return logic(call, |a, b| u8::from(a == b));
    }
    compare(call, |a, b| a == b, |a, b| a == b)
}

fn less(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    compare(call, |a, b| a < b, |a, b| a < b)
}

fn less_or_equal(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    compare(call, |a, b| a <= b, |a, b| a <= b)
}

fn greater(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    compare(call, |a, b| a > b, |a, b| a > b)
}

fn greater_or_equal(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    compare(call, |a, b| a >= b, |a, b| a >= b)
}

fn and(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    logic(call, |a, b| a & b)
}

fn or(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    logic(call, |a, b| a | b)
}

fn xor(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    logic(call, |a, b| a ^ b)
}

fn not(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let mut result = call.make(DataType::Bool, call.shape(0)?)?;
    result.raw_mut::<u8>().iter_mut().zip(call.bools(0)?).for_each(|(to, &value)| *to = 1 - value);
    call::one(result)
}

/// `Where`: the condition, what stands where it holds, what stands elsewhere.
fn choose(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let (yes, no) = (call.take(1)?, call.take(2)?);
    if yes.data_type() != no.data_type() {
        return Err(Fault::Value(format!("it chooses between {} and {}", yes.data_type(), no.data_type())));
    }
    let condition = Operand { shape: &call.shape(0)?, data: call.bools(0)? };
    let branches = broadcast_shape(yes.shape(), no.shape())?;
    let shape = broadcast_shape(condition.shape, &branches)?;
    let mut result = call.make(yes.data_type(), shape.clone())?;
    by_size!(yes.data_type(), T => {
        let (yes, no) = (operand::<T>(&yes), operand::<T>(&no));
        broadcast::zip3(condition, yes, no, &shape, result.raw_mut::<T>(), |condition, yes, no| {
            if condition != 0 { yes } else { no }
        });
    });
    call::one(result)
}

fn operand<T: Pod>(value: &Value) -> Operand<'_, T> {
    Operand { shape: value.shape(), data: value.raw() }
}

/// `floats` and `ints` compare alike; both are known here, so that the loops have no calls.
fn compare(
    call: &mut Call<'_>,
    floats: impl Fn(f32, f32) -> bool,
    ints: impl Fn(i64, i64) -> bool,
) -> Result<Outputs, Fault> {
    let data_type = call.same_type()?;
    let (a_shape, b_shape) = (call.shape(0)?, call.shape(1)?);
    let shape = broadcast_shape(&a_shape, &b_shape)?;
    let mut result = call.make(DataType::Bool, shape.clone())?;
    let out = result.raw_mut::<u8>();
    match data_type {
        DataType::F32 => {
            let a = Operand { shape: &a_shape, data: call.floats(0)? };
            let b = Operand { shape: &b_shape, data: call.floats(1)? };
            broadcast::zip(a, b, &shape, out, |a, b| u8::from(floats(a, b)));
        }
        DataType::I64 => zip::<i64>(call, &shape, out, ints)?,
        DataType::I32 => zip::<i32>(call, &shape, out, ints)?,
        DataType::I8 => zip::<i8>(call, &shape, out, ints)?,
        DataType::U8 => zip::<u8>(call, &shape, out, ints)?,
        found @ (DataType::Bool | DataType::F16) => return Err(Fault::Type { input: 0, found }),
    }
    call::one(result)
}

/// Compares integers as they lie.
fn zip<T: Pod + Into<i64>>(
    call: &Call<'_>,
    shape: &Shape,
    out: &mut [u8],
    f: impl Fn(i64, i64) -> bool,
) -> Result<(), Fault> {
    let (a, b) = (call.peek(0)?, call.peek(1)?);
    broadcast::zip(operand::<T>(a), operand::<T>(b), shape, out, |a, b| u8::from(f(a.into(), b.into())));
    Ok(())
}

fn logic(call: &mut Call<'_>, f: fn(u8, u8) -> u8) -> Result<Outputs, Fault> {
    let (a_shape, b_shape) = (call.shape(0)?, call.shape(1)?);
    let shape = broadcast_shape(&a_shape, &b_shape)?;
    let mut result = call.make(DataType::Bool, shape.clone())?;
    let a = Operand { shape: &a_shape, data: call.bools(0)? };
    let b = Operand { shape: &b_shape, data: call.bools(1)? };
    broadcast::zip(a, b, &shape, result.raw_mut::<u8>(), f);
    call::one(result)
}
