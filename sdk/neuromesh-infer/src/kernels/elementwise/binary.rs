//! Operations of two tensors.

use super::broadcast::Rows;
use super::chunks::{GRAIN, for_chunks};
use super::unary::{Unary, unary_in_place};
use crate::kernels::cpu::{Cpu, dispatch};
use crate::kernels::math;

/// An operation of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    /// See [`math::pow`].
    Pow,
    /// NaN wins; see [`math::min`].
    Min,
    /// NaN wins; see [`math::max`].
    Max,
    /// The remainder with the sign of the dividend, as C's `fmod`.
    Remainder,
    /// The remainder with the sign of the divisor, as Python's `%`.
    Modulo,
    /// The left one where it is not negative, else the product.
    PRelu,
}

/// On which side of the operation the tensor stands that also receives the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Side {
    Left,
    Right,
}

/// `out = op(a, b)`, all of the same shape.
///
/// # Panics
/// When the lengths differ.
pub fn binary(cpu: &Cpu, op: Binary, a: &[f32], b: &[f32], out: &mut [f32]) {
    assert_eq!(a.len(), out.len(), "an operation of tensors of different sizes");
    assert_eq!(b.len(), out.len(), "an operation of tensors of different sizes");
    let shape = [out.len()];
    broadcast(cpu, op, &shape, (a, &[1]), (b, &[1]), out);
}

/// `a = op(a, b)`, or `a = op(b, a)` with `a` on the right; both of the same shape.
///
/// # Panics
/// When the lengths differ.
pub fn binary_assign(cpu: &Cpu, op: Binary, a: &mut [f32], b: &[f32], side: Side) {
    assert_eq!(a.len(), b.len(), "an operation of tensors of different sizes");
    let shape = [a.len()];
    broadcast_assign(cpu, op, &shape, a, (b, &[1]), side);
}

/// `a = op(a, scalar)`, or `a = op(scalar, a)` with `a` on the right.
pub fn binary_scalar(cpu: &Cpu, op: Binary, a: &mut [f32], scalar: f32, side: Side) {
    if (op, side) == (Binary::Pow, Side::Left) {
        return unary_in_place(cpu, Unary::Pow { exponent: scalar }, a);
    }
    let shape = [a.len()];
    broadcast_assign(cpu, op, &shape, a, (&[scalar], &[0]), side);
}

/// Each row of `a` with the same `row`.
///
/// # Panics
/// When `a` is not a whole number of rows.
pub fn binary_rows(cpu: &Cpu, op: Binary, a: &mut [f32], row: &[f32], side: Side) {
    assert!(a.len().is_multiple_of(row.len()), "a tensor that is not made of rows");
    let shape = [a.len().checked_div(row.len()).unwrap_or(0), row.len()];
    broadcast_assign(cpu, op, &shape, a, (row, &[0, 1]), side);
}

/// Each row of `a` with one scalar of `column`, which has one for each row.
///
/// # Panics
/// When `a` cannot be cut into as many equal rows.
pub fn binary_columns(cpu: &Cpu, op: Binary, a: &mut [f32], column: &[f32], side: Side) {
    assert!(a.len().is_multiple_of(column.len()), "a tensor that is not made of rows");
    let shape = [column.len(), a.len().checked_div(column.len()).unwrap_or(0)];
    broadcast_assign(cpu, op, &shape, a, (column, &[1, 0]), side);
}

/// `out = op(a, b)` where each operand comes with one stride, in elements, for each dimension of `shape` (0: repeated). `out` is
/// contiguous.
///
/// # Panics
/// When a stride is missing, there are more than 16 dimensions, or an operand or `out` is too short.
pub fn broadcast(cpu: &Cpu, op: Binary, shape: &[usize], a: Strided<'_>, b: Strided<'_>, out: &mut [f32]) {
    assert_eq!(out.len(), shape.iter().product::<usize>(), "an output of another size than its shape");
    let (a_rows, b_rows) = (Rows::new(shape, a.1, a.0.len()), Rows::new(shape, b.1, b.0.len()));
    // Pieces that stay in the nearest cache between the copy of `a` and the operation.
    const PIECE: usize = 2048;
    for_chunks(&cpu.threads, out, GRAIN, |index, out| {
        for (piece, out) in out.chunks_mut(PIECE).enumerate() {
            let start = index * GRAIN + piece * PIECE;
            walk(cpu, out, a.0, &a_rows, start, |_, a| a);
            apply(cpu, op, Side::Left, out, b.0, &b_rows, start);
        }
    });
}

/// A tensor's elements, and how far apart they are along each dimension.
pub type Strided<'a> = (&'a [f32], &'a [usize]);

/// [`broadcast`] with the result in the contiguous operand `a`, on either side.
///
/// # Panics
/// As [`broadcast`].
pub fn broadcast_assign(cpu: &Cpu, op: Binary, shape: &[usize], a: &mut [f32], b: Strided<'_>, side: Side) {
    assert_eq!(a.len(), shape.iter().product::<usize>(), "an operand of another size than its shape");
    let rows = Rows::new(shape, b.1, b.0.len());
    for_chunks(&cpu.threads, a, GRAIN, |index, a| apply(cpu, op, side, a, b.0, &rows, index * GRAIN));
}

fn apply(cpu: &Cpu, op: Binary, side: Side, a: &mut [f32], b: &[f32], rows: &Rows, start: usize) {
    macro_rules! on_side {
        ($f:expr) => {
            match side {
                Side::Left => walk(cpu, a, b, rows, start, |a, b| $f(a, b)),
                Side::Right => walk(cpu, a, b, rows, start, |a, b| $f(b, a)),
            }
        };
    }
    match op {
        Binary::Add => walk(cpu, a, b, rows, start, |a, b| a + b),
        Binary::Sub => on_side!(|a, b| a - b),
        Binary::Mul => walk(cpu, a, b, rows, start, |a, b| a * b),
        Binary::Div => on_side!(|a, b| a / b),
        Binary::Pow => on_side!(math::pow),
        Binary::Min => walk(cpu, a, b, rows, start, math::min),
        Binary::Max => walk(cpu, a, b, rows, start, math::max),
        Binary::Remainder => on_side!(math::remainder),
        Binary::Modulo => on_side!(math::modulo),
        Binary::PRelu => on_side!(|a: f32, b: f32| if a < 0.0 { a * b } else { a }),
    }
}

dispatch! {
    /// `a = f(a, b)` for the elements of the shape from `start` on.
    fn walk[F: Fn(f32, f32) -> f32](cpu: &Cpu, a: &mut [f32], b: &[f32], rows: &Rows, start: usize, f: F) {
        let mut cursor = rows.cursor(start / rows.inner);
        let mut column = start % rows.inner;
        let mut rest = a;
        while !rest.is_empty() {
            let (a, others) = rest.split_at_mut(rest.len().min(rows.inner - column));
            let from = cursor.offset + column * rows.step;
            match rows.step {
                0 => {
                    let b = b[from];
                    for a in a.iter_mut() {
                        *a = f(*a, b);
                    }
                }
                1 => {
                    for (a, b) in a.iter_mut().zip(&b[from..]) {
                        *a = f(*a, *b);
                    }
                }
                step => {
                    for (a, b) in a.iter_mut().zip(b[from..].iter().step_by(step)) {
                        *a = f(*a, *b);
                    }
                }
            }
            cursor.advance();
            (rest, column) = (others, 0);
        }
    }
}
