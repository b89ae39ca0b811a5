//! Operators that change a tensor's shape, and those that tell it.

use super::{
    Operator,
    call::{self, Call, Outputs},
    movement, moves,
};
use crate::{
    DataType, Fault,
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
    let sizes = call.shape(0)?;
    let rank = sizes.len() as i64;
    let bound = |value: Option<i64>, default: i64| {
        let value = value.unwrap_or(default);
        (if value < 0 { value.saturating_add(rank) } else { value }).clamp(0, rank) as usize
    };
    let start = bound(call.attributes().int("start")?, 0);
    let end = bound(call.attributes().int("end")?, rank);
    let list: Vec<i64> = sizes.get(start..end).unwrap_or_default().iter().map(|&size| size as i64).collect();
    call::one(Value::constant(DataType::I64, [list.len()].as_slice(), &list))
}

fn size(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let elements = shape::checked(&call.shape(0)?)?;
    call::one(Value::constant(DataType::I64, Shape::new(), &[elements as i64]))
}

fn reshape(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let wanted = call.list(1)?;
    let zero_is_zero = call.attributes().flag("allowzero", false)?;
    let old = call.shape(0)?;
    let target = resolve(&old, &wanted, zero_is_zero)?;
    to_shape(call, target)
}

/// The shape that `Reshape` asks for: 0 copies a size, one -1 takes what is left.
fn resolve(old: &[usize], wanted: &[i64], zero_is_zero: bool) -> Result<Shape, Fault> {
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
    let sizes = call.shape(0)?;
    let axis = match call.attributes().int("axis")?.unwrap_or(1) {
        // One past the last dimension is allowed here.
        end if end == sizes.len() as i64 => sizes.len(),
        axis => shape::axis(axis, sizes.len())?,
    };
    to_shape(call, Shape::from_slice(&[sizes[..axis].iter().product(), sizes[axis..].iter().product()]))
}

fn squeeze(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let axes = match call.list_since(13, 1, "axes")? {
        None => (0..sizes.len()).filter(|&axis| sizes[axis] == 1).collect(),
        Some(list) => shape::axes(&list, sizes.len())?,
    };
    if let Some(axis) = axes.iter().find(|&&axis| sizes[axis] != 1) {
        return Err(Fault::Shape(format!("dimension {axis} of {sizes:?} is not 1 and cannot be squeezed")));
    }
    let target = (0..sizes.len()).filter(|axis| !axes.contains(axis)).map(|axis| sizes[axis]).collect();
    to_shape(call, target)
}

fn unsqueeze(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let list = call.list_since(13, 1, "axes")?.ok_or(Fault::Missing(1))?;
    let rank = sizes.len().saturating_add(list.len());
    let mut target = sizes.clone();
    for axis in shape::axes(&list, rank)? {
        target.insert(axis, 1);
    }
    to_shape(call, target)
}

/// The same elements in a shape of the same size.
fn to_shape(call: &mut Call<'_>, target: Shape) -> Result<Outputs, Fault> {
    shape::checked(&target)?;
    let value = call.take(0)?;
    call::one(value.reshape(target))
}

fn transpose(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let rank = sizes.len();
    let order: Vec<usize> = match call.attributes().ints("perm")? {
        None => (0..rank).rev().collect(),
        Some(perm) if perm.len() == rank => {
            shape::axes(perm, rank)?;
            perm.iter().map(|&axis| shape::axis(axis, rank)).collect::<Result<_, _>>()?
        }
        Some(perm) => return Err(Fault::Value(format!("the permutation {perm:?} does not fit {rank} dimensions"))),
    };
    call::one(movement::permute(call.memory, call.peek(0)?, &order)?)
}

fn expand(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let wanted = shape::sizes(&call.list(1)?).map_err(|reason| Fault::Value(reason.into()))?;
    // The rank first: broadcasting allocates by it.
    shape::checked(&wanted)?;
    let target = shape::broadcast(&call.shape(0)?, &wanted)?;
    let value = call.take(0)?;
    match *value.shape() == target {
        true => call::one(value),
        false => call::one(movement::expand(call.memory, &value, &target)?),
    }
}
