//! Matrix products of 8-bit integers.
//!
//! ```text
//! C[m,n] = (A[m,k] - a_zero) · (B[k,n] - b_zero[n])        i32, wrapping: exact in any order
//! ```
//!
//! The products are taken of A as 0 to 255 and of B as -128 to 127 (a signed A and an unsigned B are moved there, with their
//! zero points); what the zero points add is a matter of the sums of A's rows and B's columns, and is put right at the end.
//! No instruction used here saturates.
#![allow(unsafe_code)]

mod finish;
mod pack;
mod quantize;
mod tile;

pub use pack::{PackedInt8, pack_int8};
pub use quantize::{quantize, quantized, range, rounded};

use super::cpu::Cpu;
use super::gemm::{Activation, RowTiles, SyncPointer, holds};
use super::simd;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes with or without a sign.
#[derive(Clone, Copy, Debug)]
pub enum Bytes<'a> {
    /// -128 to 127.
    Signed(&'a [i8]),
    /// 0 to 255.
    Unsigned(&'a [u8]),
}

impl Bytes<'_> {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Bytes::Signed(x) => x.len(),
            Bytes::Unsigned(x) => x.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The byte that stands for 0.
#[derive(Clone, Copy, Debug)]
pub enum ZeroPoint<'a> {
    /// The same for all.
    One(i32),
    /// One for each column.
    PerColumn(&'a [i32]),
}

/// A left operand: rows of consecutive bytes.
#[derive(Clone, Copy, Debug)]
pub struct Int8Ref<'a> {
    /// From element `[0, 0]` on.
    pub data: Bytes<'a>,
    /// From a row to the next.
    pub row_stride: usize,
    /// The byte that stands for 0.
    pub zero: i32,
}

/// A scale for each row of A or column of B, or one for all.
#[derive(Clone, Copy, Debug)]
pub enum Scale<'a> {
    /// One for all.
    One(f32),
    /// One for each row of A, or for each column of B.
    Each(&'a [f32]),
}

/// From sums to numbers: `x = sum as f32`, `s = a_scale * b_scale`, `x * s`, `+ bias`, `activation`, each rounded on its own.
#[derive(Clone, Copy)]
pub struct Dequantize<'a> {
    /// Of the rows of A.
    pub a_scale: Scale<'a>,
    /// Of the columns of B.
    pub b_scale: Scale<'a>,
    /// `n` numbers, one for each column.
    pub bias: Option<&'a [f32]>,
    /// What is done last.
    pub activation: Activation,
}

/// How many numbers of scratch the products need.
pub fn gemm_int8_scratch(cpu: &Cpu, m: usize, n: usize, k: usize) -> usize {
    Plan::new(cpu, m, n, k).scratch()
}

/// The product as integers.
///
/// # Panics
/// When a slice is too short for the sizes, or `b` was packed for other sizes or another instruction set.
#[allow(clippy::too_many_arguments)]
pub fn gemm_int8(
    cpu: &Cpu,
    m: usize,
    n: usize,
    k: usize,
    a: Int8Ref,
    b: &PackedInt8,
    c: &mut [i32],
    ldc: usize,
    scratch: &mut [i32],
) {
    if m > 0 && n > 0 {
        let c = SyncPointer::new(c);
        Job { cpu, n, k, a, b, c, ldc, dequantize: None, plan: Plan::new(cpu, m, n, k) }.run(m, scratch);
    }
}

/// The product as numbers.
///
/// # Panics
/// As [`gemm_int8`], and when a scale or the bias is too short.
#[allow(clippy::too_many_arguments)]
pub fn gemm_int8_dequantized(
    cpu: &Cpu,
    m: usize,
    n: usize,
    k: usize,
    a: Int8Ref,
    b: &PackedInt8,
    c: &mut [f32],
    ldc: usize,
    dequantize: &Dequantize,
    scratch: &mut [i32],
) {
    let reaches = |scale: &Scale, count: usize| !matches!(scale, Scale::Each(each) if each.len() < count);
    assert!(reaches(&dequantize.a_scale, m) && reaches(&dequantize.b_scale, n), "a scale is too short");
    assert!(dequantize.bias.is_none_or(|bias| bias.len() >= n), "the bias is too short");
    if m > 0 && n > 0 {
        // The sums lie where the numbers will: both have four bytes, and every pattern is one of either.
        let c = SyncPointer::new(c).cast_bits();
        let dequantize = Some(dequantize);
        Job { cpu, n, k, a, b, c, ldc, dequantize, plan: Plan::new(cpu, m, n, k) }.run(m, scratch);
    }
}

/// Multiplications that are worth a thread's while.
const WORTH: usize = 256 * 1024;
/// The units of the tiles of A that the second cache holds while the panels of B pass by.
const UNITS: usize = 32 * 1024;

/// How a product is cut.
struct Plan {
    shape: tile::Shape,
    rows: RowTiles,
    panels: usize,
    units: usize,
    tiles_at_once: usize,
    row_blocks: usize,
    column_blocks: usize,
    slots: usize,
}

impl Plan {
    fn new(cpu: &Cpu, m: usize, n: usize, k: usize) -> Self {
        let shape = tile::Shape::of(cpu);
        let rows = RowTiles::new(m, shape.rows);
        let panels = n.div_ceil(shape.width);
        let units = k.div_ceil(shape.group);
        let tiles_at_once = (UNITS / (units * shape.rows).max(1)).clamp(1, rows.count.max(1));
        let threads = cpu.threads.count();
        let work = m.saturating_mul(n).saturating_mul(k) / WORTH;
        let wanted = if threads == 1 { 1 } else { work.clamp(1, 4 * threads) };
        let column_blocks = if n > m { panels.min(wanted.min(threads.max(n / 512))) } else { 1 };
        let row_blocks =
            if column_blocks < threads { rows.count.min(wanted.div_ceil(column_blocks.max(1))) } else { 1 };
        let slots = threads.min(row_blocks * column_blocks).max(1);
        Plan { shape, rows, panels, units, tiles_at_once, row_blocks, column_blocks, slots }
    }

    /// Of one slot: the units of the tiles, and the sum of each of their rows.
    fn slot_len(&self) -> usize {
        (self.tiles_at_once * self.shape.rows).saturating_mul(self.units.saturating_add(1))
    }

    fn scratch(&self) -> usize {
        self.slot_len().saturating_mul(self.slots)
    }
}

struct Job<'a> {
    cpu: &'a Cpu,
    n: usize,
    k: usize,
    a: Int8Ref<'a>,
    b: &'a PackedInt8,
    c: SyncPointer<i32>,
    ldc: usize,
    dequantize: Option<&'a Dequantize<'a>>,
    plan: Plan,
}

impl Job<'_> {
    fn run(&self, m: usize, scratch: &mut [i32]) {
        let plan = &self.plan;
        assert!(self.ldc >= self.n || m == 1, "rows of C overlap");
        assert!(holds(self.c.len(), m, self.n, self.ldc, 1), "C is too small");
        assert!(holds(self.a.data.len(), m, self.k, self.a.row_stride, 1), "A is too small");
        assert!(self.b.fits(plan.shape, self.k, self.n), "B was packed for something else");
        assert!(scratch.len() >= plan.scratch(), "the scratch of a matrix product is too small");
        let scratch = SyncPointer::new(scratch);
        let blocks = plan.row_blocks * plan.column_blocks;
        let next = AtomicUsize::new(0);
        self.cpu.threads.run(plan.slots, &|slot| {
            // SAFETY: each slot has its own part, and the scratch outlives the loop.
            let scratch = unsafe { scratch.part(slot * plan.slot_len(), plan.slot_len()) };
            loop {
                let block = next.fetch_add(1, Ordering::Relaxed);
                if block >= blocks {
                    break;
                }
                let (row, column) = (block / plan.column_blocks, block % plan.column_blocks);
                let share =
                    |count: usize, index: usize, parts: usize| count * index / parts..count * (index + 1) / parts;
                let tiles = share(plan.rows.count, row, plan.row_blocks);
                let panels = share(plan.panels, column, plan.column_blocks);
                let mut start = tiles.start;
                while start < tiles.end {
                    let end = tiles.end.min(start + plan.tiles_at_once);
                    self.block(start..end, panels.clone(), scratch);
                    start = end;
                }
            }
        });
    }

    /// The part of C where these tiles and panels meet; nobody else touches it.
    fn block(&self, tiles: Range<usize>, panels: Range<usize>, scratch: &mut [i32]) {
        let plan = &self.plan;
        let rows = plan.rows.start(tiles.start)..plan.rows.start(tiles.end);
        let (sums, a) = scratch.split_at_mut(plan.tiles_at_once * plan.shape.rows);
        pack::pack_rows(self.cpu, &self.a, self.k, plan.shape.group, &plan.rows, tiles.clone(), a, sums);
        simd::run_int(
            self.cpu,
            tile::Tiles {
                units: plan.units,
                rows: &plan.rows,
                tiles,
                a: a.as_ptr(),
                panels: panels.clone(),
                b: self.b.bytes_of_panels().as_ptr(),
                n: self.n,
                c: self.c.at(0),
                ldc: self.ldc,
            },
        );
        let columns = panels.start * plan.shape.width..self.n.min(panels.end * plan.shape.width);
        for (row, sum) in rows.zip(sums) {
            // SAFETY: within the block, which is this thread's own, and C outlives the product.
            let c = unsafe { self.c.part(row * self.ldc + columns.start, columns.len()) };
            let excess = finish::Excess::new(&self.a, self.b, self.k, *sum, columns.clone());
            match self.dequantize {
                None => finish::settle(self.cpu, c, &excess),
                Some(how) => finish::dequantize(self.cpu, c, &excess, how, row, columns.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
