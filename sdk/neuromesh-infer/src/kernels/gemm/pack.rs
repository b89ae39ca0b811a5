//! The layouts that a tile reads: panels of columns of B, panels of rows of A.

use super::storage::{Storage, SyncPointer};
use super::{MatrixRef, holds};
use crate::kernels::cpu::Cpu;
use crate::kernels::simd::{self, Kernel, Tile, Vector};
use std::ops::Range;

/// How many columns a panel of B has with this instruction set.
pub fn panel_width(cpu: &Cpu) -> usize {
    let (tile, lanes) = tile(cpu);
    tile.registers * lanes
}

/// Whether what was packed for one can be used with the other.
pub fn same_layout(cpu: &Cpu, other: &Cpu) -> bool {
    tile(cpu) == tile(other)
}

/// The tile and the lanes of a register.
pub(super) fn tile(cpu: &Cpu) -> (Tile, usize) {
    struct Ask;
    impl Kernel for Ask {
        type Output = (Tile, usize);
        #[inline(always)]
        fn run<V: Vector>(self) -> Self::Output {
            (V::TILE, V::LANES)
        }
    }
    simd::run(cpu, Ask)
}

/// A constant right-hand matrix [k,n]: panels of [`panel_width`] columns, each with its rows one after another; the last is
/// filled up with zeros.
#[derive(Clone)]
pub struct PackedB {
    storage: Storage,
    k: usize,
    n: usize,
    width: usize,
}

impl PackedB {
    /// What [`gemm`](super::gemm) takes.
    pub fn view(&self) -> PackedRef<'_> {
        PackedRef { data: self.storage.floats(), k: self.k, n: self.n, width: self.width }
    }

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
        self.storage.bytes()
    }
}

/// Panels of a right-hand matrix, wherever they lie.
#[derive(Clone, Copy)]
pub struct PackedRef<'a> {
    pub(super) data: &'a [f32],
    k: usize,
    n: usize,
    width: usize,
}

impl PackedRef<'_> {
    /// The shape of panels that are yet to be made.
    pub(super) fn for_size(cpu: &Cpu, k: usize, n: usize) -> Self {
        PackedRef { data: &[], k, n, width: panel_width(cpu) }
    }

    pub(super) fn fits(&self, cpu: &Cpu, k: usize, n: usize) -> bool {
        (self.k, self.n, self.width) == (k, n, panel_width(cpu)) && self.data.len() >= packed_len(cpu, k, n)
    }
}

/// How many numbers the panels of [k,n] take. Saturates, so that a size that cannot be fails where memory is asked for.
pub fn packed_len(cpu: &Cpu, k: usize, n: usize) -> usize {
    let width = panel_width(cpu);
    n.div_ceil(width).saturating_mul(width).saturating_mul(k)
}

/// Packs a constant matrix whose element `[i, j]` lies at `i * row_stride + j * col_stride`.
///
/// # Panics
/// When `b` is too short.
pub fn pack_b(cpu: &Cpu, b: &[f32], k: usize, n: usize, row_stride: usize, col_stride: usize) -> PackedB {
    let mut storage = Storage::new(packed_len(cpu, k, n).saturating_mul(4));
    pack_b_into(cpu, b, k, n, row_stride, col_stride, storage.floats_mut());
    PackedB { storage, k, n, width: panel_width(cpu) }
}

/// As [`pack_b`], into the first [`packed_len`] numbers of `panels`.
///
/// # Panics
/// When `b` or `panels` is too short.
pub fn pack_b_into<'a>(
    cpu: &Cpu,
    b: &[f32],
    k: usize,
    n: usize,
    row_stride: usize,
    col_stride: usize,
    panels: &'a mut [f32],
) -> PackedRef<'a> {
    assert!(holds(b.len(), k, n, row_stride, col_stride), "the matrix to pack is too small");
    assert!(panels.len() >= packed_len(cpu, k, n), "the panels do not fit");
    let width = panel_width(cpu);
    if k > 0 {
        let count = n.div_ceil(width);
        // Not worth a thread's while below some tens of microseconds.
        let tasks = (k * n / 32_768).clamp(1, cpu.threads.count()).min(count.max(1));
        let shared = SyncPointer::new(&mut *panels);
        let matrix = MatrixRef { data: b, row_stride, col_stride };
        cpu.threads.run(tasks, &|task| {
            for index in count * task / tasks..count * (task + 1) / tasks {
                // SAFETY: each panel belongs to one task, and `panels` outlives the loop.
                let panel = unsafe { shared.part(index * k * width, k * width) };
                let first = index * width;
                pack_panel(matrix, 0..k, first..n.min(first + width), width, panel);
            }
        });
    }
    PackedRef { data: panels, k, n, width }
}

/// Writes rows `rows` and columns `columns` of a matrix as one panel.
pub(super) fn pack_panel(b: MatrixRef, rows: Range<usize>, columns: Range<usize>, width: usize, panel: &mut [f32]) {
    let used = columns.len();
    for (row, to) in rows.zip(panel.chunks_exact_mut(width)) {
        let start = row * b.row_stride + columns.start * b.col_stride;
        if b.col_stride == 1 {
            to[..used].copy_from_slice(&b.data[start..start + used]);
        } else {
            to[..used].iter_mut().zip(b.data[start..].iter().step_by(b.col_stride.max(1))).for_each(|(to, x)| *to = *x);
            if b.col_stride == 0 {
                to[..used].fill(b.data[start]);
            }
        }
        to[used..].fill(0.0);
    }
}

/// How the rows of A are cut into tiles: as evenly as can be, so that the last is not a thin one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowTiles {
    pub m: usize,
    pub count: usize,
}

impl RowTiles {
    pub fn new(m: usize, rows: usize) -> Self {
        RowTiles { m, count: m.div_ceil(rows) }
    }

    /// The first row of a tile; of the one after the last, `m`.
    pub fn start(&self, tile: usize) -> usize {
        // The first `m % count` tiles have one row more than the others.
        tile * (self.m / self.count) + tile.min(self.m % self.count)
    }
}

/// A constant left-hand matrix [m,k]: tiles of rows, each with its columns one after another.
#[derive(Clone)]
pub struct PackedA {
    storage: Storage,
    m: usize,
    k: usize,
    rows: usize,
}

impl PackedA {
    pub(crate) fn data(&self) -> &[f32] {
        self.storage.floats()
    }

    /// The memory it holds.
    pub fn bytes(&self) -> usize {
        self.storage.bytes()
    }

    pub(crate) fn fits(&self, cpu: &Cpu, m: usize, k: usize) -> bool {
        (self.m, self.k, self.rows) == (m, k, tile(cpu).0.rows)
    }
}

/// Packs a constant left-hand matrix.
///
/// # Panics
/// When `a` is too short.
pub fn pack_a(cpu: &Cpu, a: MatrixRef, m: usize, k: usize) -> PackedA {
    assert!(holds(a.data.len(), m, k, a.row_stride, a.col_stride), "the matrix to pack is too small");
    let rows = tile(cpu).0.rows;
    let mut storage = Storage::new(m.saturating_mul(k).saturating_mul(4));
    let tiles = RowTiles::new(m, rows);
    for tile in 0..tiles.count {
        let (start, end) = (tiles.start(tile), tiles.start(tile + 1));
        pack_rows(a, start..end, 0..k, &mut storage.floats_mut()[start * k..end * k]);
    }
    PackedA { storage, m, k, rows }
}

/// Writes a tile of rows: for each of `columns` the numbers of all `rows`.
pub(super) fn pack_rows(a: MatrixRef, rows: Range<usize>, columns: Range<usize>, to: &mut [f32]) {
    let count = rows.len();
    if columns.is_empty() {
        return;
    }
    for (i, row) in rows.enumerate() {
        let from = &a.data[row * a.row_stride + columns.start * a.col_stride..];
        let to = to[i..].iter_mut().step_by(count);
        if a.col_stride == 1 {
            to.zip(&from[..columns.len()]).for_each(|(to, x)| *to = *x);
        } else {
            to.take(columns.len()).enumerate().for_each(|(j, to)| *to = from[j * a.col_stride]);
        }
    }
}
