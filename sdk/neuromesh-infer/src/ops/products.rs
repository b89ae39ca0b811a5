//! Matrix products for the operators that are made of them.

use crate::{
    Fault,
    kernels::{
        cpu::Cpu,
        gemm::{self, Epilogue, Left, MatrixRef, PackedB, Right},
    },
    memory::Memory,
    shape::{self, Shape, broadcast_strides},
};

/// Rows of the result up to which B is read where it lies: packing it would cost more than it saves.
const FEW_ROWS: usize = 4;

/// A matrix in a slice: element `[i, j]` lies at `i * row + j * column`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub data: &'a [f32],
    pub row: usize,
    pub column: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` elements each, one behind the other.
    pub fn rows(data: &'a [f32], columns: usize) -> Self {
        Self { data, row: columns, column: 1 }
    }

    /// The same elements with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }
}

/// A right-hand matrix.
#[derive(Clone, Copy)]
pub(crate) enum Weight<'a> {
    Matrix(Matrix<'a>),
    /// Packed at load.
    Packed(&'a PackedB),
}

/// `out[m, n] = a[m, k] · b[k, n]`. Each sum starts at zero and takes its products in the order of k, each rounded on its own.
pub(crate) fn matmul(
    cpu: &Cpu,
    memory: &Memory,
    sizes: [usize; 3],
    a: Matrix<'_>,
    b: Matrix<'_>,
    out: &mut [f32],
) -> Result<(), Fault> {
    product(cpu, memory, sizes, a, Weight::Matrix(b), &Epilogue::default(), out)
}

/// The same, with what follows each sum.
pub(crate) fn product(
    cpu: &Cpu,
    memory: &Memory,
    [m, n, k]: [usize; 3],
    a: Matrix<'_>,
    b: Weight<'_>,
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
) -> Result<(), Fault> {
    if m == 0 || n == 0 {
        return Ok(());
    }
    let scratch = |numbers: usize| memory.buffer(numbers.saturating_mul(4));
    let mut panels;
    let right = match b {
        Weight::Packed(packed) => Right::Packed(packed.view()),
        Weight::Matrix(b) if m <= FEW_ROWS && b.column == 1 => Right::Rows { data: b.data, row_stride: b.row },
        Weight::Matrix(b) => {
            panels = scratch(gemm::packed_len(cpu, k, n))?;
            Right::Packed(gemm::pack_b_into(cpu, b.data, k, n, b.row, b.column, panels.slice_mut()))
        }
    };
    let left = Left::Matrix(MatrixRef { data: a.data, row_stride: a.row, col_stride: a.column });
    let mut scratch = scratch(gemm::gemm_scratch(cpu, m, n, k, &left, &right))?;
    gemm::gemm_with(cpu, m, n, k, left, right, out, n, epilogue, scratch.slice_mut());
    Ok(())
}

/// `out[m, n] = a[m, k] · b[k, n]` in 32 bits, wrapping; all of them row by row.
pub(crate) fn integers([m, n, k]: [usize; 3], a: &[i32], b: &[i32], out: &mut [i32]) {
    out.fill(0);
    if n == 0 || k == 0 {
        return;
    }
    for (out, a) in out.chunks_exact_mut(n).zip(a.chunks_exact(k)).take(m) {
        for (&factor, b) in a.iter().zip(b.chunks_exact(n)) {
            out.iter_mut().zip(b).for_each(|(sum, &b)| *sum = sum.wrapping_add(factor.wrapping_mul(b)));
        }
    }
}

/// Many products at once, by numpy's rules: the leading dimensions broadcast, a vector is a matrix of one row or column.
pub(crate) struct Batches {
    /// The leading dimensions.
    pub outer: Shape,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// The operands' shapes as matrices.
    pub a: Shape,
    pub b: Shape,
    /// The result's shape, without the dimensions that vectors lack.
    pub target: Shape,
}

impl Batches {
    pub fn new(a: &[usize], b: &[usize]) -> Result<Self, Fault> {
        let refuse = || Fault::Shape(format!("the shapes {a:?} and {b:?} do not multiply"));
        if a.is_empty() || b.is_empty() {
            return Err(refuse());
        }
        let (mut left, mut right) = (Shape::from_slice(a), Shape::from_slice(b));
        if a.len() == 1 {
            left.insert(0, 1);
        }
        if b.len() == 1 {
            right.push(1);
        }
        let ([a_outer @ .., m, k], [b_outer @ .., rows, n]) = (&left[..], &right[..]) else {
            return Err(refuse());
        };
        if k != rows {
            return Err(refuse());
        }
        let (m, n, k) = (*m, *n, *k);
        let outer = shape::broadcast(a_outer, b_outer)?;
        let mut target = outer.clone();
        if a.len() > 1 {
            target.push(m);
        }
        if b.len() > 1 {
            target.push(n);
        }
        shape::checked(&target)?;
        Ok(Self { outer, m, n, k, a: left, b: right, target })
    }

    /// The result's shape as matrices.
    pub fn full(&self) -> Shape {
        let mut full = self.outer.clone();
        full.extend([self.m, self.n]);
        full
    }

    /// For each product in turn: which matrix of `a`, and which of `b`.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let strides = |of: &Shape| -> Shape { broadcast_strides(&of[..of.len() - 2], &self.outer) };
        let (a, b) = (strides(&self.a), strides(&self.b));
        let count: usize = self.outer.iter().product();
        (0..count).map(move |at| {
            let mut rest = at;
            let (mut from_a, mut from_b) = (0, 0);
            for axis in (0..self.outer.len()).rev() {
                let index = rest % self.outer[axis];
                rest /= self.outer[axis];
                from_a += index * a[axis];
                from_b += index * b[axis];
            }
            (from_a, from_b)
        })
    }
}
