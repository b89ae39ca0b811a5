//! Reductions of a row in 16 lanes. All of these are to be inlined into dispatched loops.

use crate::kernels::math;

/// Wide enough for every machine's vectors, and the same everywhere.
pub(in crate::kernels) const LANES: usize = 16;

/// Folds a row: `step` takes an element into its lane, `join` a lane into another.
#[inline(always)]
pub(crate) fn fold(row: &[f32], neutral: f32, step: impl Fn(f32, f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [neutral; LANES];
    take_in(&mut lanes, row, step);
    join_lanes(lanes, join)
}

/// The sum of a row.
#[inline(always)]
pub(crate) fn row_sum(row: &[f32]) -> f32 {
    fold(row, 0.0, |sum, x| sum + x, |a, b| a + b)
}

/// The largest element of a row, NaN if there is one; which zero, if zero is the largest, depends on the order.
#[inline(always)]
pub(in crate::kernels) fn row_max(row: &[f32]) -> f32 {
    // NaN fails every comparison, so it is looked for on its own.
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let largest = fold(row, f32::NEG_INFINITY, larger, larger);
    let doubtful = row.iter().fold(0u32, |any, x| any | u32::from(x.is_nan()));
    if doubtful == 0 { largest } else { f32::NAN }
}

/// The sum of `e^(x - largest)` over a row.
#[inline(always)]
pub(in crate::kernels) fn sum_of_exponentials(row: &[f32], largest: f32) -> f32 {
    // A piece of whole groups at a time: a loop of one function and a loop of additions become vectors more surely than one of
    // both.
    const PIECE: usize = 16 * LANES;
    let mut lanes = [0.0; LANES];
    let mut buffer = [0.0; PIECE];
    for piece in row.chunks(PIECE) {
        let buffer = &mut buffer[..piece.len()];
        for (y, x) in buffer.iter_mut().zip(piece) {
            *y = math::exp(*x - largest);
        }
        take_in(&mut lanes, buffer, |sum, x| sum + x);
    }
    join_lanes(lanes, |a, b| a + b)
}

#[inline(always)]
fn take_in(lanes: &mut [f32; LANES], row: &[f32], step: impl Fn(f32, f32) -> f32) {
    let (groups, rest) = row.as_chunks::<LANES>();
    let mut local = *lanes;
    for group in groups {
        for (lane, x) in local.iter_mut().zip(group) {
            *lane = step(*lane, *x);
        }
    }
    for (lane, x) in local.iter_mut().zip(rest) {
        *lane = step(*lane, *x);
    }
    *lanes = local;
}

#[inline(always)]
fn join_lanes(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            lanes[lane] = join(lanes[lane], lanes[lane + width]);
        }
    }
    lanes[0]
}
