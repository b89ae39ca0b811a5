//! Arithmetic between tensors, with broadcasting.

use burn_backend::{Backend, Shape, TensorMetadata, tensor::FloatTensor};

use super::{
    broadcast,
    call::{self, Call, Outputs},
    unary,
};
use crate::{
    DataType, Fault,
    shape::{broadcast as broadcast_shape, pad_rank},
    value::{Host, Ints, Value, float_from, float_into, wrap},
};

pub(crate) fn add<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    arithmetic(call, B::float_add, |a, b| Ok(a.wrapping_add(b)))
}

pub(crate) fn sub<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    arithmetic(call, B::float_sub, |a, b| Ok(a.wrapping_sub(b)))
}

pub(crate) fn mul<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    arithmetic(call, B::float_mul, |a, b| Ok(a.wrapping_mul(b)))
}

pub(crate) fn div<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    // Integers: ONNX truncates towards zero, as the hardware does.
    arithmetic(call, B::float_div, |a, b| match b {
        0 => Err(division_by_zero()),
        b => Ok(a.wrapping_div(b)),
    })
}

pub(crate) fn modulo<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let like_c = call.attributes().flag("fmod", false)?;
    if call.same_type()? == DataType::F32 {
        if !like_c {
            return Err(Fault::Value("floats need fmod = 1".into()));
        }
        return host_floats(call, |a, b| a % b);
    }
    integers(call, |a, b| match b {
        0 => Err(division_by_zero()),
        b if like_c => Ok(a.wrapping_rem(b)),
        // The result has the divisor's sign.
        b => Ok(match a.wrapping_rem(b) {
            rest if rest != 0 && (rest < 0) != (b < 0) => rest + b,
            rest => rest,
        }),
    })
}

pub(crate) fn pow<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    match (call.peek(0)?.data_type(), call.peek(1)?.data_type()) {
        (DataType::F32, DataType::F32) => {}
        (DataType::F32, exponent) if exponent != DataType::Bool => {
            let exponent = call.ints(1)?.tensor;
            call.charge(&exponent.shape, DataType::F32)?;
            let data = exponent.data.iter().map(|&value| value as f32).collect();
            call.inputs[1] = Some(Value::Float(float_from::<B>(Host::new(exponent.shape, data), call.device)));
        }
        (base, exponent) if base != DataType::Bool && exponent != DataType::Bool => return integer_power(call),
        (found, _) => return Err(Fault::Type { input: 0, found }),
    }
    let exponent = call.peek(1)?.shape();
    if exponent.iter().product::<usize>() == 1 && exponent.len() <= call.shape(0)?.len() {
        let exponent = call.host_floats(1)?.data[0];
        let shape = call.shape(0)?;
        call.charge(&shape, DataType::F32)?;
        return match exponent {
            2.0 => {
                let base = call.float(0)?;
                call::float::<B>(B::float_mul(base.clone(), base))
            }
            // On the host: Burn panics at an exponent that is infinite.
            exponent => unary::map(call, |base| base.powf(exponent)),
        };
    }
    host_floats(call, f32::powf)
}

fn integer_power<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let base = call.ints(0)?;
    let (exponent_shape, exponents) = match call.take(1)? {
        Value::Int(ints) => (ints.tensor.shape.clone(), ints.tensor.data.iter().map(|&value| value as f64).collect()),
        Value::Float(tensor) => {
            let host = float_into::<B>(tensor)?;
            (host.shape.clone(), host.data.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>())
        }
        Value::Bool(_) => return Err(Fault::Type { input: 1, found: DataType::Bool }),
    };
    let shape = broadcast_shape(&base.tensor.shape, &exponent_shape)?;
    call.charge(&shape, base.data_type)?;
    let power = |base: i64, exponent: f64| match exponent {
        whole if whole >= 0.0 && whole <= f64::from(u32::MAX) && whole.fract() == 0.0 => {
            base.wrapping_pow(whole as u32)
        }
        exponent => (base as f64).powf(exponent) as i64,
    };
    let data = broadcast::zip(&base.tensor, &Host::new(exponent_shape, exponents), &shape, |base_value, exponent| {
        wrap(power(base_value, exponent), base.data_type)
    });
    call::int(shape, data, base.data_type)
}

pub(crate) fn sum<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    fold(call, B::float_add)
}

pub(crate) fn mean<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let count = call.inputs.len() as f32;
    match fold(call, B::float_add)?.pop() {
        Some(Value::Float(total)) => call::float::<B>(B::float_div_scalar(total, count.into())),
        _ => Err(Fault::Missing(0)),
    }
}

fn fold<B: Backend>(
    call: &mut Call<'_, B>,
    step: fn(FloatTensor<B>, FloatTensor<B>) -> FloatTensor<B>,
) -> Result<Outputs<B>, Fault> {
    let mut total = call.float(0)?;
    for input in 1..call.inputs.len() {
        let next = call.float(input)?;
        total = float_binary(call, total, next, step)?;
    }
    call::float::<B>(total)
}

pub(crate) fn max<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    // A NaN wins, as in numpy.
    extreme(call, |a, b| if a > b || a.is_nan() { a } else { b }, i64::max)
}

pub(crate) fn min<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    extreme(call, |a, b| if a < b || a.is_nan() { a } else { b }, i64::min)
}

fn extreme<B: Backend>(
    call: &mut Call<'_, B>,
    floats: fn(f32, f32) -> f32,
    ints: fn(i64, i64) -> i64,
) -> Result<Outputs<B>, Fault> {
    match call.same_type()? {
        DataType::F32 => {
            let mut total = call.host_floats(0)?;
            for input in 1..call.inputs.len() {
                let next = call.host_floats(input)?;
                let shape = broadcast_shape(&total.shape, &next.shape)?;
                call.charge(&shape, DataType::F32)?;
                let data = broadcast::zip(&total, &next, &shape, floats);
                total = Host::new(shape, data);
            }
            call::float::<B>(float_from::<B>(total, call.device))
        }
        DataType::Bool => Err(Fault::Type { input: 0, found: DataType::Bool }),
        data_type => {
            let mut total = call.ints(0)?.tensor;
            for input in 1..call.inputs.len() {
                let next = call.ints(input)?.tensor;
                let shape = broadcast_shape(&total.shape, &next.shape)?;
                call.charge(&shape, data_type)?;
                let data = broadcast::zip(&total, &next, &shape, ints);
                total = Host::new(shape, data);
            }
            call::one(Value::Int(Ints { data_type, tensor: total }))
        }
    }
}

fn arithmetic<B: Backend>(
    call: &mut Call<'_, B>,
    floats: fn(FloatTensor<B>, FloatTensor<B>) -> FloatTensor<B>,
    ints: impl Fn(i64, i64) -> Result<i64, Fault>,
) -> Result<Outputs<B>, Fault> {
    if call.same_type()? != DataType::F32 {
        return integers(call, ints);
    }
    let (a, b) = (call.float(0)?, call.float(1)?);
    call::float::<B>(float_binary(call, a, b, floats)?)
}

/// A binary operator of the backend, which wants equal ranks and no empty tensors.
pub(crate) fn float_binary<B: Backend>(
    call: &mut Call<'_, B>,
    a: FloatTensor<B>,
    b: FloatTensor<B>,
    apply: fn(FloatTensor<B>, FloatTensor<B>) -> FloatTensor<B>,
) -> Result<FloatTensor<B>, Fault> {
    let shape = broadcast_shape(&a.shape(), &b.shape())?;
    if call.charge(&shape, DataType::F32)? == 0 {
        return Ok(call::empty::<B>(shape, call.device));
    }
    let rank = shape.len();
    let lift = |tensor: FloatTensor<B>| match tensor.shape().to_vec() {
        own if own.len() == rank => tensor,
        own => B::float_reshape(tensor, Shape::from(pad_rank(&own, rank))),
    };
    Ok(apply(lift(a), lift(b)))
}

fn host_floats<B: Backend>(call: &mut Call<'_, B>, f: fn(f32, f32) -> f32) -> Result<Outputs<B>, Fault> {
    let (a, b) = (call.host_floats(0)?, call.host_floats(1)?);
    let shape = broadcast_shape(&a.shape, &b.shape)?;
    call.charge(&shape, DataType::F32)?;
    let data = broadcast::zip(&a, &b, &shape, f);
    call::float::<B>(float_from::<B>(Host::new(shape, data), call.device))
}

fn integers<B: Backend>(
    call: &mut Call<'_, B>,
    f: impl Fn(i64, i64) -> Result<i64, Fault>,
) -> Result<Outputs<B>, Fault> {
    let (a, b) = (call.ints(0)?, call.ints(1)?);
    let shape = broadcast_shape(&a.tensor.shape, &b.tensor.shape)?;
    call.charge(&shape, a.data_type)?;
    let mut fault = None;
    let data = broadcast::zip(&a.tensor, &b.tensor, &shape, |x, y| match f(x, y) {
        Ok(value) => wrap(value, a.data_type),
        Err(error) => {
            fault.get_or_insert(error);
            0
        }
    });
    match fault {
        None => call::int(shape, data, a.data_type),
        Some(fault) => Err(fault),
    }
}

fn division_by_zero() -> Fault {
    Fault::Value("division of an integer by zero".into())
}
