//! Conversion between element types.

use half::f16;

use super::{
    Operator,
    call::{self, Call, Outputs},
    moves,
};
use crate::{DataType, Fault, attribute::wrong, memory::Memory, value::Value};

pub(super) const TABLE: &[Operator] = &[moves("Cast", 1, 1..=1, cast), moves("CastLike", 15, 2..=2, cast_like)];

fn cast(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let code = call.attributes().int("to")?.ok_or_else(|| wrong("to", "it is missing"))?;
    let to = i32::try_from(code).ok().and_then(DataType::from_onnx);
    convert_first(call, to.ok_or_else(|| Fault::Unsupported(format!("element type {code}")))?)
}

fn cast_like(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let to = call.data_type(1)?;
    convert_first(call, to)
}

fn convert_first(call: &mut Call<'_>, to: DataType) -> Result<Outputs, Fault> {
    let value = call.take(0)?;
    call::one(convert(call.memory, value, to)?)
}

/// The elements in another type.
///
/// Floats to integers truncate; what does not fit is undefined in ONNX, here it saturates at 64 bits and then wraps.
/// To booleans: whether it is not zero. To halves: rounded, ties to even.
pub(crate) fn convert(memory: &Memory, value: Value, to: DataType) -> Result<Value, Fault> {
    let from = value.data_type();
    if from == to {
        return Ok(value);
    }
    let mut result = memory.value(to, value.shape().clone())?;
    match (from, to) {
        (DataType::F16, DataType::F32) => {
            let pairs = result.raw_mut::<f32>().iter_mut().zip(value.raw::<f16>());
            pairs.for_each(|(to, from)| *to = from.to_f32());
        }
        (DataType::F32, DataType::F16) => {
            let pairs = result.raw_mut::<f16>().iter_mut().zip(value.raw::<f32>());
            pairs.for_each(|(to, &from)| *to = f16::from_f32(from));
        }
        (DataType::F16, _) => return convert(memory, convert(memory, value, DataType::F32)?, to),
        (_, DataType::F16) => return convert(memory, convert(memory, value, DataType::F32)?, to),
        (DataType::F32, DataType::Bool) => {
            let pairs = result.raw_mut::<u8>().iter_mut().zip(value.raw::<f32>());
            pairs.for_each(|(to, &from)| *to = u8::from(from != 0.0));
        }
        (DataType::F32, _) => result.write_integers(value.raw::<f32>().iter().map(|&from| from as i64)),
        (DataType::Bool, DataType::F32) => {
            let pairs = result.raw_mut::<f32>().iter_mut().zip(value.raw::<u8>());
            pairs.for_each(|(to, &from)| *to = from.into());
        }
        (DataType::Bool, _) => result.write_integers(value.raw::<u8>().iter().map(|&from| from.into())),
        (_, DataType::F32) => {
            let integers = value.to_integers()?;
            result.raw_mut::<f32>().iter_mut().zip(integers).for_each(|(to, from)| *to = from as f32);
        }
        (_, DataType::Bool) => {
            let integers = value.to_integers()?;
            result.raw_mut::<u8>().iter_mut().zip(integers).for_each(|(to, from)| *to = u8::from(from != 0));
        }
        _ => result.write_integers(value.to_integers()?.into_iter()),
    }
    Ok(result)
}
