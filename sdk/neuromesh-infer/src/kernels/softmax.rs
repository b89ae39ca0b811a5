//! Softmax and its logarithm.
//!
//! Of a row: the largest element is subtracted from each, the exponentials are summed in 16 lanes (see [`super::reduce`]), and
//! each is multiplied by the reciprocal of the sum. Along a middle axis the sum is in the order of the axis instead. By the
//! definition, a row that holds NaN or infinity, or nothing but negative infinity, becomes NaN. Nothing here allocates.

use super::cpu::{Cpu, dispatch};
use super::elementwise::{for_chunks, rows_at_a_time};
use super::math;
use super::reduce::{row_max, row_sum, sum_of_exponentials};

/// What to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `e^x / sum e^x`.
    Softmax,
    /// Its logarithm, `x - log sum e^x`.
    LogSoftmax,
}

/// What attention does to the scores before the softmax: `x * scale + mask`, rounded after each of the two.
#[derive(Clone, Copy)]
pub struct Scores<'a> {
    /// The factor.
    pub scale: f32,
    /// Gives the row of the mask, as long as a row, for the number of a row.
    pub mask: Option<&'a (dyn Fn(usize) -> &'a [f32] + Sync)>,
}

/// Softmax of each row of `row` elements: from `from`, or in place if there is none.
///
/// # Panics
/// When `x` is not a whole number of rows, or `from` has another size.
pub fn softmax(cpu: &Cpu, kind: Kind, from: Option<&[f32]>, x: &mut [f32], row: usize) {
    for_rows(cpu, from, x, row, |_, x| match kind {
        Kind::Softmax => softmax_rows(cpu, x, row),
        Kind::LogSoftmax => log_softmax_rows(cpu, x, row),
    });
}

/// Softmax of each row of attention scores, in place.
///
/// # Panics
/// When `x` is not a whole number of rows, or a row of the mask has another size.
pub fn attention_softmax(cpu: &Cpu, x: &mut [f32], row: usize, scores: Scores<'_>) {
    for_rows(cpu, None, x, row, |first, x| {
        match scores.mask {
            None => scale_rows(cpu, x, scores.scale),
            Some(mask) => {
                for (index, x) in x.chunks_exact_mut(row).enumerate() {
                    let mask = mask(first + index);
                    assert_eq!(mask.len(), row, "a mask of another size than a row");
                    scale_and_mask(cpu, x, scores.scale, mask);
                }
            }
        }
        softmax_rows(cpu, x, row);
    });
}

/// Softmax along the middle axis of `x`, which is `[outer, size, inner]`, in place.
///
/// # Panics
/// When `x` has another size than these dimensions.
pub fn softmax_axis(cpu: &Cpu, kind: Kind, x: &mut [f32], [outer, size, inner]: [usize; 3]) {
    assert_eq!(x.len(), outer * size * inner, "a softmax of a tensor of another size");
    if inner == 1 {
        return softmax(cpu, kind, None, x, size);
    }
    let slab = size * inner;
    let at_a_time = rows_at_a_time(slab) * slab;
    for_chunks(&cpu.threads, x, at_a_time, |_, x| columns(cpu, x, size, inner, kind));
}

/// Calls `f(number of the first row, rows)` for groups of rows, which hold the elements of `from` if there is one.
pub(in crate::kernels) fn for_rows(
    cpu: &Cpu,
    from: Option<&[f32]>,
    x: &mut [f32],
    row: usize,
    f: impl Fn(usize, &mut [f32]) + Sync,
) {
    assert!(from.is_none_or(|from| from.len() == x.len()), "an input and an output of different sizes");
    assert!(x.len().is_multiple_of(row), "a tensor that is not made of rows");
    // Groups of rows stay in a near cache between the copy and the passes.
    let rows = rows_at_a_time(row);
    for_chunks(&cpu.threads, x, rows * row, |index, x| {
        if let Some(from) = from {
            x.copy_from_slice(&from[index * rows * row..][..x.len()]);
        }
        f(index * rows, x);
    });
}

dispatch! {
    fn softmax_rows(cpu: &Cpu, x: &mut [f32], row: usize) {
        for x in x.chunks_exact_mut(row) {
            let largest = row_max(x);
            for x in x.iter_mut() {
                *x = math::exp(*x - largest);
            }
            let factor = 1.0 / row_sum(x);
            for x in x.iter_mut() {
                *x *= factor;
            }
        }
    }

    fn log_softmax_rows(cpu: &Cpu, x: &mut [f32], row: usize) {
        for x in x.chunks_exact_mut(row) {
            let largest = row_max(x);
            let log_sum = math::log(sum_of_exponentials(x, largest));
            for x in x.iter_mut() {
                *x = (*x - largest) - log_sum;
            }
        }
    }

    fn scale_rows(cpu: &Cpu, x: &mut [f32], scale: f32) {
        for x in x {
            *x *= scale;
        }
    }

    fn scale_and_mask(cpu: &Cpu, x: &mut [f32], scale: f32, mask: &[f32]) {
        for (x, mask) in x.iter_mut().zip(mask) {
            *x = *x * scale + *mask;
        }
    }

    fn columns(cpu: &Cpu, x: &mut [f32], size: usize, inner: usize, kind: Kind) {
        const COLUMNS: usize = 256;
        let (mut largest, mut sum) = ([0.0; COLUMNS], [0.0; COLUMNS]);
        for slab in x.chunks_exact_mut(size * inner) {
            for first in (0..inner).step_by(COLUMNS) {
                let range = first..inner.min(first + COLUMNS);
                let (largest, sum) = (&mut largest[..range.len()], &mut sum[..range.len()]);
                largest.fill(f32::NEG_INFINITY);
                for x in slab.chunks_exact(inner) {
                    for (largest, x) in largest.iter_mut().zip(&x[range.clone()]) {
                        *largest = math::max(*largest, *x);
                    }
                }
                sum.fill(0.0);
                for x in slab.chunks_exact_mut(inner) {
                    for ((x, sum), largest) in x[range.clone()].iter_mut().zip(sum.iter_mut()).zip(&*largest) {
                        let shifted = *x - *largest;
                        let e = math::exp(shifted);
                        *sum += e;
                        *x = if kind == Kind::Softmax { e } else { shifted };
                    }
                }
                for sum in sum.iter_mut() {
                    *sum = if kind == Kind::Softmax { 1.0 / *sum } else { math::log(*sum) };
                }
                for x in slab.chunks_exact_mut(inner) {
                    for (x, sum) in x[range.clone()].iter_mut().zip(&*sum) {
                        *x = if kind == Kind::Softmax { *x * *sum } else { *x - *sum };
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
