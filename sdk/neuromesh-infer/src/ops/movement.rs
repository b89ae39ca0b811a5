//! Moving elements: one strided copy behind transposing, cutting, repeating and joining.

use bytemuck::Pod;
use smallvec::SmallVec;

use crate::{
    Fault,
    memory::Memory,
    shape::{self, Shape},
    value::{Value, by_size},
};

/// Side of the squares in which a transposition goes, so that both sides stay in the cache.
const BLOCK: usize = 16;

/// Signed distances between neighbours along each dimension.
pub(crate) type Steps = SmallVec<[isize; 6]>;

/// The elements of `value` that are `steps` apart from `start` on, as a tensor of this shape.
pub(crate) fn strided(
    memory: &Memory,
    value: &Value,
    start: isize,
    steps: &[isize],
    target: Shape,
) -> Result<Value, Fault> {
    let mut result = memory.value(value.data_type(), target.clone())?;
    by_size!(value.data_type(), T => copy::<T>(value.raw(), start, steps, &target, result.raw_mut()));
    Ok(result)
}

/// The dimensions in another order.
pub(crate) fn permute(memory: &Memory, value: &Value, order: &[usize]) -> Result<Value, Fault> {
    let strides = shape::strides(value.shape());
    let steps: Steps = order.iter().map(|&axis| strides[axis]).collect();
    let target: Shape = order.iter().map(|&axis| value.shape()[axis]).collect();
    strided(memory, value, 0, &steps, target)
}

/// Repeated along dimensions of size 1 and new ones in front; the shapes broadcast, which the caller has checked.
pub(crate) fn expand(memory: &Memory, value: &Value, target: &[usize]) -> Result<Value, Fault> {
    let steps: Steps = shape::broadcast_strides(value.shape(), target).iter().map(|&step| step as isize).collect();
    strided(memory, value, 0, &steps, target.into())
}

/// The positions `start..start + length` of one dimension.
pub(crate) fn section(
    memory: &Memory,
    value: &Value,
    axis: usize,
    start: usize,
    length: usize,
) -> Result<Value, Fault> {
    let steps = shape::strides(value.shape());
    let mut target = value.shape().clone();
    target[axis] = length;
    let start = if length == 0 { 0 } else { steps[axis] * start as isize };
    strided(memory, value, start, &steps, target)
}

/// Tensors of one type that agree in all dimensions but `axis`, joined along it; the caller has checked that.
pub(crate) fn join(memory: &Memory, parts: &[Value], axis: usize, target: Shape) -> Result<Value, Fault> {
    let data_type = parts[0].data_type();
    let mut result = memory.value(data_type, target.clone())?;
    let (outer, size, inner) = shape::split_at(&target, axis);
    by_size!(data_type, T => {
        let to = result.raw_mut::<T>();
        let mut at = 0;
        for part in parts {
            let length = part.shape()[axis] * inner;
            let from = part.raw::<T>();
            if length > 0 {
                for (block, chunk) in from.chunks_exact(length).enumerate().take(outer) {
                    let start = block * size * inner + at;
                    to[start..start + length].copy_from_slice(chunk);
                }
            }
            at += length;
        }
    });
    Ok(result)
}

/// Tensors of one type and shape, stacked along a new dimension.
pub(crate) fn stack(memory: &Memory, parts: Vec<Value>, axis: usize) -> Result<Value, Fault> {
    let Some(first) = parts.first() else {
        return Err(Fault::Missing(0));
    };
    let (mut single, data_type) = (first.shape().clone(), first.data_type());
    if axis > single.len() {
        return Err(Fault::Value(format!("axis {axis} is outside of what is stacked")));
    }
    if let Some(other) = parts.iter().find(|part| *part.shape() != single || part.data_type() != data_type) {
        let (shape, other_type) = (other.shape(), other.data_type());
        return Err(Fault::Shape(format!("{other_type} {shape:?} is stacked on {data_type} {single:?}")));
    }
    single.insert(axis, 1);
    let mut target = single.clone();
    target[axis] = parts.len();
    shape::checked(&target)?;
    let parts: Vec<_> = parts.into_iter().map(|part| part.reshape(single.clone())).collect();
    join(memory, &parts, axis, target)
}

/// Fills `to`, of this shape, with the elements of `from` that are `steps` apart from `start` on.
///
/// Every position that the shape reaches lies within `from`; an access outside of it panics.
fn copy<T: Pod>(from: &[T], start: isize, steps: &[isize], shape: &[usize], to: &mut [T]) {
    if to.is_empty() {
        return;
    }
    let (shape, steps) = merged(shape, steps);
    let Some((&length, outer)) = shape.split_last() else {
        to[0] = from[start as usize];
        return;
    };
    let step = steps[outer.len()];
    // A dimension further out along which the elements lie side by side: a transposition.
    let across = (0..outer.len()).rev().find(|&axis| steps[axis] == 1 && step != 1 && step != 0);
    if let Some(axis) = across {
        let rest: Shape = outer.iter().enumerate().map(|(at, &size)| if at == axis { 1 } else { size }).collect();
        let pitch: usize = shape[axis + 1..].iter().product();
        let strides = shape::strides(&shape);
        walk(&rest, &steps[..outer.len()], start, |index, at| {
            let target: isize = index.iter().zip(&strides).map(|(&index, &stride)| index as isize * stride).sum();
            transpose(&from[at as usize..], step, &mut to[target as usize..], pitch, shape[axis], length);
        });
        return;
    }
    let mut rows = to.chunks_exact_mut(length);
    walk(outer, &steps[..outer.len()], start, |_, at| {
        let row = rows.next().expect("as many rows as positions");
        match step {
            1 => row.copy_from_slice(&from[at as usize..at as usize + length]),
            0 => row.fill(from[at as usize]),
            step => {
                row.iter_mut().enumerate().for_each(|(index, to)| *to = from[(at + index as isize * step) as usize])
            }
        }
    });
}

/// `to[row * pitch + column] = from[row + column * step]`, in blocks.
fn transpose<T: Pod>(from: &[T], step: isize, to: &mut [T], pitch: usize, rows: usize, columns: usize) {
    for first_row in (0..rows).step_by(BLOCK) {
        for first_column in (0..columns).step_by(BLOCK) {
            for row in first_row..rows.min(first_row + BLOCK) {
                let target = &mut to[row * pitch..][first_column..columns.min(first_column + BLOCK)];
                for (column, to) in (first_column..).zip(target) {
                    *to = from[(row as isize + column as isize * step) as usize];
                }
            }
        }
    }
}

/// Calls `visit(index, offset)` for each position of `shape`, row by row.
pub(crate) fn walk(shape: &[usize], steps: &[isize], start: isize, mut visit: impl FnMut(&[usize], isize)) {
    let mut index = Shape::from_elem(0, shape.len());
    let mut at = start;
    for _ in 0..shape.iter().product() {
        visit(&index, at);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += steps[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= steps[axis] * shape[axis] as isize;
            index[axis] = 0;
        }
    }
}

/// The same walk in as few dimensions as possible.
fn merged(shape: &[usize], steps: &[isize]) -> (Shape, Steps) {
    let (mut sizes, mut merged) = (Shape::new(), Steps::new());
    for (&size, &step) in shape.iter().zip(steps).filter(|(size, _)| **size != 1) {
        match (sizes.last_mut(), merged.last_mut()) {
            (Some(last), Some(last_step)) if *last_step == step * size as isize => {
                *last *= size;
                *last_step = step;
            }
            _ => {
                sizes.push(size);
                merged.push(step);
            }
        }
    }
    (sizes, merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_walk_finds_the_elements_that_a_plain_one_does() {
        let from: Vec<u32> = (0..10_000).collect();
        let cases: [(&[usize], &[isize], isize); 8] = [
            (&[], &[], 7),
            (&[3, 4, 5], &[20, 5, 1], 0),
            (&[40, 30], &[1, 40], 0),
            (&[3, 33, 17, 2], &[1122, 1, 33, 561], 5),
            (&[4, 3, 2], &[0, 1, 0], 9),
            (&[5, 6], &[-6, -1], 29),
            (&[2, 1, 3, 1, 2], &[600, 77, 100, 5, 50], 0),
            (&[3, 0, 2], &[2, 2, 1], 0),
        ];
        for (shape, steps, start) in cases {
            let mut plain = Vec::new();
            walk(shape, steps, start, |_, at| plain.push(from[at as usize]));
            let mut to = vec![0; plain.len()];
            copy(&from, start, steps, shape, &mut to);
            assert_eq!(to, plain, "{shape:?} by {steps:?}");
        }
    }
}
