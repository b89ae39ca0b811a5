//! The layouts that a tile reads: groups of 2 or 4 consecutive elements of a sum, side by side.

use super::tile::Shape;
use super::{Bytes, Int8Ref, ZeroPoint};
use crate::kernels::cpu::{Cpu, dispatch};
use crate::kernels::gemm::{RowTiles, Storage, holds};
use std::ops::Range;

impl Bytes<'_> {
    /// The zero point once all bytes are 0 to 255.
    pub(super) fn unsigned_zero(&self, zero: i32) -> i32 {
        match self {
            Bytes::Signed(_) => zero + 128,
            Bytes::Unsigned(_) => zero,
        }
    }
}

/// A constant right-hand matrix [k,n] of bytes: panels of columns, each with its groups of rows one after another; groups and
/// panels are filled up with zeros.
#[derive(Clone)]
pub struct PackedInt8 {
    storage: Storage,
    shape: Shape,
    k: usize,
    n: usize,
    sums: Vec<i32>,
    zeros: Vec<i32>,
    has_zeros: bool,
}

impl PackedInt8 {
    /// The rows.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The columns.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The memory it holds.
    pub fn bytes(&self) -> usize {
        self.storage.bytes() + 4 * (self.sums.len() + self.zeros.len())
    }

    pub(super) fn bytes_of_panels(&self) -> &[i8] {
        self.storage.signed()
    }

    /// The sum of each column, as signed bytes.
    pub(super) fn sums(&self) -> &[i32] {
        &self.sums
    }

    /// The zero point of each column, as signed bytes have it.
    pub(super) fn zeros(&self) -> &[i32] {
        &self.zeros
    }

    /// Whether one of them is not 0.
    pub(super) fn has_zeros(&self) -> bool {
        self.has_zeros
    }

    pub(super) fn fits(&self, shape: Shape, k: usize, n: usize) -> bool {
        (self.shape, self.k, self.n) == (shape, k, n)
    }
}

/// Packs a constant matrix whose element `[i, j]` lies at `i * row_stride + j * col_stride`.
///
/// # Panics
/// When `b` or its zero points are too few.
pub fn pack_int8(
    cpu: &Cpu,
    b: Bytes,
    k: usize,
    n: usize,
    row_stride: usize,
    col_stride: usize,
    zero: ZeroPoint,
) -> PackedInt8 {
    assert!(holds(b.len(), k, n, row_stride, col_stride), "the matrix to pack is too small");
    let shape = Shape::of(cpu);
    let panel = k.next_multiple_of(shape.group).saturating_mul(shape.width);
    let mut storage = Storage::new(n.div_ceil(shape.width).saturating_mul(panel));
    let mut sums = vec![0i32; n];
    for (j, sum) in sums.iter_mut().enumerate() {
        let column = (j / shape.width) * panel + (j % shape.width) * shape.group;
        for i in 0..k {
            let at = i * row_stride + j * col_stride;
            let x = match b {
                Bytes::Signed(x) => x[at],
                Bytes::Unsigned(x) => (x[at] ^ 0x80) as i8,
            };
            *sum = sum.wrapping_add(i32::from(x));
            let place = column + (i / shape.group) * shape.width * shape.group + i % shape.group;
            storage.signed_mut()[place] = x;
        }
    }
    let shift = if matches!(b, Bytes::Unsigned(_)) { 128 } else { 0 };
    let zeros = match zero {
        ZeroPoint::One(zero) => vec![zero - shift; n],
        ZeroPoint::PerColumn(zeros) => zeros[..n].iter().map(|zero| zero - shift).collect(),
    };
    let has_zeros = zeros.iter().any(|zero| *zero != 0);
    PackedInt8 { storage, shape, k, n, sums, zeros, has_zeros }
}

/// Packs tiles of rows one after another, for each group of columns a unit of each row, and sums the rows.
#[allow(clippy::too_many_arguments)]
pub(super) fn pack_rows(
    cpu: &Cpu,
    a: &Int8Ref,
    k: usize,
    group: usize,
    tiles: &RowTiles,
    range: Range<usize>,
    to: &mut [i32],
    sums: &mut [i32],
) {
    let units = k.div_ceil(group);
    let first = tiles.start(range.start);
    for tile in range {
        let (start, end) = (tiles.start(tile), tiles.start(tile + 1));
        for row in start..end {
            let place = (start - first) * units..(end - first) * units;
            let to = to[place].get_mut(row - start..).unwrap_or_default();
            let at = row * a.row_stride;
            sums[row - first] = match (a.data, group) {
                (Bytes::Unsigned(x), 4) => quads(cpu, &x[at..at + k], 0, to, end - start),
                (Bytes::Unsigned(x), _) => pairs(cpu, &x[at..at + k], 0, to, end - start),
                (Bytes::Signed(x), 4) => quads(cpu, as_unsigned(&x[at..at + k]), 0x8080_8080, to, end - start),
                (Bytes::Signed(x), _) => pairs(cpu, as_unsigned(&x[at..at + k]), 0x80, to, end - start),
            };
        }
    }
}

fn as_unsigned(x: &[i8]) -> &[u8] {
    // SAFETY: bytes are bytes.
    unsafe { std::slice::from_raw_parts(x.as_ptr().cast(), x.len()) }
}

dispatch! {
    /// Units of four bytes, `step` apart; returns the sum of the bytes.
    fn quads(cpu: &Cpu, row: &[u8], flip: u32, to: &mut [i32], step: usize) -> i32 {
        let (whole, rest) = row.as_chunks::<4>();
        let mut sum = 0i32;
        for (to, x) in to.iter_mut().step_by(step).zip(whole) {
            let unit = u32::from_le_bytes(*x) ^ flip;
            *to = unit as i32;
            sum = sum.wrapping_add(unit.to_le_bytes().iter().map(|x| i32::from(*x)).sum());
        }
        if !rest.is_empty() {
            let mut last = [0; 4];
            last.iter_mut().zip(rest).for_each(|(to, x)| *to = *x ^ flip as u8);
            to[whole.len() * step] = i32::from_le_bytes(last);
            sum = sum.wrapping_add(last.iter().map(|x| i32::from(*x)).sum());
        }
        sum
    }

    /// Units of two bytes, each as 16 bits, `step` apart; returns the sum of the bytes.
    fn pairs(cpu: &Cpu, row: &[u8], flip: u8, to: &mut [i32], step: usize) -> i32 {
        let (whole, rest) = row.as_chunks::<2>();
        let mut sum = 0i32;
        for (to, x) in to.iter_mut().step_by(step).zip(whole) {
            let (low, high) = (i32::from(x[0] ^ flip), i32::from(x[1] ^ flip));
            *to = low | high << 16;
            sum = sum.wrapping_add(low + high);
        }
        if let [x] = rest {
            let low = i32::from(*x ^ flip);
            to[whole.len() * step] = low;
            sum = sum.wrapping_add(low);
        }
        sum
    }
}
