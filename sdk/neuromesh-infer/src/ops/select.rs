//! Operators that tell or choose which elements there are.

use super::{
    Operator,
    call::{self, Call, Outputs},
    cast, index, moves, op,
};
use crate::{
    DataType, Fault,
    shape::{self, Shape},
    value::{Value, by_size},
};

pub(super) const TABLE: &[Operator] = &[
    moves("Compress", 9, 2..=2, compress),
    op("Hardmax", 1, 1..=1, hardmax),
    op("NonZero", 9, 1..=1, non_zero),
    moves("OneHot", 9, 3..=3, one_hot),
];

/// Positions whose condition holds; a short condition does not hold for the rest, and what it says beyond the end is void.
fn compress(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let (axis, sizes) = match call.attributes().int("axis")? {
        Some(axis) => (shape::axis(axis, sizes.len())?, sizes),
        None => (0, Shape::from_slice(&[shape::checked(&sizes)?])),
    };
    let (_, size, inner) = shape::split_at(&sizes, axis);
    let condition = call.bools(1)?;
    call.memory.check(condition.len() as u64 * 8)?;
    let positions = condition.iter().take(size).enumerate().filter(|(_, holds)| **holds != 0);
    let positions: Vec<i64> = positions.map(|(index, _)| index as i64).collect();
    let mut target = sizes.clone();
    target[axis] = positions.len();
    let value = call.peek(0)?;
    let mut result = call.make(value.data_type(), target)?;
    by_size!(value.data_type(), T => index::pick::<T>(value.raw(), size, inner, &positions, result.raw_mut()));
    call::one(result)
}

/// The coordinates of what is not zero, one row per dimension.
fn non_zero(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let value = call.peek(0)?;
    let sizes = value.shape();
    match value.data_type() {
        DataType::F32 => coordinates(call, sizes, value.raw::<f32>(), |&x| x != 0.0),
        data_type => by_size!(data_type, T => coordinates(call, sizes, value.raw::<T>(), |&x| x != 0)),
    }
}

fn coordinates<T>(
    call: &Call<'_>,
    sizes: &[usize],
    elements: &[T],
    chosen: impl Fn(&T) -> bool,
) -> Result<Outputs, Fault> {
    let count = elements.iter().filter(|element| chosen(element)).count();
    let mut result = call.make(DataType::I64, [sizes.len(), count].as_slice())?;
    if result.len() > 0 {
        let rows = result.raw_mut::<i64>();
        let strides = shape::strides(sizes);
        let places = elements.iter().enumerate().filter(|(_, element)| chosen(element));
        for (column, (place, _)) in places.enumerate() {
            for (axis, (&size, &stride)) in sizes.iter().zip(&strides).enumerate() {
                rows[axis * count + column] = (place / stride as usize % size) as i64;
            }
        }
    }
    call::one(result)
}

fn one_hot(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let depth = shape::size(call.number(1)? as i64).map_err(|reason| Fault::Value(reason.into()))?;
    let axis = shape::axis(call.attributes().int("axis")?.unwrap_or(-1), sizes.len() + 1)?;
    let mut target = sizes.clone();
    target.insert(axis, depth);
    // Negative indices count from the end since operator set 11.
    let from_end = if call.opset() >= 11 { depth as i64 } else { 0 };
    let indices = whole_numbers(call, 0)?;
    let values = call.peek(2)?;
    if values.len() != 2 {
        return Err(Fault::Shape(format!("the values are one for off and one for on; {} were given", values.len())));
    }
    let mut result = call.make(values.data_type(), target)?;
    if result.len() > 0 {
        let inner: usize = sizes[axis..].iter().product();
        by_size!(values.data_type(), T => {
            let (values, to) = (values.raw::<T>(), result.raw_mut::<T>());
            to.fill(values[0]);
            for (place, &index) in indices.raw::<i64>().iter().enumerate() {
                let index = if index < 0 { index.saturating_add(from_end) } else { index };
                if (0..depth as i64).contains(&index) {
                    to[(place / inner * depth + index as usize) * inner + place % inner] = values[1];
                }
            }
        });
    }
    call::one(result)
}

/// An operand of any type, as integers.
fn whole_numbers(call: &mut Call<'_>, input: usize) -> Result<Value, Fault> {
    let value = call.take(input)?;
    cast::convert(call.memory, value, DataType::I64)
}

/// One where the largest element along an axis stands, the first of several; zero elsewhere.
fn hardmax(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let axis = call.attributes().int("axis")?;
    let (size, inner) = match call.opset() {
        13.. => {
            let axis = shape::axis(axis.unwrap_or(-1), sizes.len())?;
            let (_, size, inner) = shape::split_at(&sizes, axis);
            (size, inner)
        }
        // A matrix, whose rows are all dimensions from the axis on.
        _ => match axis.unwrap_or(1) {
            end if end == sizes.len() as i64 => (1, 1),
            axis => (sizes[shape::axis(axis, sizes.len())?..].iter().product(), 1),
        },
    };
    let value = call.floats(0)?;
    let mut result = call.make(DataType::F32, sizes)?;
    result.fill(0.0);
    if !value.is_empty() {
        let to = result.raw_mut::<f32>();
        for lane in 0..value.len() / size {
            let start = lane / inner * size * inner + lane % inner;
            let best = (1..size).fold(start, |best, index| {
                let at = start + index * inner;
                if value[at] > value[best] { at } else { best }
            });
            to[best] = 1.0;
        }
    }
    call::one(result)
}
