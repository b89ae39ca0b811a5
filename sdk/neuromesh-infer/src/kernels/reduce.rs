//! Reductions along one axis of `[outer, size, inner]`, or along several axes.
//!
//! The order of the additions is part of the contract, and depends on the shape alone:
//!
//! - Rows (`inner == 1`): 16 lanes, each starting from the neutral element; element `i` goes to lane `i mod 16`, in ascending
//!   order, those of the last incomplete group too. Then lane `l` takes in lane `l + 8` (for `l < 8`), `l + 4`, `l + 2`, `l + 1`.
//! - Columns (`inner > 1`): each output on its own, from the neutral element, in the order of the axis.
//!
//! Maximum and minimum do not depend on the order: NaN wins, and a positive zero is larger than a negative one. Nothing here
//! allocates, except [`reduce_axes`] where it says so.

mod arg;
mod axes;
mod lanes;

pub use arg::{Extreme, arg};
pub use axes::reduce_axes;

pub(crate) use lanes::{fold, row_sum};
pub(in crate::kernels) use lanes::{row_max, sum_of_exponentials};

use super::cpu::{Cpu, dispatch};
use super::elementwise::{for_chunks, rows_at_a_time};
use super::math;

/// How a reduction combines elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The sum; 0 of nothing.
    Sum,
    /// The sum divided by the number of elements; NaN of nothing.
    Mean,
    /// The product; 1 of nothing.
    Product,
    /// The largest; negative infinity of nothing.
    Max,
    /// The smallest; infinity of nothing.
    Min,
    /// The sum of absolute values.
    L1,
    /// The square root of the sum of squares.
    L2,
    /// The sum of squares.
    SumSquare,
    /// The logarithm of the sum.
    LogSum,
    /// The logarithm of the sum of exponentials, all of them divided by the largest; negative infinity of nothing.
    LogSumExp,
}

/// Reduces the middle axis of `x`, which is `[outer, size, inner]`, into `out`, which is `[outer, inner]`.
///
/// # Panics
/// When `x` or `out` has another size than these dimensions.
pub fn reduce(cpu: &Cpu, op: Reduction, x: &[f32], [outer, size, inner]: [usize; 3], out: &mut [f32]) {
    assert_eq!(x.len(), outer * size * inner, "a reduction of a tensor of another size");
    assert_eq!(out.len(), outer * inner, "a reduction into a tensor of another size");
    let columns = Columns { x, size, inner };
    let at_a_time = rows_at_a_time(size).max(if inner == 1 { 1 } else { COLUMNS });
    for_chunks(&cpu.threads, out, at_a_time, |index, out| {
        let start = index * at_a_time;
        match op {
            Reduction::Sum | Reduction::Mean | Reduction::LogSum => {
                plain(cpu, &columns, start, out, 0.0, |a, x| a + x, add)
            }
            Reduction::Product => plain(cpu, &columns, start, out, 1.0, |a, x| a * x, |a, b| a * b),
            Reduction::Max => plain(cpu, &columns, start, out, f32::NEG_INFINITY, math::max, math::max),
            Reduction::Min => plain(cpu, &columns, start, out, f32::INFINITY, math::min, math::min),
            Reduction::L1 => plain(cpu, &columns, start, out, 0.0, |a, x| a + x.abs(), add),
            Reduction::L2 | Reduction::SumSquare => plain(cpu, &columns, start, out, 0.0, |a, x| a + x * x, add),
            Reduction::LogSumExp => log_sum_exp(cpu, &columns, start, out),
        }
        let count = size as f32;
        match op {
            Reduction::Mean => out.iter_mut().for_each(|sum| *sum /= count),
            Reduction::L2 => out.iter_mut().for_each(|sum| *sum = sum.sqrt()),
            Reduction::LogSum => out.iter_mut().for_each(|sum| *sum = math::log(*sum)),
            _ => {}
        }
    });
}

/// Columns that are reduced side by side.
const COLUMNS: usize = 256;

#[inline(always)]
fn add(a: f32, b: f32) -> f32 {
    a + b
}

/// The tensor `[outer, size, inner]`.
struct Columns<'a> {
    x: &'a [f32],
    size: usize,
    inner: usize,
}

impl<'a> Columns<'a> {
    /// The part of `out` from `start` on that lies side by side: how many outputs, and where the first one's column begins.
    #[inline(always)]
    fn side_by_side(&self, start: usize, left: usize) -> (usize, usize) {
        let column = start % self.inner;
        (left.min(self.inner - column).min(COLUMNS), start / self.inner * self.size * self.inner + column)
    }

    /// `count` neighbouring columns, step by step along the axis.
    #[inline(always)]
    fn steps(&self, first: usize, count: usize) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let (x, inner) = (self.x, self.inner);
        (0..self.size).map(move |index| &x[first + index * inner..][..count])
    }

    #[inline(always)]
    fn row(&self, index: usize) -> &'a [f32] {
        &self.x[index * self.size..][..self.size]
    }
}

dispatch! {
    /// The outputs from `start` on, without the last step.
    fn plain[F: Fn(f32, f32) -> f32, J: Fn(f32, f32) -> f32](
        cpu: &Cpu, columns: &Columns<'_>, start: usize, out: &mut [f32], neutral: f32, step: F, join: J
    ) {
        if columns.inner == 1 {
            for (index, out) in out.iter_mut().enumerate() {
                *out = fold(columns.row(start + index), neutral, &step, &join);
            }
            return;
        }
        let mut done = 0;
        while done < out.len() {
            let (count, first) = columns.side_by_side(start + done, out.len() - done);
            let out = &mut out[done..done + count];
            out.fill(neutral);
            for values in columns.steps(first, count) {
                for (out, x) in out.iter_mut().zip(values) {
                    *out = step(*out, *x);
                }
            }
            done += count;
        }
    }

    fn log_sum_exp(cpu: &Cpu, columns: &Columns<'_>, start: usize, out: &mut [f32]) {
        if columns.inner == 1 {
            for (index, out) in out.iter_mut().enumerate() {
                let row = columns.row(start + index);
                let largest = row_max(row);
                *out = shifted_log(largest, sum_of_exponentials(row, largest));
            }
            return;
        }
        let mut largest = [0.0; COLUMNS];
        let mut done = 0;
        while done < out.len() {
            let (count, first) = columns.side_by_side(start + done, out.len() - done);
            let (out, largest) = (&mut out[done..done + count], &mut largest[..count]);
            largest.fill(f32::NEG_INFINITY);
            for values in columns.steps(first, count) {
                for (largest, x) in largest.iter_mut().zip(values) {
                    *largest = math::max(*largest, *x);
                }
            }
            out.fill(0.0);
            for values in columns.steps(first, count) {
                for ((out, x), largest) in out.iter_mut().zip(values).zip(&*largest) {
                    *out += math::exp(*x - *largest);
                }
            }
            for (out, largest) in out.iter_mut().zip(&*largest) {
                *out = shifted_log(*largest, *out);
            }
            done += count;
        }
    }
}

/// `log(sum) + largest`; the largest itself where it is infinite.
#[inline(always)]
fn shifted_log(largest: f32, sum: f32) -> f32 {
    let result = math::log(sum) + largest;
    if largest.abs() == f32::INFINITY { largest } else { result }
}

#[cfg(test)]
mod tests;
