//! Operators that change a tensor's shape, and those that tell it.

use super::{
    Operator,
    call::{self, Call, Outputs},
    movement, moves,
};
use crate::{
    DataType, Fault,
    attribute::Attributes,
    shape::{self, Shape},
    value::Value,
};

pub(super) const TABLE: &[Operator] = &[
    moves("Dropout", 1, 1..=3, dropout).outputs(1..=2),
    moves("Expand", 8, 2..=2, expand),
    moves("Flatten", 1, 1..=1, flatten),
    moves("Identity", 1, 1..=1, identity),
    moves("Reshape", 5, 2..=2, reshape),
    moves("Shape", 1, 1..=1, shape_of),
    moves("Size", 1, 1..=1, size),
    moves("Squeeze", 1, 1..=2, squeeze),
    moves("Transpose", 1, 1..=1, transpose),
    moves("Unsqueeze", 1, 1..=2, unsqueeze),
];

fn identity(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    call::one(call.take(0)?)
}

/// At inference nothing is dropped.
fn dropout(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    // What is drawn in training is nobody's to compare; nothing drawn is nothing dropped.
    let training = call.has(2) && call.bools(2)?.iter().any(|&training| training != 0);
    if training && (!call.has(1) || call.number(1)? != 0.0) {
        return Err(Fault::Unsupported("Dropout in training mode".into()));
    }
    let value = call.take(0)?;
    if call.node.outputs.len() < 2 {
        return call::one(value);
    }
    let mut kept = call.make(DataType::Bool, value.shape().clone())?;
    kept.fill(1.0);
    Ok(vec![value, kept])
}

fn shape_of(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    call::one(shape_list(call.attributes(), &call.shape(0)?)?)
}

/// The sizes of a tensor of this shape, as `Shape` gives them.
pub(crate) fn shape_list(attributes: &Attributes, sizes: &[usize]) -> Result<Value, Fault> {
    let rank = sizes.len() as i64;
    let bound = |value: Option<i64>, default: i64| {
        let value = value.unwrap_or(default);
        (if value < 0 { value.saturating_add(rank) } else { value }).clamp(0, rank) as usize
    };
    let start = bound(attributes.int("start")?, 0);
    let end = bound(attributes.int("end")?, rank);
    let list: Vec<i64> = sizes.get(start..end).unwrap_or_default().iter().map(|&size| size as i64).collect();
    Ok(Value::constant(DataType::I64, [list.len()].as_slice(), &list))
}

fn size(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    call::one(element_count(&call.shape(0)?)?)
}

/// How many elements a tensor of this shape has, as `Size` gives it.
pub(crate) fn element_count(sizes: &[usize]) -> Result<Value, Fault> {
    let elements = shape::checked(sizes)?;
    Ok(Value::constant(DataType::I64, Shape::new(), &[elements as i64]))
}

fn reshape(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let wanted = call.list(1)?;
    let zero_is_zero = call.attributes().flag("allowzero", false)?;
    let old = call.shape(0)?;
    let target = resolve(&old, &wanted, zero_is_zero)?;
    to_shape(call, target)
}

/// The shape that `Reshape` asks for: 0 copies a size, one -1 takes what is left.
pub(crate) fn resolve(old: &[usize], wanted: &[i64], zero_is_zero: bool) -> Result<Shape, Fault> {
    let refuse = |reason: &str| Fault::Shape(format!("{old:?} cannot become {wanted:?}: {reason}"));
    let mut target = Shape::with_capacity(wanted.len());
    let mut free = None;
    for (index, &size) in wanted.iter().enumerate() {
        target.push(match size {
            0 if !zero_is_zero => *old.get(index).ok_or_else(|| refuse("there is no such dimension to copy"))?,
            -1 if free.replace(index).is_some() => return Err(refuse("-1 stands twice")),
            -1 => 1,
            size => shape::size(size).map_err(refuse)?,
        });
    }
    let elements = shape::checked(old)?;
    if let Some(index) = free {
        let rest = shape::checked(&target)?;
        if rest == 0 || elements % rest != 0 {
            return Err(refuse("-1 has no solution"));
        }
        target[index] = elements / rest;
    }
    match shape::checked(&target)? {
        same if same == elements => Ok(target),
        _ => Err(refuse("the numbers of elements differ")),
    }
}

fn flatten(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let target = flattened(call.attributes(), &call.shape(0)?)?;
    to_shape(call, target)
}

/// The matrix that `Flatten` makes of a tensor of this shape.
pub(crate) fn flattened(attributes: &Attributes, sizes: &[usize]) -> Result<Shape, Fault> {
    let axis = match attributes.int("axis")?.unwrap_or(1) {
        // One past the last dimension is allowed here.
        end if end == sizes.len() as i64 => sizes.len(),
        axis => shape::axis(axis, sizes.len())?,
    };
    Ok(Shape::from_slice(&[sizes[..axis].iter().product(), sizes[axis..].iter().product()]))
}

fn squeeze(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let target = squeezed(&call.shape(0)?, call.list_since(13, 1, "axes")?.as_deref())?;
    to_shape(call, target)
}

/// A shape without these dimensions of size 1, or without any.
pub(crate) fn squeezed(sizes: &[usize], list: Option<&[i64]>) -> Result<Shape, Fault> {
    let axes = match list {
        None => (0..sizes.len()).filter(|&axis| sizes[axis] == 1).collect(),
        Some(list) => shape::axes(list, sizes.len())?,
    };
    if let Some(axis) = axes.iter().find(|&&axis| sizes[axis] != 1) {
        return Err(Fault::Shape(format!("dimension {axis} of {sizes:?} is not 1 and cannot be squeezed")));
    }
    Ok((0..sizes.len()).filter(|axis| !axes.contains(axis)).map(|axis| sizes[axis]).collect())
}

fn unsqueeze(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let list = call.list_since(13, 1, "axes")?.ok_or(Fault::Missing(1))?;
    let target = unsqueezed(&call.shape(0)?, &list)?;
    to_shape(call, target)
}

/// A shape with dimensions of size 1 at these positions of the result.
pub(crate) fn unsqueezed(sizes: &[usize], list: &[i64]) -> Result<Shape, Fault> {
    let rank = sizes.len().saturating_add(list.len());
    let mut target = Shape::from(sizes);
    for axis in shape::axes(list, rank)? {
        target.insert(axis, 1);
    }
    Ok(target)
}

/// The same elements in a shape of the same size.
fn to_shape(call: &mut Call<'_>, target: Shape) -> Result<Outputs, Fault> {
    shape::checked(&target)?;
    let value = call.take(0)?;
    call::one(value.reshape(target))
}

fn transpose(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let order = permutation(call.attributes(), call.peek(0)?.rank())?;
    call::one(movement::permute(call.memory, call.peek(0)?, &order)?)
}

/// Which dimension of the operand each dimension of the result is.
pub(crate) fn permutation(attributes: &Attributes, rank: usize) -> Result<Vec<usize>, Fault> {
    match attributes.ints("perm")? {
        None => Ok((0..rank).rev().collect()),
        Some(perm) if perm.len() == rank => {
            shape::axes(perm, rank)?;
            perm.iter().map(|&axis| shape::axis(axis, rank)).collect()
        }
        Some(perm) => Err(Fault::Value(format!("the permutation {perm:?} does not fit {rank} dimensions"))),
    }
}

fn expand(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let target = expanded(&call.shape(0)?, &call.list(1)?)?;
    let value = call.take(0)?;
    match *value.shape() == target {
        true => call::one(value),
        false => call::one(movement::expand(call.memory, &value, &target)?),
    }
}

/// What a shape broadcasts to together with the one that is asked for.
pub(crate) fn expanded(sizes: &[usize], wanted: &[i64]) -> Result<Shape, Fault> {
    let wanted = shape::sizes(wanted).map_err(|reason| Fault::Value(reason.into()))?;
    // The rank first: broadcasting allocates by it.
    shape::checked(&wanted)?;
    shape::broadcast(sizes, &wanted)
}
