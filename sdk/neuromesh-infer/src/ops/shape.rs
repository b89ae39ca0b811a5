//! Operators that change a tensor's shape, and those that tell it.

use burn_backend::{Backend, Shape};

use super::{
    broadcast,
    call::{self, Call, Outputs},
};
use crate::{
    DataType, Fault, shape,
    value::{Host, Ints, Value},
};

pub(crate) fn identity<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    call::one(call.take(0)?)
}

/// At inference nothing is dropped.
pub(crate) fn dropout<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    if call.has(2) && call.bools(2)?.data.iter().any(|&training| training) {
        return Err(Fault::Unsupported("Dropout in training mode".into()));
    }
    let value = call.take(0)?;
    if call.node.outputs.len() < 2 {
        return call::one(value);
    }
    let shape = value.shape();
    let kept = call.charge(&shape, DataType::Bool)?;
    Ok(vec![value, Value::Bool(Host::new(shape, vec![true; kept]))])
}

pub(crate) fn shape_of<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let sizes = call.shape(0)?;
    let rank = sizes.len() as i64;
    let bound = |value: Option<i64>, default: i64| {
        let value = value.unwrap_or(default);
        (if value < 0 { value.saturating_add(rank) } else { value }).clamp(0, rank) as usize
    };
    let start = bound(call.attributes().int("start")?, 0);
    let end = bound(call.attributes().int("end")?, rank);
    let list = sizes.get(start..end).unwrap_or_default().iter().map(|&size| size as i64).collect();
    call::one(Value::Int(Ints::list(list)))
}

pub(crate) fn size<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let elements = shape::checked(&call.shape(0)?)?;
    call::int(Vec::new(), vec![elements as i64], DataType::I64)
}

pub(crate) fn reshape<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let wanted = call.list(1)?;
    let zero_is_zero = call.attributes().flag("allowzero", false)?;
    let old = call.shape(0)?;
    let target = resolve(&old, &wanted, zero_is_zero)?;
    to_shape(call, target)
}

/// The shape that `Reshape` asks for: 0 copies a size, one -1 takes what is left.
fn resolve(old: &[usize], wanted: &[i64], zero_is_zero: bool) -> Result<Vec<usize>, Fault> {
    let refuse = |reason: &str| Fault::Shape(format!("{old:?} cannot become {wanted:?}: {reason}"));
    let mut target = Vec::with_capacity(wanted.len());
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

pub(crate) fn flatten<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let sizes = call.shape(0)?;
    let axis = match call.attributes().int("axis")?.unwrap_or(1) {
        // One past the last dimension is allowed here.
        end if end == sizes.len() as i64 => sizes.len(),
        axis => shape::axis(axis, sizes.len())?,
    };
    to_shape(call, vec![sizes[..axis].iter().product(), sizes[axis..].iter().product()])
}

pub(crate) fn squeeze<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
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

pub(crate) fn unsqueeze<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
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
fn to_shape<B: Backend>(call: &mut Call<'_, B>, target: Vec<usize>) -> Result<Outputs<B>, Fault> {
    let data_type = call.peek(0)?.data_type();
    call.charge(&target, data_type)?;
    let value = call.take(0)?;
    call::one(value.reshape(target))
}

pub(crate) fn transpose<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
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
    let target: Vec<usize> = order.iter().map(|&axis| sizes[axis]).collect();
    let data_type = call.peek(0)?.data_type();
    call.charge(&target, data_type)?;
    call::one(match call.take(0)? {
        Value::Float(tensor) => Value::Float(B::float_permute(tensor, &order)),
        Value::Int(ints) => Value::Int(Ints { tensor: permute(&ints.tensor, &order, target), ..ints }),
        Value::Bool(bools) => Value::Bool(permute(&bools, &order, target)),
    })
}

fn permute<T: Copy>(host: &Host<T>, order: &[usize], target: Vec<usize>) -> Host<T> {
    let mut strides = vec![0isize; order.len()];
    let mut stride = 1;
    for axis in (0..order.len()).rev() {
        strides[axis] = stride;
        stride *= host.shape[axis] as isize;
    }
    let strides: Vec<isize> = order.iter().map(|&axis| strides[axis]).collect();
    let data = broadcast::walk(&host.data, &target, 0, &strides);
    Host::new(target, data)
}

pub(crate) fn expand<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let wanted = shape::sizes(&call.list(1)?).map_err(|reason| Fault::Value(reason.into()))?;
    // The rank first: broadcasting allocates by it.
    shape::checked(&wanted)?;
    let target = shape::broadcast(&call.shape(0)?, &wanted)?;
    let data_type = call.peek(0)?.data_type();
    call.charge(&target, data_type)?;
    call::one(match call.take(0)? {
        Value::Float(tensor) => Value::Float(B::float_expand(tensor, Shape::from(target))),
        Value::Int(ints) => {
            let data = broadcast::expand(&ints.tensor, &target);
            Value::Int(Ints { tensor: Host::new(target, data), ..ints })
        }
        Value::Bool(bools) => {
            let data = broadcast::expand(&bools, &target);
            Value::Bool(Host::new(target, data))
        }
    })
}
