//! Sums of rows, in the kernels' order, for operators that are not worth a kernel of their own.

use crate::kernels::reduce;

/// The sum of a row.
pub(crate) fn sum(row: &[f32]) -> f32 {
    reduce::row_sum(row)
}

/// The sum of `f` of each element.
pub(crate) fn sum_of(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    reduce::fold(row, 0.0, |sum, x| sum + f(x), |a, b| a + b)
}
