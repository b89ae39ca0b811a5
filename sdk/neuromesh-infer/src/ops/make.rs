//! Operators that make tensors out of nothing much.

use burn_backend::Backend;

use super::call::{self, Call, Outputs};
use crate::{
    Data, DataType, Fault, Tensor,
    attribute::{Attribute, wrong},
    shape,
    value::{Host, Ints, Value, float_from},
};

pub(crate) fn constant<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let tensor = match call.attributes().0.as_slice() {
        [(_, Attribute::Tensor(tensor))] => tensor.clone(),
        [(_, Attribute::Float(value))] => Tensor { shape: Vec::new(), data: Data::F32(vec![*value]) },
        [(_, Attribute::Int(value))] => Tensor { shape: Vec::new(), data: Data::I64(vec![*value]) },
        [(_, Attribute::Floats(values))] => Tensor { shape: vec![values.len()], data: Data::F32(values.clone()) },
        [(_, Attribute::Ints(values))] => Tensor { shape: vec![values.len()], data: Data::I64(values.clone()) },
        _ => return Err(wrong("value", "exactly one attribute must give a number, a list of numbers or a tensor")),
    };
    call.charge(&tensor.shape, tensor.data.data_type())?;
    call::one(Value::from_tensor(tensor, call.device))
}

pub(crate) fn constant_of_shape<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let target = shape::sizes(&call.list(0)?).map_err(|reason| Fault::Value(reason.into()))?;
    let elements = shape::checked(&target)?;
    let value = match call.attributes().get("value") {
        None => Data::F32(vec![0.0]),
        Some(Attribute::Tensor(tensor)) if tensor.data.len() == 1 => tensor.data.clone(),
        Some(_) => return Err(wrong("value", "a tensor of one element is expected")),
    };
    let data_type = value.data_type();
    call.charge(&target, data_type)?;
    let ints = |value: i64| Value::Int(Ints { data_type, tensor: Host::new(target.clone(), vec![value; elements]) });
    call::one(match value {
        Data::F32(value) => Value::Float(float_from::<B>(Host::new(target, vec![value[0]; elements]), call.device)),
        Data::Bool(value) => Value::Bool(Host::new(target, vec![value[0]; elements])),
        Data::I64(value) => ints(value[0]),
        Data::I32(value) => ints(value[0].into()),
        Data::U8(value) => ints(value[0].into()),
        Data::I8(value) => ints(value[0].into()),
    })
}

pub(crate) fn range<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let no_step = || Fault::Value("the step is zero".into());
    match call.same_type()? {
        DataType::F32 => {
            let mut scalar = |input| one_of(call.host_floats(input)?);
            let (start, limit, step) = (scalar(0)?, scalar(1)?, scalar(2)?);
            if step == 0.0 {
                return Err(no_step());
            }
            // Saturates: an absurd count is then refused by the charge.
            let count = ((f64::from(limit) - f64::from(start)) / f64::from(step)).ceil().max(0.0) as usize;
            call.charge(&[count], DataType::F32)?;
            let data = (0..count).map(|index| start + index as f32 * step).collect();
            call::float::<B>(float_from::<B>(Host::new(vec![count], data), call.device))
        }
        DataType::Bool => Err(Fault::Type { input: 0, found: DataType::Bool }),
        data_type => {
            let mut scalar = |input| one_of(call.ints(input)?.tensor);
            let (start, limit, step) = (scalar(0)?, scalar(1)?, scalar(2)?);
            if step == 0 {
                return Err(no_step());
            }
            let (start, limit, step) = (i128::from(start), i128::from(limit), i128::from(step));
            let distance = if step > 0 { limit - start } else { start - limit };
            let count = usize::try_from((distance.max(0) + step.abs() - 1) / step.abs()).unwrap_or(usize::MAX);
            call.charge(&[count], data_type)?;
            let data = (0..count).map(|index| (start + index as i128 * step) as i64).collect();
            call::int(vec![count], data, data_type)
        }
    }
}

fn one_of<T: Copy>(host: Host<T>) -> Result<T, Fault> {
    match host.data.as_slice() {
        [value] => Ok(*value),
        other => Err(Fault::Shape(format!("one number is needed; there are {}", other.len()))),
    }
}
