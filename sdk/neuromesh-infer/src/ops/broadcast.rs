//! Element-wise loops over host tensors, with broadcasting.

use crate::{shape::broadcast_strides, value::Host};

/// Applies `f` to every pair of elements; `shape` is the broadcast shape of both.
pub(crate) fn zip<T: Copy, U: Copy, R>(
    a: &Host<T>,
    b: &Host<U>,
    shape: &[usize],
    mut f: impl FnMut(T, U) -> R,
) -> Vec<R> {
    let (x, y) = (a.data.as_slice(), b.data.as_slice());
    if a.shape == b.shape {
        return x.iter().zip(y).map(|(&x, &y)| f(x, y)).collect();
    }
    let mut out = Vec::with_capacity(shape.iter().product());
    let strides = [broadcast_strides(&a.shape, shape), broadcast_strides(&b.shape, shape)];
    rows(shape, [&strides[0], &strides[1]], |length, [x_at, y_at], [x_step, y_step]| match (x_step, y_step) {
        (0, 0) => out.extend((0..length).map(|_| f(x[x_at], y[y_at]))),
        (0, _) => out.extend(y[y_at..y_at + length].iter().map(|&y| f(x[x_at], y))),
        (_, 0) => out.extend(x[x_at..x_at + length].iter().map(|&x| f(x, y[y_at]))),
        _ => out.extend(x[x_at..x_at + length].iter().zip(&y[y_at..y_at + length]).map(|(&x, &y)| f(x, y))),
    });
    out
}

/// The elements of `host`, repeated to `shape`.
pub(crate) fn expand<T: Copy>(host: &Host<T>, shape: &[usize]) -> Vec<T> {
    if host.shape == shape {
        return host.data.to_vec();
    }
    let data = host.data.as_slice();
    let mut out = Vec::with_capacity(shape.iter().product());
    rows(shape, [&broadcast_strides(&host.shape, shape)], |length, [at], [step]| match step {
        0 => out.extend(std::iter::repeat_n(data[at], length)),
        _ => out.extend_from_slice(&data[at..at + length]),
    });
    out
}

/// The elements of a tensor in the order of a permutation or another walk: `strides` tell how far each step of each
/// dimension of `shape` goes.
pub(crate) fn walk<T: Copy>(data: &[T], shape: &[usize], start: isize, strides: &[isize]) -> Vec<T> {
    let count = shape.iter().product();
    let mut out = Vec::with_capacity(count);
    let mut index = vec![0; shape.len()];
    let mut at = start;
    for _ in 0..count {
        out.push(data[at as usize]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis] as isize;
            index[axis] = 0;
        }
    }
    out
}

/// Calls `row(length, offsets, steps)` for each row of `shape`, with the offset of the row's start in each operand and the
/// operand's step along the row, 0 or 1.
fn rows<const N: usize>(shape: &[usize], strides: [&[usize]; N], mut row: impl FnMut(usize, [usize; N], [usize; N])) {
    let Some((&length, outer)) = shape.split_last() else {
        return row(1, [0; N], [0; N]);
    };
    let steps = strides.map(|strides| strides[outer.len()]);
    let mut offsets = [0; N];
    let mut index = vec![0; outer.len()];
    for _ in 0..outer.iter().product() {
        row(length, offsets, steps);
        for axis in (0..outer.len()).rev() {
            index[axis] += 1;
            for (offset, strides) in offsets.iter_mut().zip(strides) {
                *offset += strides[axis];
            }
            if index[axis] < outer[axis] {
                break;
            }
            for (offset, strides) in offsets.iter_mut().zip(strides) {
                *offset -= strides[axis] * outer[axis];
            }
            index[axis] = 0;
        }
    }
}
