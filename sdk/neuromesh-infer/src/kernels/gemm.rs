//! Matrix products of `f32`.
//!
//! ```text
//! C[m,n] = activation(alpha * (A[m,k] · B[k,n]) + bias + residual)
//! ```
//!
//! Each sum starts at 0 and takes its products in the order of k, every product and every addition rounded on its own; vector
//! lanes run across n, and a sum that is interrupted (k is cut so that a panel of B stays in the first cache) goes on from C.
//! With [`Numerics::Exact`](super::cpu::Numerics::Exact), the bits of C depend on nothing else: not on the instruction set,
//! the tile, the blocks or the threads. With `Fast`, a product may be fused with its addition.
//!
//! B is read from panels ([`pack_b`] once for weights, [`pack_b_into`] for what changes), from rows as they lie, or from panels
//! that a callback makes when they are needed (a convolution's patches). Nothing here allocates except [`pack_a`] and [`pack_b`].
#![allow(unsafe_code)]

mod block;
mod pack;
mod storage;
mod tile;

pub(crate) use block::finish;
pub(crate) use pack::RowTiles;
pub use pack::{PackedA, PackedB, PackedRef, pack_a, pack_b, pack_b_into, packed_len, panel_width, same_layout};
pub(crate) use storage::{Storage, SyncPointer};
pub(crate) use tile::{Finish, end};

use super::cpu::Cpu;
use block::Job;

/// A matrix in a slice: element `[i, j]` lies at `i * row_stride + j * col_stride`.
#[derive(Clone, Copy, Debug)]
pub struct MatrixRef<'a> {
    /// From element `[0, 0]` on.
    pub data: &'a [f32],
    /// From a row to the next.
    pub row_stride: usize,
    /// From a column to the next.
    pub col_stride: usize,
}

/// The left operand, [m,k].
#[derive(Clone, Copy)]
pub enum Left<'a> {
    /// Packed block by block while the product runs.
    Matrix(MatrixRef<'a>),
    /// Packed before: weights of convolutions.
    Packed(&'a PackedA),
}

/// The right operand, [k,n].
#[derive(Clone, Copy)]
pub enum Right<'a> {
    /// Packed before.
    Packed(PackedRef<'a>),
    /// Rows of consecutive numbers, `row_stride` apart, read where they lie: for what is used once, where packing does not pay.
    Rows {
        /// From element `[0, 0]` on.
        data: &'a [f32],
        /// From a row to the next.
        row_stride: usize,
    },
}

/// What happens to a finished sum, in this order: `* alpha`, `+ bias`, `+ residual`, `activation`, each rounded on its own.
#[derive(Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// A factor, if any.
    pub alpha: Option<f32>,
    /// What is added first.
    pub bias: Bias<'a>,
    /// What is added then: a matrix that lies like C, with the same distance between rows.
    pub residual: Option<&'a [f32]>,
    /// What is done last.
    pub activation: Activation,
}

/// A vector added to every row or to every column.
#[derive(Clone, Copy, Debug, Default)]
pub enum Bias<'a> {
    /// Nothing is added.
    #[default]
    None,
    /// `n` numbers, one for each column.
    PerColumn(&'a [f32]),
    /// `m` numbers, one for each row.
    PerRow(&'a [f32]),
}

/// The function that ends a product.
#[derive(Clone, Copy, Debug, Default)]
pub enum Activation {
    /// x
    #[default]
    None,
    /// 0 for what is less; NaN and -0 stay.
    Relu,
    /// `min` for what is less and `max` for what is greater; NaN stays.
    Clip {
        /// The least result.
        min: f32,
        /// The greatest result.
        max: f32,
    },
    /// `alpha * x` for what is less than 0.
    LeakyRelu(f32),
    /// Applied to parts of finished rows while they are in the cache; must treat each number on its own.
    Custom(fn(&Cpu, &mut [f32])),
}

/// How many numbers of scratch [`gemm`] and [`gemm_with`] need.
pub fn gemm_scratch(cpu: &Cpu, m: usize, n: usize, k: usize, a: &Left, b: &Right) -> usize {
    block::Plan::new(cpu, m, n, k, a, b).scratch()
}

/// As [`gemm_scratch`], for a matrix on the left and packed panels on the right.
pub fn gemm_packed_scratch(cpu: &Cpu, m: usize, n: usize, k: usize) -> usize {
    let none = MatrixRef { data: &[], row_stride: k, col_stride: 1 };
    let panels = PackedRef::for_size(cpu, k, n);
    gemm_scratch(cpu, m, n, k, &Left::Matrix(none), &Right::Packed(panels))
}

/// `c[i * ldc + j]` becomes the epilogue of row i of `a` times column j of `b`.
///
/// # Panics
/// When a slice is too short for the sizes, or `b` was packed for other sizes or another instruction set.
#[allow(clippy::too_many_arguments)]
pub fn gemm(
    cpu: &Cpu,
    m: usize,
    n: usize,
    k: usize,
    a: MatrixRef,
    b: PackedRef,
    c: &mut [f32],
    ldc: usize,
    epilogue: &Epilogue,
    scratch: &mut [f32],
) {
    gemm_with(cpu, m, n, k, Left::Matrix(a), Right::Packed(b), c, ldc, epilogue, scratch);
}

/// As [`gemm`], for operands of any kind.
///
/// # Panics
/// As [`gemm`].
#[allow(clippy::too_many_arguments)]
pub fn gemm_with(
    cpu: &Cpu,
    m: usize,
    n: usize,
    k: usize,
    a: Left,
    b: Right,
    c: &mut [f32],
    ldc: usize,
    epilogue: &Epilogue,
    scratch: &mut [f32],
) {
    if m == 0 || n == 0 {
        return;
    }
    check(cpu, m, n, k, &a, &b, c.len(), ldc, epilogue);
    let plan = block::Plan::new(cpu, m, n, k, &a, &b);
    assert!(scratch.len() >= plan.scratch(), "the scratch of a matrix product is too small");
    Job { cpu, n, k, a, b, c: SyncPointer::new(c), ldc, epilogue, plan }.run(scratch);
}

#[allow(clippy::too_many_arguments)]
fn check(cpu: &Cpu, m: usize, n: usize, k: usize, a: &Left, b: &Right, c: usize, ldc: usize, epilogue: &Epilogue) {
    assert!(ldc >= n || m == 1, "rows of C overlap");
    assert!(holds(c, m, n, ldc, 1), "C is too small");
    match a {
        Left::Matrix(a) => assert!(holds(a.data.len(), m, k, a.row_stride, a.col_stride), "A is too small"),
        Left::Packed(a) => assert!(a.fits(cpu, m, k), "A was packed for something else"),
    }
    match b {
        Right::Packed(b) => assert!(b.fits(cpu, k, n), "B was packed for something else"),
        Right::Rows { data, row_stride } => assert!(holds(data.len(), k, n, *row_stride, 1), "B is too small"),
    }
    match epilogue.bias {
        Bias::None => {}
        Bias::PerColumn(bias) => assert!(bias.len() >= n, "a bias per column is too short"),
        Bias::PerRow(bias) => assert!(bias.len() >= m, "a bias per row is too short"),
    }
    if let Some(residual) = epilogue.residual {
        assert!(holds(residual.len(), m, n, ldc, 1), "the residual is too small");
    }
}

/// Whether a slice of `len` numbers has all elements of a matrix.
pub(crate) fn holds(len: usize, rows: usize, columns: usize, row_stride: usize, col_stride: usize) -> bool {
    if rows == 0 || columns == 0 {
        return true;
    }
    let row = (rows - 1).checked_mul(row_stride);
    let column = (columns - 1).checked_mul(col_stride);
    row.zip(column).and_then(|(row, column)| row.checked_add(column)).is_some_and(|last| last < len)
}

#[cfg(test)]
pub(crate) mod tests;
