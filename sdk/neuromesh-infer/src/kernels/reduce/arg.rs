//! Where the extreme elements are.

use super::lanes::{fold, row_max};
use super::{COLUMNS, Columns};
use crate::kernels::cpu::{Cpu, dispatch};
use crate::kernels::elementwise::{for_chunks, rows_at_a_time};

/// Which element is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extreme {
    /// The largest one.
    Max,
    /// The smallest one.
    Min,
}

/// The index of the extreme element along the middle axis of `x`, which is `[outer, size, inner]`, into `out`, `[outer, inner]`;
/// among equal ones of the first, or of the `last`. As in numpy, NaN counts as more extreme than any number, and both zeros are
/// equal.
///
/// # Panics
/// When `x` or `out` has another size than these dimensions, or the axis is empty, or has 2^32 elements or more.
pub fn arg(cpu: &Cpu, extreme: Extreme, last: bool, x: &[f32], [outer, size, inner]: [usize; 3], out: &mut [i64]) {
    assert_eq!(x.len(), outer * size * inner, "a reduction of a tensor of another size");
    assert_eq!(out.len(), outer * inner, "a reduction into a tensor of another size");
    assert!(out.is_empty() || (size > 0 && u32::try_from(size).is_ok()), "no extreme element of nothing");
    let columns = Columns { x, size, inner };
    let at_a_time = rows_at_a_time(size).max(if inner == 1 { 1 } else { COLUMNS });
    for_chunks(&cpu.threads, out, at_a_time, |index, out| {
        let start = index * at_a_time;
        match (inner, extreme, last) {
            (1, Extreme::Max, _) => rows(cpu, &columns, start, out, row_max, last),
            (1, Extreme::Min, _) => rows(cpu, &columns, start, out, row_min, last),
            (_, Extreme::Max, false) => {
                beside(cpu, &columns, start, out, |x, best| x > best || (x.is_nan() & !best.is_nan()))
            }
            (_, Extreme::Max, true) => beside(cpu, &columns, start, out, |x, best| x >= best || x.is_nan()),
            (_, Extreme::Min, false) => {
                beside(cpu, &columns, start, out, |x, best| x < best || (x.is_nan() & !best.is_nan()))
            }
            (_, Extreme::Min, true) => beside(cpu, &columns, start, out, |x, best| x <= best || x.is_nan()),
        }
    });
}

#[inline(always)]
fn row_min(row: &[f32]) -> f32 {
    let smaller = |a: f32, b: f32| if b < a { b } else { a };
    let smallest = fold(row, f32::INFINITY, smaller, smaller);
    let doubtful = row.iter().fold(0u32, |any, x| any | u32::from(x.is_nan()));
    if doubtful == 0 { smallest } else { f32::NAN }
}

dispatch! {
    fn rows[F: Fn(&[f32]) -> f32](cpu: &Cpu, columns: &Columns<'_>, start: usize, out: &mut [i64], best: F, last: bool) {
        for (index, out) in out.iter_mut().enumerate() {
            let row = columns.row(start + index);
            let best = best(row);
            let is_best = |x: &f32| *x == best || (x.is_nan() && best.is_nan());
            let found = if last { row.iter().rposition(is_best) } else { row.iter().position(is_best) };
            *out = found.expect("the extreme of a row that is not empty is one of its elements") as i64;
        }
    }

    fn beside[F: Fn(f32, f32) -> bool](cpu: &Cpu, columns: &Columns<'_>, start: usize, out: &mut [i64], better: F) {
        let (mut best, mut place) = ([0.0; COLUMNS], [0u32; COLUMNS]);
        let mut done = 0;
        while done < out.len() {
            let (count, first) = columns.side_by_side(start + done, out.len() - done);
            let (best, place) = (&mut best[..count], &mut place[..count]);
            for (index, values) in columns.steps(first, count).enumerate() {
                if index == 0 {
                    best.copy_from_slice(values);
                    place.fill(0);
                    continue;
                }
                for ((best, place), x) in best.iter_mut().zip(place.iter_mut()).zip(values) {
                    let better = better(*x, *best);
                    *best = if better { *x } else { *best };
                    *place = if better { index as u32 } else { *place };
                }
            }
            for (out, place) in out[done..done + count].iter_mut().zip(&*place) {
                *out = i64::from(*place);
            }
            done += count;
        }
    }
}
