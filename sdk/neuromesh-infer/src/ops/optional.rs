//! Optional values; the engine has those that hold a tensor, or nothing.

use super::{
    Operator,
    call::{self, Call, Outputs},
    moves,
};
use crate::{DataType, Fault, shape::Shape, value::Value};

pub(super) const TABLE: &[Operator] =
    &[moves("OptionalGetElement", 15, 1..=1, get_element), moves("OptionalHasElement", 15, 0..=1, has_element)];

fn get_element(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    call::one(call.take(0)?)
}

fn has_element(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    call::one(Value::constant(DataType::Bool, Shape::new(), &[u8::from(call.has(0))]))
}
