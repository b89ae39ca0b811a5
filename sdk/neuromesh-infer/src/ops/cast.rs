//! Conversion between element types.

use burn_backend::Backend;

use super::call::{self, Call, Outputs};
use crate::{
    DataType, Fault,
    attribute::wrong,
    value::{Host, Ints, Value, float_from, float_into, wrap},
};

pub(crate) fn cast<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let code = call.attributes().int("to")?.ok_or_else(|| wrong("to", "it is missing"))?;
    let to = i32::try_from(code).ok().and_then(DataType::from_onnx);
    convert(call, to.ok_or_else(|| Fault::Unsupported(format!("element type {code}")))?)
}

pub(crate) fn cast_like<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let to = call.peek(1)?.data_type();
    convert(call, to)
}

fn convert<B: Backend>(call: &mut Call<'_, B>, to: DataType) -> Result<Outputs<B>, Fault> {
    let shape = call.shape(0)?;
    call.charge(&shape, to)?;
    let value = call.take(0)?;
    if value.data_type() == to {
        return call::one(value);
    }
    let ints = |data: Vec<i64>| Value::Int(Ints { data_type: to, tensor: Host::new(shape.clone(), data) });
    call::one(match (value, to) {
        (Value::Float(tensor), to) => {
            call.charge(&shape, DataType::F32)?;
            let host = float_into::<B>(tensor)?;
            match to {
                DataType::Bool => Value::Bool(Host::new(shape, host.data.iter().map(|&x| x != 0.0).collect())),
                // Truncates; what does not fit is undefined in ONNX, here it saturates at 64 bits and then wraps.
                to => ints(host.data.iter().map(|&x| wrap(x as i64, to)).collect()),
            }
        }
        (Value::Int(from), DataType::F32) => {
            let data = from.tensor.data.iter().map(|&value| value as f32).collect();
            Value::Float(float_from::<B>(Host::new(shape, data), call.device))
        }
        (Value::Int(from), DataType::Bool) => {
            Value::Bool(Host::new(shape, from.tensor.data.iter().map(|&value| value != 0).collect()))
        }
        (Value::Int(from), to) => ints(from.tensor.data.iter().map(|&value| wrap(value, to)).collect()),
        (Value::Bool(from), DataType::F32) => {
            let data = from.data.iter().map(|&value| f32::from(u8::from(value))).collect();
            Value::Float(float_from::<B>(Host::new(shape, data), call.device))
        }
        (Value::Bool(from), _) => ints(from.data.iter().map(|&value| i64::from(value)).collect()),
    })
}
