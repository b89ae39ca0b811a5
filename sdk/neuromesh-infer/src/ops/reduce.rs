//! Operators that fold dimensions, and running sums.

use burn_backend::{Backend, Shape, TensorMetadata, tensor::FloatTensor};

use super::call::{self, Call, Outputs};
use crate::{
    DataType, Fault,
    shape::{self, split_at},
    value::{Host, Value, float_from, wrap},
};

/// How a reduction combines elements.
struct Fold<B: Backend> {
    /// Along one dimension, which stays with size 1.
    floats: fn(FloatTensor<B>, usize) -> FloatTensor<B>,
    /// The result for no elements.
    empty: f32,
    /// For integers: the start and the step; none if the operator has no integers.
    ints: Option<(i64, IntStep)>,
}

type IntStep = fn(i64, i64) -> i64;

impl<B: Backend> Fold<B> {
    const SUM: Self = Self { floats: B::float_sum_dim, empty: 0.0, ints: Some((0, i64::wrapping_add)) };
}

pub(crate) fn sum<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    reduce(call, 13, Fold::SUM, |x| x, |x| x)
}

pub(crate) fn mean<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    reduce(call, 18, Fold { floats: B::float_mean_dim, empty: f32::NAN, ints: None }, |x| x, |x| x)
}

pub(crate) fn max<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let ints = Some((i64::MIN, i64::max as IntStep));
    reduce(call, 18, Fold { floats: B::float_max_dim, empty: f32::NEG_INFINITY, ints }, |x| x, |x| x)
}

pub(crate) fn min<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let ints = Some((i64::MAX, i64::min as IntStep));
    reduce(call, 18, Fold { floats: B::float_min_dim, empty: f32::INFINITY, ints }, |x| x, |x| x)
}

pub(crate) fn product<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let ints = Some((1, i64::wrapping_mul as IntStep));
    reduce(call, 18, Fold { floats: B::float_prod_dim, empty: 1.0, ints }, |x| x, |x| x)
}

pub(crate) fn l1<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    reduce(call, 18, Fold { ints: None, ..Fold::SUM }, B::float_abs, |x| x)
}

pub(crate) fn l2<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    reduce(call, 18, Fold { ints: None, ..Fold::SUM }, square::<B>, B::float_sqrt)
}

pub(crate) fn sum_square<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    reduce(call, 18, Fold { ints: None, ..Fold::SUM }, square::<B>, |x| x)
}

fn square<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(tensor.clone(), tensor)
}

/// The axes are an attribute before operator set `moved`, an input from there on.
fn reduce<B: Backend>(
    call: &mut Call<'_, B>,
    moved: i64,
    fold: Fold<B>,
    before: fn(FloatTensor<B>) -> FloatTensor<B>,
    after: fn(FloatTensor<B>) -> FloatTensor<B>,
) -> Result<Outputs<B>, Fault> {
    let sizes = call.shape(0)?;
    let keep = call.attributes().flag("keepdims", true)?;
    let list = call.list_since(moved, 1, "axes")?.unwrap_or_default();
    let axes = match list.is_empty() {
        false => shape::axes(&list, sizes.len())?,
        true if call.attributes().flag("noop_with_empty_axes", false)? => Vec::new(),
        true => (0..sizes.len()).collect(),
    };
    let (mut kept, mut target) = (sizes.clone(), Vec::new());
    for axis in 0..sizes.len() {
        match axes.contains(&axis) {
            true => kept[axis] = 1,
            false => target.push(sizes[axis]),
        }
    }
    if keep {
        target = kept;
    }
    let data_type = call.peek(0)?.data_type();
    let elements = call.charge(&target, data_type)?;
    match call.take(0)? {
        Value::Float(_) if shape::checked(&sizes)? == 0 => {
            call::float::<B>(float_from::<B>(Host::new(target, vec![fold.empty; elements]), call.device))
        }
        Value::Float(tensor) => {
            // What comes in between is at most as large as the operand.
            call.charge(&sizes, DataType::F32)?;
            let mut tensor = before(tensor);
            for axis in axes {
                tensor = (fold.floats)(tensor, axis);
            }
            if tensor.shape().to_vec() != target {
                tensor = B::float_reshape(tensor, Shape::from(target));
            }
            call::float::<B>(after(tensor))
        }
        Value::Int(ints) => {
            let Some((start, step)) = fold.ints else {
                return Err(Fault::Type { input: 0, found: data_type });
            };
            call.charge(&sizes, data_type)?;
            let mut tensor = ints.tensor;
            for axis in axes {
                tensor = fold_ints(&tensor, axis, start, step);
            }
            let data = tensor.data.iter().map(|&value| wrap(value, data_type)).collect();
            call::int(target, data, data_type)
        }
        Value::Bool(_) => Err(Fault::Type { input: 0, found: DataType::Bool }),
    }
}

fn fold_ints(host: &Host<i64>, axis: usize, start: i64, step: IntStep) -> Host<i64> {
    let (outer, size, inner) = split_at(&host.shape, axis);
    let mut data = Vec::with_capacity(outer * inner);
    for block in 0..outer {
        for column in 0..inner {
            let at = |row: usize| host.data[(block * size + row) * inner + column];
            data.push((0..size).fold(start, |total, row| step(total, at(row))));
        }
    }
    let mut shape = host.shape.clone();
    shape[axis] = 1;
    Host::new(shape, data)
}

pub(crate) fn arg_max<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    arg_extreme(call, |candidate, best| candidate > best, |candidate, best| candidate > best)
}

pub(crate) fn arg_min<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    arg_extreme(call, |candidate, best| candidate < best, |candidate, best| candidate < best)
}

fn arg_extreme<B: Backend>(
    call: &mut Call<'_, B>,
    floats: fn(f32, f32) -> bool,
    ints: fn(i64, i64) -> bool,
) -> Result<Outputs<B>, Fault> {
    let sizes = call.shape(0)?;
    let axis = shape::axis(call.attributes().int("axis")?.unwrap_or(0), sizes.len())?;
    let keep = call.attributes().flag("keepdims", true)?;
    let last = call.attributes().flag("select_last_index", false)?;
    let mut target = sizes.clone();
    match keep {
        true => target[axis] = 1,
        false => drop(target.remove(axis)),
    }
    call.charge(&target, DataType::I64)?;
    if sizes[axis] == 0 && !sizes.iter().enumerate().any(|(other, &size)| other != axis && size == 0) {
        return Err(Fault::Shape(format!("dimension {axis} of {sizes:?} has no elements")));
    }
    let positions = match call.peek(0)?.data_type() {
        DataType::F32 => positions(&call.host_floats(0)?, axis, last, floats),
        _ => positions(&call.ints(0)?.tensor, axis, last, ints),
    };
    call::int(target, positions, DataType::I64)
}

fn positions<T: Copy + PartialEq>(host: &Host<T>, axis: usize, last: bool, better: fn(T, T) -> bool) -> Vec<i64> {
    let (outer, size, inner) = split_at(&host.shape, axis);
    let mut found = Vec::with_capacity(outer * inner);
    for block in 0..outer {
        for column in 0..inner {
            let at = |row: usize| host.data[(block * size + row) * inner + column];
            let best =
                (1..size).fold(0, |best, row| match better(at(row), at(best)) || (last && at(row) == at(best)) {
                    true => row,
                    false => best,
                });
            found.push(best as i64);
        }
    }
    found
}

pub(crate) fn cumulative_sum<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let sizes = call.shape(0)?;
    let axis = match call.list(1)?.as_slice() {
        [axis] => shape::axis(*axis, sizes.len())?,
        other => return Err(Fault::Value(format!("{} axes; one is needed", other.len()))),
    };
    let exclusive = call.attributes().flag("exclusive", false)?;
    let reverse = call.attributes().flag("reverse", false)?;
    let data_type = call.peek(0)?.data_type();
    call.charge(&sizes, data_type)?;
    match call.peek(0)?.data_type() {
        DataType::F32 => {
            let host = call.host_floats(0)?;
            let data = running(&host, axis, exclusive, reverse, 0.0, |a, b| a + b);
            call::float::<B>(float_from::<B>(Host::new(sizes, data), call.device))
        }
        DataType::Bool => Err(Fault::Type { input: 0, found: DataType::Bool }),
        data_type => {
            let host = call.ints(0)?.tensor;
            let data = running(&host, axis, exclusive, reverse, 0, |a, b| wrap(a.wrapping_add(b), data_type));
            call::int(sizes, data, data_type)
        }
    }
}

fn running<T: Copy>(
    host: &Host<T>,
    axis: usize,
    exclusive: bool,
    reverse: bool,
    zero: T,
    add: impl Fn(T, T) -> T,
) -> Vec<T> {
    let (outer, size, inner) = split_at(&host.shape, axis);
    let mut data = host.data.to_vec();
    for block in 0..outer {
        for column in 0..inner {
            let mut total = zero;
            for step in 0..size {
                let row = if reverse { size - 1 - step } else { step };
                let element = &mut data[(block * size + row) * inner + column];
                let next = add(total, *element);
                *element = if exclusive { total } else { next };
                total = next;
            }
        }
    }
    data
}
