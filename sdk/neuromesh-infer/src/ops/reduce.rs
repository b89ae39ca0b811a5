//! Operators that fold dimensions.

use super::{
    Operator,
    call::{self, Call, Outputs},
    op,
};
use crate::{
    DataType, Fault,
    kernels::reduce::{self, Extreme, Reduction},
    shape::{self, Shape, split_at},
};

pub(super) const TABLE: &[Operator] = &[
    op("ArgMax", 1, 1..=1, |call| arg_extreme(call, Extreme::Max)),
    op("ArgMin", 1, 1..=1, |call| arg_extreme(call, Extreme::Min)),
    op("ReduceL1", 1, 1..=2, |call| {
        fold(call, 18, Reduction::L1, Some((0, |total, x| total.wrapping_add(x.wrapping_abs()))))
    }),
    op("ReduceL2", 1, 1..=2, |call| fold(call, 18, Reduction::L2, None)),
    op("ReduceLogSum", 1, 1..=2, |call| fold(call, 18, Reduction::LogSum, None)),
    op("ReduceLogSumExp", 1, 1..=2, |call| fold(call, 18, Reduction::LogSumExp, None)),
    op("ReduceMax", 1, 1..=2, |call| fold(call, 18, Reduction::Max, Some((i64::MIN, i64::max)))),
    op("ReduceMean", 1, 1..=2, |call| fold(call, 18, Reduction::Mean, None)),
    op("ReduceMin", 1, 1..=2, |call| fold(call, 18, Reduction::Min, Some((i64::MAX, i64::min)))),
    op("ReduceProd", 1, 1..=2, |call| fold(call, 18, Reduction::Product, Some((1, i64::wrapping_mul)))),
    op("ReduceSum", 1, 1..=2, |call| fold(call, 13, Reduction::Sum, Some((0, i64::wrapping_add)))),
    op("ReduceSumSquare", 1, 1..=2, |call| {
        fold(call, 18, Reduction::SumSquare, Some((0, |total, x| total.wrapping_add(x.wrapping_mul(x)))))
    }),
];

/// A fold of integers: what it begins with, and a step.
type Integers = (i64, fn(i64, i64) -> i64);

/// The axes are an attribute before operator set `moved`, an input from there on.
fn fold(call: &mut Call<'_>, moved: i64, op: Reduction, ints: Option<Integers>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let keep = call.attributes().flag("keepdims", true)?;
    let list = call.list_since(moved, 1, "axes")?.unwrap_or_default();
    let axes = match list.is_empty() {
        false => shape::axes(&list, sizes.len())?,
        // Nothing is folded, but what is done to each element is done.
        true if call.attributes().flag("noop_with_empty_axes", false)? => Vec::new(),
        true => (0..sizes.len()).collect(),
    };
    let folded: Vec<bool> = (0..sizes.len()).map(|axis| axes.contains(&axis)).collect();
    let mut target = Shape::new();
    for (&size, &folded) in sizes.iter().zip(&folded) {
        match folded {
            false => target.push(size),
            true if keep => target.push(1),
            true => {}
        }
    }
    let data_type = call.data_type(0)?;
    let mut result = call.make(data_type, target)?;
    match (data_type, ints) {
        (DataType::F32, _) => {
            // One row for each thread, where the axes are not neighbours.
            call.memory.check(call.peek(0)?.bytes())?;
            reduce::reduce_axes(call.cpu, op, call.floats(0)?, &sizes, &folded, result.raw_mut());
        }
        (DataType::Bool, Some((start, step))) if matches!(op, Reduction::Max | Reduction::Min) => {
            let values = call.bools(0)?.iter().map(|&value| value.into());
            let totals = fold_integers(values, &sizes, &folded, result.len(), start.clamp(0, 1), step);
            result.raw_mut::<u8>().iter_mut().zip(totals).for_each(|(to, total)| *to = total as u8);
        }
        (found @ (DataType::Bool | DataType::F16), _) | (found, None) => return Err(Fault::Type { input: 0, found }),
        (_, Some((start, step))) => {
            let values = call.integers(0)?;
            // The least and the greatest that the type holds, not that 64 bits hold.
            let start = if matches!(op, Reduction::Max | Reduction::Min) { limit(data_type, start) } else { start };
            let totals = fold_integers(values.into_iter(), &sizes, &folded, result.len(), start, step);
            result.write_integers(totals.into_iter());
        }
    }
    call::one(result)
}

fn limit(data_type: DataType, start: i64) -> i64 {
    let (least, greatest) = match data_type {
        DataType::I8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::U8 => (0, u8::MAX.into()),
        DataType::I32 => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    };
    start.clamp(least, greatest)
}

fn fold_integers(
    values: impl Iterator<Item = i64>,
    sizes: &[usize],
    folded: &[bool],
    count: usize,
    start: i64,
    step: fn(i64, i64) -> i64,
) -> Vec<i64> {
    let mut strides = Shape::from_elem(0, sizes.len());
    let mut stride = 1;
    for axis in (0..sizes.len()).rev().filter(|&axis| !folded[axis]) {
        strides[axis] = stride;
        stride *= sizes[axis];
    }
    let mut totals = vec![start; count];
    let mut index = Shape::from_elem(0, sizes.len());
    for value in values {
        let at: usize = index.iter().zip(&strides).map(|(index, stride)| index * stride).sum();
        totals[at] = step(totals[at], value);
        for axis in (0..sizes.len()).rev() {
            index[axis] += 1;
            if index[axis] < sizes[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    totals
}

fn arg_extreme(call: &mut Call<'_>, extreme: Extreme) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let axis = shape::axis(call.attributes().int("axis")?.unwrap_or(0), sizes.len())?;
    let keep = call.attributes().flag("keepdims", true)?;
    let last = call.attributes().flag("select_last_index", false)?;
    let (outer, size, inner) = split_at(&sizes, axis);
    let mut target = sizes.clone();
    match keep {
        true => target[axis] = 1,
        false => drop(target.remove(axis)),
    }
    let mut result = call.make(DataType::I64, target)?;
    if outer * inner > 0 && u32::try_from(size).map_or(true, |size| size == 0) {
        return Err(Fault::Shape(format!("dimension {axis} of {sizes:?} has no elements, or too many")));
    }
    let dimensions = [outer, size, inner];
    match call.data_type(0)? {
        DataType::F32 => {
            reduce::arg(call.cpu, extreme, last, call.floats(0)?, dimensions, result.raw_mut());
        }
        _ => positions(&call.integers(0)?, dimensions, extreme, last, result.raw_mut()),
    }
    call::one(result)
}

fn positions(data: &[i64], [outer, size, inner]: [usize; 3], extreme: Extreme, last: bool, out: &mut [i64]) {
    for block in 0..outer {
        for column in 0..inner {
            let at = |row: usize| data[(block * size + row) * inner + column];
            let better = |row: usize, best: usize| match extreme {
                Extreme::Max => at(row) > at(best),
                Extreme::Min => at(row) < at(best),
            };
            let best = (1..size).fold(0, |best, row| match better(row, best) || (last && at(row) == at(best)) {
                true => row,
                false => best,
            });
            out[block * inner + column] = best as i64;
        }
    }
}
