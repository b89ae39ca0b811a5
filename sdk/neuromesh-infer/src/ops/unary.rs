//! Functions of one tensor, element by element.

use burn_backend::{Backend, tensor::FloatTensor};

use super::call::{self, Call, Outputs};
use crate::{
    DataType, Fault,
    attribute::wrong,
    value::{Host, Value, float_from, wrap},
};

pub(crate) fn abs<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    signed(call, B::float_abs, i64::wrapping_abs)
}

pub(crate) fn neg<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    signed(call, B::float_neg, i64::wrapping_neg)
}

pub(crate) fn sign<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    signed(call, B::float_sign, i64::signum)
}

pub(crate) fn relu<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    signed(call, B::relu, |value| value.max(0))
}

pub(crate) fn sqrt<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    floats(call, B::float_sqrt)
}

pub(crate) fn exp<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    floats(call, B::float_exp)
}

pub(crate) fn log<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    floats(call, B::float_log)
}

pub(crate) fn erf<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    floats(call, B::float_erf)
}

pub(crate) fn tanh<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    floats(call, B::float_tanh)
}

pub(crate) fn sin<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    floats(call, B::float_sin)
}

pub(crate) fn cos<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    floats(call, B::float_cos)
}

pub(crate) fn sigmoid<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    floats(call, B::sigmoid)
}

pub(crate) fn reciprocal<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    floats(call, B::float_recip)
}

pub(crate) fn ceil<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    floats(call, B::float_ceil)
}

pub(crate) fn floor<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    floats(call, B::float_floor)
}

pub(crate) fn round<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    map(call, f32::round_ties_even)
}

pub(crate) fn softplus<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    // Written so that a large x does not overflow in exp.
    map(call, |x| x.max(0.0) + (-x.abs()).exp().ln_1p())
}

pub(crate) fn elu<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let alpha = call.attributes().float("alpha")?.unwrap_or(1.0);
    map(call, |x| if x < 0.0 { alpha * x.exp_m1() } else { x })
}

pub(crate) fn leaky_relu<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let alpha = call.attributes().float("alpha")?.unwrap_or(0.01);
    map(call, |x| if x < 0.0 { alpha * x } else { x })
}

pub(crate) fn hard_sigmoid<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let alpha = call.attributes().float("alpha")?.unwrap_or(0.2);
    let beta = call.attributes().float("beta")?.unwrap_or(0.5);
    map(call, |x| (alpha * x + beta).clamp(0.0, 1.0))
}

pub(crate) fn gelu<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    match call.attributes().text("approximate")?.unwrap_or("none") {
        "none" => super::fused::gelu(call),
        "tanh" => super::fused::gelu_tanh(call),
        other => Err(wrong("approximate", &format!("{other:?} is neither \"none\" nor \"tanh\""))),
    }
}

pub(crate) fn clip<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    if call.opset() < 11 {
        let low = call.attributes().float("min")?.unwrap_or(f32::MIN);
        let high = call.attributes().float("max")?.unwrap_or(f32::MAX);
        return map(call, |x| x.max(low).min(high));
    }
    match call.peek(0)?.data_type() {
        DataType::F32 => {
            let mut bound = |input: usize, default: f32| match call.has(input) {
                true => single(call.host_floats(input)?),
                false => Ok(default),
            };
            let (low, high) = (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?);
            // Not `clamp`, which panics when the bounds are crossed: then ONNX says all elements are `max`.
            map(call, |x| if x.is_nan() { x } else { x.max(low).min(high) })
        }
        DataType::Bool => Err(Fault::Type { input: 0, found: DataType::Bool }),
        _ => {
            let mut bound = |input: usize, default: i64| match call.has(input) {
                true => single(call.ints(input)?.tensor),
                false => Ok(default),
            };
            let (low, high) = (bound(1, i64::MIN)?, bound(2, i64::MAX)?);
            signed(call, |tensor| tensor, |value| value.max(low).min(high))
        }
    }
}

fn single<T: Copy>(host: Host<T>) -> Result<T, Fault> {
    match host.data.as_slice() {
        [value] => Ok(*value),
        other => Err(Fault::Shape(format!("a bound must be one number; there are {}", other.len()))),
    }
}

fn floats<B: Backend>(
    call: &mut Call<'_, B>,
    f: impl FnOnce(FloatTensor<B>) -> FloatTensor<B>,
) -> Result<Outputs<B>, Fault> {
    let shape = call.shape(0)?;
    call.charge(&shape, DataType::F32)?;
    call::one(Value::Float(f(call.float(0)?)))
}

fn signed<B: Backend>(
    call: &mut Call<'_, B>,
    float: impl FnOnce(FloatTensor<B>) -> FloatTensor<B>,
    int: impl Fn(i64) -> i64,
) -> Result<Outputs<B>, Fault> {
    let (shape, data_type) = (call.shape(0)?, call.peek(0)?.data_type());
    call.charge(&shape, data_type)?;
    match call.take(0)? {
        Value::Float(tensor) => call::float::<B>(float(tensor)),
        Value::Int(ints) => {
            let data = ints.tensor.data.iter().map(|&value| wrap(int(value), data_type)).collect();
            call::int(shape, data, data_type)
        }
        Value::Bool(_) => Err(Fault::Type { input: 0, found: DataType::Bool }),
    }
}

/// A function that no backend has, on the host.
pub(crate) fn map<B: Backend>(call: &mut Call<'_, B>, f: impl Fn(f32) -> f32) -> Result<Outputs<B>, Fault> {
    let shape = call.shape(0)?;
    call.charge(&shape, DataType::F32)?;
    let mut host = call.host_floats(0)?;
    match std::sync::Arc::get_mut(&mut host.data) {
        Some(data) => data.iter_mut().for_each(|x| *x = f(*x)),
        None => host.data = std::sync::Arc::new(host.data.iter().map(|&x| f(x)).collect()),
    }
    call::float::<B>(float_from::<B>(host, call.device))
}
