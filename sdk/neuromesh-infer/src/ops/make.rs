//! Operators that make tensors out of nothing much.

use super::{
    Operator,
    call::{self, Call, Outputs},
    moves, op,
};
use crate::{
    DataType, Fault,
    attribute::{Attribute, wrong},
    shape::{self, Shape},
    value::{Value, by_size},
};

pub(super) const TABLE: &[Operator] = &[
    moves("Constant", 1, 0..=0, constant),
    moves("ConstantOfShape", 9, 1..=1, constant_of_shape),
    op("Range", 11, 3..=3, range),
];

fn constant(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let list = |length: usize| Shape::from_slice(&[length]);
    call::one(match call.attributes().0.as_slice() {
        [(_, Attribute::Tensor(tensor))] => tensor.clone(),
        [(_, Attribute::Float(value))] => Value::constant(DataType::F32, Shape::new(), &[*value]),
        [(_, Attribute::Int(value))] => Value::constant(DataType::I64, Shape::new(), &[*value]),
        [(_, Attribute::Floats(values))] => Value::constant(DataType::F32, list(values.len()), values),
        [(_, Attribute::Ints(values))] => Value::constant(DataType::I64, list(values.len()), values),
        _ => return Err(wrong("value", "exactly one attribute must give a number, a list of numbers or a tensor")),
    })
}

fn constant_of_shape(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let target = shape::sizes(&call.list(0)?).map_err(|reason| Fault::Value(reason.into()))?;
    let zero = Value::constant(DataType::F32, Shape::new(), &[0f32]);
    let value = call.attributes().tensor("value")?.unwrap_or(&zero);
    if value.len() != 1 {
        return Err(wrong("value", "a tensor of one element is expected"));
    }
    let mut result = call.make(value.data_type(), target)?;
    by_size!(value.data_type(), T => result.raw_mut::<T>().fill(value.raw::<T>()[0]));
    call::one(result)
}

fn range(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let no_step = || Fault::Value("the step is zero".into());
    match call.same_type()? {
        DataType::F32 => {
            let (start, limit, step) = (call.number(0)? as f32, call.number(1)?, call.number(2)? as f32);
            if step == 0.0 {
                return Err(no_step());
            }
            // Saturates: an absurd count is then refused where the memory is asked for.
            let count = ((limit - f64::from(start)) / f64::from(step)).ceil().max(0.0) as usize;
            let mut result = call.make(DataType::F32, [count].as_slice())?;
            let elements = result.raw_mut::<f32>().iter_mut().enumerate();
            elements.for_each(|(index, to)| *to = start + index as f32 * step);
            call::one(result)
        }
        found @ (DataType::Bool | DataType::F16) => Err(Fault::Type { input: 0, found }),
        data_type => {
            let (start, limit, step) = (call.integer(0)?, call.integer(1)?, call.integer(2)?);
            if step == 0 {
                return Err(no_step());
            }
            let (start, limit, step) = (i128::from(start), i128::from(limit), i128::from(step));
            let distance = if step > 0 { limit - start } else { start - limit };
            let count = usize::try_from((distance.max(0) + step.abs() - 1) / step.abs()).unwrap_or(usize::MAX);
            let mut result = call.make(data_type, [count].as_slice())?;
            result.write_integers((0..count).map(|index| (start + index as i128 * step) as i64));
            call::one(result)
        }
    }
}
