//! Comparison, logic and choice.

use burn_backend::Backend;

use super::{
    broadcast,
    call::{self, Call, Outputs},
};
use crate::{
    DataType, Fault,
    shape::broadcast as broadcast_shape,
    value::{Host, Ints, Value, float_from, float_into},
};

pub(crate) fn equal<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    if call.same_type()? == DataType::Bool {
        return logic(call, |a, b| a == b);
    }
    compare(call, |a, b| a == b, |a, b| a == b)
}

pub(crate) fn less<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    compare(call, |a, b| a < b, |a, b| a < b)
}

pub(crate) fn less_or_equal<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    compare(call, |a, b| a <= b, |a, b| a <= b)
}

pub(crate) fn greater<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    compare(call, |a, b| a > b, |a, b| a > b)
}

pub(crate) fn greater_or_equal<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    compare(call, |a, b| a >= b, |a, b| a >= b)
}

pub(crate) fn and<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    logic(call, |a, b| a && b)
}

pub(crate) fn or<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    logic(call, |a, b| a || b)
}

pub(crate) fn xor<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    logic(call, |a, b| a != b)
}

pub(crate) fn not<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let bools = call.bools(0)?;
    call.charge(&bools.shape, DataType::Bool)?;
    let data = bools.data.iter().map(|value| !value).collect();
    call::bool(bools.shape, data)
}

/// `Where`: the condition, what stands where it holds, what stands elsewhere.
pub(crate) fn choose<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let condition = call.bools(0)?;
    let (yes, no) = (call.take(1)?, call.take(2)?);
    if yes.data_type() != no.data_type() {
        return Err(Fault::Value(format!("it chooses between {} and {}", yes.data_type(), no.data_type())));
    }
    let branches = broadcast_shape(&yes.shape(), &no.shape())?;
    let shape = broadcast_shape(&condition.shape, &branches)?;
    call.charge(&shape, DataType::Bool)?;
    call.charge(&shape, yes.data_type())?;
    // The loop takes two operands: the condition is repeated first, and then stands beside one branch at a time.
    let condition = Host::new(shape.clone(), broadcast::expand(&condition, &shape));
    Ok(vec![match (yes, no) {
        (Value::Float(yes), Value::Float(no)) => {
            let (yes, no) = (float_into::<B>(yes)?, float_into::<B>(no)?);
            call.charge(&shape, DataType::F32)?;
            Value::Float(float_from::<B>(select(&condition, &yes, &no, &shape), call.device))
        }
        (Value::Int(yes), Value::Int(no)) => {
            let data_type = yes.data_type;
            call.charge(&shape, data_type)?;
            Value::Int(Ints { data_type, tensor: select(&condition, &yes.tensor, &no.tensor, &shape) })
        }
        (Value::Bool(yes), Value::Bool(no)) => {
            call.charge(&shape, DataType::Bool)?;
            Value::Bool(select(&condition, &yes, &no, &shape))
        }
        _ => return Err(Fault::Value("the branches differ in type".into())),
    }])
}

fn select<T: Copy>(condition: &Host<bool>, yes: &Host<T>, no: &Host<T>, shape: &[usize]) -> Host<T> {
    let no = Host::new(shape.to_vec(), broadcast::expand(no, shape));
    let mut at = 0;
    let data = broadcast::zip(condition, yes, shape, |condition, yes| {
        at += 1;
        if condition { yes } else { no.data[at - 1] }
    });
    Host::new(shape.to_vec(), data)
}

fn compare<B: Backend>(
    call: &mut Call<'_, B>,
    floats: fn(f32, f32) -> bool,
    ints: fn(i64, i64) -> bool,
) -> Result<Outputs<B>, Fault> {
    let data_type = call.same_type()?;
    let shape = broadcast_shape(&call.shape(0)?, &call.shape(1)?)?;
    call.charge(&shape, DataType::Bool)?;
    let data = match data_type {
        DataType::F32 => broadcast::zip(&call.host_floats(0)?, &call.host_floats(1)?, &shape, floats),
        DataType::Bool => return Err(Fault::Type { input: 0, found: DataType::Bool }),
        _ => broadcast::zip(&call.ints(0)?.tensor, &call.ints(1)?.tensor, &shape, ints),
    };
    call::bool(shape, data)
}

fn logic<B: Backend>(call: &mut Call<'_, B>, f: fn(bool, bool) -> bool) -> Result<Outputs<B>, Fault> {
    let (a, b) = (call.bools(0)?, call.bools(1)?);
    let shape = broadcast_shape(&a.shape, &b.shape)?;
    call.charge(&shape, DataType::Bool)?;
    call::bool(shape.clone(), broadcast::zip(&a, &b, &shape, f))
}
