//! Pooling over windows of up to three spatial dimensions, in the layout `[batch, channels, depth, height, width]`; fewer
//! dimensions are windows of size 1 in front.
//!
//! Each output takes in the elements of its window in the order of depth, height, width; outputs beside each other are computed
//! side by side, so no lane shows in the bits. Padding never takes part: sums leave it out, and NaN wins a maximum. Nothing here
//! allocates.

mod window;

pub use window::{Axis, Window};

use super::cpu::{Cpu, dispatch};
use super::elementwise::{for_chunks, for_chunks_of_two, rows_at_a_time};
use super::math;
use super::reduce::{Reduction, reduce};

/// The largest element of each window.
///
/// # Panics
/// When `x` or `y` is not a whole number of planes, or they differ in the number of planes.
pub fn max_pool(cpu: &Cpu, x: &[f32], y: &mut [f32], window: &Window) {
    for_planes(cpu, x, y, window, |x, y| gather(cpu, x, y, window, f32::NEG_INFINITY, larger));
}

/// NaN wins; the first of two zeros stays.
#[inline(always)]
fn larger(best: f32, x: f32) -> f32 {
    if (x > best) | x.is_nan() { x } else { best }
}

/// [`max_pool`], and where in all of `x` the first largest element (or the first NaN) of each window lies. `by_column` numbers
/// the elements of a plane with the first spatial dimension running fastest, as ONNX's `storage_order = 1`.
///
/// # Panics
/// As [`max_pool`], and when `indices` and `y` have different sizes, or a plane 2^32 elements or more.
pub fn max_pool_with_indices(
    cpu: &Cpu,
    x: &[f32],
    y: &mut [f32],
    indices: &mut [i64],
    window: &Window,
    by_column: bool,
) {
    assert_eq!(y.len(), indices.len(), "not one index for each output");
    let (inputs, outputs) = (window.inputs(), window.outputs());
    check(x, y, window);
    assert!(u32::try_from(inputs).is_ok(), "a plane that is too large");
    let planes = rows_at_a_time(outputs * window.taps());
    let size = planes * outputs;
    for_chunks_of_two(&cpu.threads, (y, size), (indices, size), |index, y, indices| {
        for (number, (y, indices)) in y.chunks_exact_mut(outputs).zip(indices.chunks_exact_mut(outputs)).enumerate() {
            let plane = (index * planes + number) * inputs;
            find(cpu, &x[plane..][..inputs], y, indices, window);
            for place in indices {
                *place = plane as i64 + if by_column { window.by_column(*place) } else { *place };
            }
        }
    });
}

/// The mean of each window: the sum divided by the number of elements, or, with `count_padding`, by that of the places in the
/// window that lie in the padded input.
///
/// # Panics
/// As [`max_pool`].
pub fn average_pool(cpu: &Cpu, x: &[f32], y: &mut [f32], window: &Window, count_padding: bool) {
    for_planes(cpu, x, y, window, |x, y| {
        gather(cpu, x, y, window, 0.0, |sum, x| sum + x);
        divide(cpu, y, window, count_padding);
    });
}

/// The `p`-norm of each window: for 1 and 2 made of sums of absolute values and squares, for others of [`math::pow`].
///
/// # Panics
/// As [`max_pool`].
pub fn lp_pool(cpu: &Cpu, x: &[f32], y: &mut [f32], window: &Window, p: f32) {
    for_planes(cpu, x, y, window, |x, y| {
        if p == 1.0 {
            gather(cpu, x, y, window, 0.0, |sum, x| sum + x.abs());
        } else if p == 2.0 {
            gather(cpu, x, y, window, 0.0, |sum, x| sum + x * x);
            y.iter_mut().for_each(|y| *y = y.sqrt());
        } else {
            gather(cpu, x, y, window, 0.0, |sum, x| sum + math::pow(x.abs(), p));
            y.iter_mut().for_each(|y| *y = math::pow(*y, 1.0 / p));
        }
    });
}

/// Reduces each plane of `spatial` elements to one: a row's reduction, in 16 lanes.
///
/// # Panics
/// When `x` has not `spatial` elements for each of `y`.
pub fn global_pool(cpu: &Cpu, op: Reduction, x: &[f32], y: &mut [f32], spatial: usize) {
    let planes = y.len();
    reduce(cpu, op, x, [planes, spatial, 1], y);
}

fn check(x: &[f32], y: &[f32], window: &Window) {
    let (inputs, outputs) = (window.inputs(), window.outputs());
    assert!(inputs > 0 && outputs > 0, "a plane without elements");
    assert!(x.len().is_multiple_of(inputs) && y.len().is_multiple_of(outputs), "a tensor that is not made of planes");
    assert_eq!(x.len() / inputs, y.len() / outputs, "different numbers of planes");
}

/// Calls `f(plane of x, plane of y)` for all planes.
fn for_planes(cpu: &Cpu, x: &[f32], y: &mut [f32], window: &Window, f: impl Fn(&[f32], &mut [f32]) + Sync) {
    check(x, y, window);
    let (inputs, outputs) = (window.inputs(), window.outputs());
    let planes = rows_at_a_time(outputs * window.taps());
    for_chunks(&cpu.threads, y, planes * outputs, |index, y| {
        let x = x[index * planes * inputs..].chunks_exact(inputs);
        y.chunks_exact_mut(outputs).zip(x).for_each(|(y, x)| f(x, y));
    });
}

dispatch! {
    /// Folds the window of each output of a plane.
    fn gather[F: Fn(f32, f32) -> f32](cpu: &Cpu, x: &[f32], y: &mut [f32], window: &Window, neutral: f32, step: F) {
        let width = window.width;
        let inner = width.inner();
        for (line, y) in y.chunks_exact_mut(width.output).enumerate() {
            let line = window.line(line);
            let edges = (0..inner.start).chain(inner.end..width.output);
            for column in edges {
                let taps = width.taps(column);
                y[column] = line.rows().fold(neutral, |sum, row| {
                    taps.clone().fold(sum, |sum, tap| step(sum, x[row + width.place(column, tap)]))
                });
            }
            let y = &mut y[inner.clone()];
            let first = if y.is_empty() { 0 } else { width.place(inner.start, 0) };
            match (width.stride, width.dilation, y.len()) {
                (1, 1, 16..) => blocks::<16>(y, neutral, |at, sums| line.rows().fold(sums, |sums, row| {
                    side_by_side::<16, 16, 1>(&x[row + first + at..], width.kernel, sums, &step)
                })),
                (1, 1, 4..) => blocks::<4>(y, neutral, |at, sums| line.rows().fold(sums, |sums, row| {
                    side_by_side::<4, 4, 1>(&x[row + first + at..], width.kernel, sums, &step)
                })),
                (2, 1, 16..) => blocks::<16>(y, neutral, |at, sums| line.rows().fold(sums, |sums, row| {
                    side_by_side::<16, 31, 2>(&x[row + first + 2 * at..], width.kernel, sums, &step)
                })),
                (2, 1, 4..) => blocks::<4>(y, neutral, |at, sums| line.rows().fold(sums, |sums, row| {
                    side_by_side::<4, 7, 2>(&x[row + first + 2 * at..], width.kernel, sums, &step)
                })),
                _ => for (column, y) in inner.clone().zip(y) {
                    *y = line.rows().fold(neutral, |sum, row| {
                        (0..width.kernel).fold(sum, |sum, tap| step(sum, x[row + width.place(column, tap)]))
                    });
                },
            }
        }
    }

    /// The first largest element of each window, and its place in the plane.
    fn find(cpu: &Cpu, x: &[f32], y: &mut [f32], indices: &mut [i64], window: &Window) {
        y.fill(f32::NEG_INFINITY);
        indices.fill(-1);
        for tap in window.taps_in_order() {
            for row in tap.rows.clone() {
                let (outputs, input) = window.stretch(&tap, row);
                let places = (input..).step_by(window.width.stride);
                for ((y, index), place) in y[outputs.clone()].iter_mut().zip(&mut indices[outputs]).zip(places) {
                    let x = x[place];
                    let better = (x > *y) | (*index < 0) | (x.is_nan() & !y.is_nan());
                    *y = if better { x } else { *y };
                    *index = if better { place as i64 } else { *index };
                }
            }
        }
    }

    fn divide(cpu: &Cpu, y: &mut [f32], window: &Window, count_padding: bool) {
        let width = window.width;
        let inner = width.inner();
        let mut rows = y.chunks_exact_mut(width.output);
        for depth in 0..window.depth.output {
            for height in 0..window.height.output {
                let outer = window.depth.count(depth, count_padding) * window.height.count(height, count_padding);
                let row = rows.next().expect("a plane has depth times height rows");
                for column in (0..inner.start).chain(inner.end..width.output) {
                    row[column] /= (outer * width.count(column, count_padding)) as f32;
                }
                let count = (outer * width.kernel) as f32;
                row[inner.clone()].iter_mut().for_each(|y| *y /= count);
            }
        }
    }
}

/// Computes `N` outputs at a time; the last ones, if there are fewer, together with some once more.
#[inline(always)]
fn blocks<const N: usize>(y: &mut [f32], neutral: f32, sums: impl Fn(usize, [f32; N]) -> [f32; N]) {
    let last = y.len() - N;
    for at in (0..last).step_by(N).chain([last]) {
        y[at..at + N].copy_from_slice(&sums(at, [neutral; N]));
    }
}

/// Takes the taps of one row into `N` sums, whose windows are `STRIDE` apart; they span `SPAN` elements for each tap.
#[inline(always)]
fn side_by_side<const N: usize, const SPAN: usize, const STRIDE: usize>(
    x: &[f32],
    kernel: usize,
    mut sums: [f32; N],
    step: &impl Fn(f32, f32) -> f32,
) -> [f32; N] {
    for tap in 0..kernel {
        let x: &[f32; SPAN] = x[tap..].first_chunk().expect("the taps of these windows lie within the row");
        for (index, sum) in sums.iter_mut().enumerate() {
            *sum = step(*sum, x[index * STRIDE]);
        }
    }
    sums
}

#[cfg(test)]
mod tests;
