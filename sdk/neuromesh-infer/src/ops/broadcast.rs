//! Element-wise loops with broadcasting, for what is not worth a kernel: integers, booleans, choices.

use crate::shape::{Shape, broadcast_strides};

/// A row-major operand.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a, T> {
    pub shape: &'a [usize],
    pub data: &'a [T],
}

/// Writes `f` of every pair of elements; `shape` is the broadcast shape of both.
pub(crate) fn zip<T: Copy, U: Copy, R>(
    a: Operand<'_, T>,
    b: Operand<'_, U>,
    shape: &[usize],
    out: &mut [R],
    mut f: impl FnMut(T, U) -> R,
) {
    let (x, y) = (a.data, b.data);
    if a.shape == b.shape {
        out.iter_mut().zip(x.iter().zip(y)).for_each(|(out, (&x, &y))| *out = f(x, y));
        return;
    }
    let strides = [broadcast_strides(a.shape, shape), broadcast_strides(b.shape, shape)];
    rows(shape, [&strides[0], &strides[1]], out, |out, [x_at, y_at], [x_step, y_step]| {
        let length = out.len();
        match (x_step, y_step) {
            (1, 1) => {
                let pairs = x[x_at..x_at + length].iter().zip(&y[y_at..y_at + length]);
                out.iter_mut().zip(pairs).for_each(|(out, (&x, &y))| *out = f(x, y));
            }
            (1, 0) => {
                let y = y[y_at];
                out.iter_mut().zip(&x[x_at..x_at + length]).for_each(|(out, &x)| *out = f(x, y));
            }
            (0, 1) => {
                let x = x[x_at];
                out.iter_mut().zip(&y[y_at..y_at + length]).for_each(|(out, &y)| *out = f(x, y));
            }
            _ => {
                let pairs = out.iter_mut().enumerate();
                pairs.for_each(|(index, out)| *out = f(x[x_at + index * x_step], y[y_at + index * y_step]));
            }
        }
    });
}

/// Writes `f` of every triple of elements.
pub(crate) fn zip3<S: Copy, T: Copy, U: Copy, R>(
    a: Operand<'_, S>,
    b: Operand<'_, T>,
    c: Operand<'_, U>,
    shape: &[usize],
    out: &mut [R],
    mut f: impl FnMut(S, T, U) -> R,
) {
    let strides = [a.shape, b.shape, c.shape].map(|own| -> Shape { broadcast_strides(own, shape) });
    rows(shape, [&strides[0], &strides[1], &strides[2]], out, |out, [x, y, z], [x_step, y_step, z_step]| {
        for (index, out) in out.iter_mut().enumerate() {
            *out = f(a.data[x + index * x_step], b.data[y + index * y_step], c.data[z + index * z_step]);
        }
    });
}

/// Calls `row(out, offsets, steps)` for each row of `shape`, with the offset of the row's start in each operand and the
/// operand's step along the row, 0 or 1.
fn rows<R, const N: usize>(
    shape: &[usize],
    strides: [&[usize]; N],
    out: &mut [R],
    mut row: impl FnMut(&mut [R], [usize; N], [usize; N]),
) {
    if out.is_empty() {
        return;
    }
    let Some((&length, outer)) = shape.split_last() else {
        return row(out, [0; N], [0; N]);
    };
    let steps = strides.map(|strides| strides[outer.len()]);
    let mut offsets = [0; N];
    let mut index = Shape::from_elem(0, outer.len());
    for out in out.chunks_exact_mut(length) {
        row(out, offsets, steps);
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
