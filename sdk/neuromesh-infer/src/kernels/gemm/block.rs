//! The order of the blocks: what stays in which cache, and who computes what.

use super::pack::{RowTiles, pack_panel, pack_rows, tile};
use super::storage::SyncPointer;
use super::tile::{Finish, Simple, Tiles};
use super::{Activation, Bias, Epilogue, Left, MatrixRef, Right};
use crate::kernels::cpu::Cpu;
use crate::kernels::simd;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A panel of B over one stretch of k: what the first cache holds while the tiles of A pass by.
const PANEL: usize = 8192;
/// The tiles of A over one stretch of k: what the second cache holds while the panels of B pass by.
const ROWS: usize = 32 * 1024;
/// Multiplications that are worth a thread's while.
const WORTH: usize = 64 * 1024;

/// How a product is cut.
pub(super) struct Plan {
    width: usize,
    rows: RowTiles,
    panels: usize,
    /// The stretches of k, and the length of all but the last.
    steps: usize,
    stretch: usize,
    /// Tiles at a time.
    tiles_at_once: usize,
    /// The grid of independent blocks.
    row_blocks: usize,
    column_blocks: usize,
    slots: usize,
    /// Scratch of a slot.
    a_len: usize,
    b_len: usize,
    /// A is read where it lies.
    plain: bool,
}

impl Plan {
    pub fn new(cpu: &Cpu, m: usize, n: usize, k: usize, a: &Left, b: &Right) -> Self {
        let (tile, lanes) = tile(cpu);
        let width = tile.registers * lanes;
        let rows = RowTiles::new(m, tile.rows);
        let panels = n.div_ceil(width);

        let longest = match b {
            Right::Packed(_) if rows.count == 1 => k,
            _ => (PANEL / width).min(512),
        };
        let steps = k.div_ceil(longest.max(1)).max(1);
        let stretch = k.div_ceil(steps);
        let tiles_at_once = (ROWS / (stretch * tile.rows).max(1)).max(1).min(rows.count);

        let plain = matches!(a, Left::Matrix(a) if m == 1 && a.col_stride == 1);
        let a_len = match a {
            Left::Matrix(_) if !plain => tiles_at_once.saturating_mul(tile.rows).saturating_mul(stretch),
            _ => 0,
        };
        let b_len = match b {
            Right::Packed(_) => 0,
            Right::Rows { .. } => width.saturating_mul(stretch),
        };

        let threads = cpu.threads.count();
        let work = m.saturating_mul(n).saturating_mul(k) / WORTH;
        let wanted = if threads == 1 { 1 } else { work.clamp(1, 4 * threads) };
        let split = |first: usize, other: usize, at_once: usize| {
            let first = first.min(at_once);
            (first, other.min(if first < threads { wanted.div_ceil(first) } else { 1 }))
        };
        // Each block of columns packs its own A.
        let (row_blocks, column_blocks) = if n > m {
            let (columns, rows) = split(panels, rows.count, wanted.min(threads.max(n / 512)));
            (rows, columns)
        } else {
            split(rows.count, panels, wanted)
        };
        let slots = threads.min(row_blocks * column_blocks).max(1);
        Plan {
            width,
            rows,
            panels,
            steps,
            stretch,
            tiles_at_once,
            row_blocks,
            column_blocks,
            slots,
            a_len: a_len.next_multiple_of(LINE),
            b_len: b_len.next_multiple_of(LINE),
            plain,
        }
    }

    /// How many numbers of scratch it takes, one cache line of them to begin at one.
    pub fn scratch(&self) -> usize {
        match (self.a_len.saturating_add(self.b_len)).saturating_mul(self.slots) {
            0 => 0,
            len => len.saturating_add(LINE),
        }
    }
}

/// The numbers of a cache line.
const LINE: usize = 16;

/// One product.
pub(super) struct Job<'a> {
    pub cpu: &'a Cpu,
    pub n: usize,
    pub k: usize,
    pub a: Left<'a>,
    pub b: Right<'a>,
    pub c: SyncPointer<f32>,
    pub ldc: usize,
    pub epilogue: &'a Epilogue<'a>,
    pub plan: Plan,
}

impl Job<'_> {
    pub fn run(&self, scratch: &mut [f32]) {
        let plan = &self.plan;
        let start = if plan.scratch() == 0 { 0 } else { scratch.as_ptr().align_offset(4 * LINE).min(LINE) };
        let scratch = SyncPointer::new(&mut scratch[start..]);
        let blocks = plan.row_blocks * plan.column_blocks;
        let next = AtomicUsize::new(0);
        self.cpu.threads.run(plan.slots, &|slot| {
            let len = plan.a_len + plan.b_len;
            // SAFETY: each slot has its own part, and the scratch outlives the loop.
            let (a, b) = unsafe { scratch.part(slot * len, len) }.split_at_mut(plan.a_len);
            loop {
                let block = next.fetch_add(1, Ordering::Relaxed);
                if block >= blocks {
                    break;
                }
                let (row, column) = (block / plan.column_blocks, block % plan.column_blocks);
                let tiles = share(plan.rows.count, row, plan.row_blocks);
                let panels = share(plan.panels, column, plan.column_blocks);
                self.block(tiles, panels, a, b);
            }
        });
    }

    /// The part of C where these tiles and panels meet; nobody else touches it.
    fn block(&self, tiles: Range<usize>, panels: Range<usize>, a: &mut [f32], b: &mut [f32]) {
        for step in 0..self.plan.steps {
            let stretch = step * self.plan.stretch..self.k.min((step + 1) * self.plan.stretch);
            self.make_tail(&stretch, &panels, b);
            for tiles in chunks(tiles.clone(), self.plan.tiles_at_once) {
                self.make_rows(&stretch, &tiles, a);
                self.multiply(step, stretch.clone(), tiles, panels.clone(), a, b);
            }
        }
    }

    /// The last panel, where B's rows end within it: they cannot be read beyond their end.
    fn make_tail(&self, stretch: &Range<usize>, panels: &Range<usize>, to: &mut [f32]) {
        let (width, n) = (self.plan.width, self.n);
        let Right::Rows { data, row_stride } = self.b else { return };
        if panels.end * width > n {
            let rows = MatrixRef { data, row_stride, col_stride: 1 };
            let first = (panels.end - 1) * width;
            pack_panel(rows, stretch.clone(), first..n, width, &mut to[..stretch.len() * width]);
        }
    }

    fn make_rows(&self, stretch: &Range<usize>, tiles: &Range<usize>, to: &mut [f32]) {
        let (Left::Matrix(a), false) = (self.a, self.plan.plain) else { return };
        let rows = &self.plan.rows;
        let first = rows.start(tiles.start);
        for tile in tiles.clone() {
            let (start, end) = (rows.start(tile), rows.start(tile + 1));
            let place = (start - first) * stretch.len()..(end - first) * stretch.len();
            pack_rows(a, start..end, stretch.clone(), &mut to[place]);
        }
    }

    fn multiply(
        &self,
        step: usize,
        stretch: Range<usize>,
        tiles: Range<usize>,
        panels: Range<usize>,
        a: &[f32],
        b: &[f32],
    ) {
        let plan = &self.plan;
        let (width, first_row) = (plan.width, plan.rows.start(tiles.start));
        let (a, a_row, a_first, a_skip) = match self.a {
            Left::Matrix(matrix) if plan.plain => (matrix.data.as_ptr(), 0, 0, stretch.start),
            Left::Matrix(_) => (a.as_ptr(), stretch.len(), first_row, 0),
            Left::Packed(packed) => (packed.data().as_ptr(), self.k, 0, stretch.start),
        };
        let (b, panel_step, b_step, tail) = match self.b {
            Right::Packed(packed) => {
                let offset = panels.start * self.k * width + stretch.start * width;
                (packed.data.as_ptr().wrapping_add(offset), self.k * width, width, None)
            }
            Right::Rows { data, row_stride } => {
                let offset = stretch.start * row_stride + panels.start * width;
                (data.as_ptr().wrapping_add(offset), width, row_stride, Some(b.as_ptr()))
            }
        };
        let last = step + 1 == plan.steps;
        let rows = first_row..plan.rows.start(tiles.end);
        let columns = panels.start * width..self.n.min(panels.end * width);
        simd::run(
            self.cpu,
            Tiles {
                k: stretch.len(),
                rows: &plan.rows,
                tiles,
                a,
                a_row,
                a_first,
                a_skip,
                panels,
                b,
                panel_step,
                b_step,
                tail,
                n: self.n,
                c: self.c.at(0),
                ldc: self.ldc,
                resume: step > 0,
                finish: if last { finish(self.epilogue, self.ldc) } else { None },
            },
        );
        if let (true, Activation::Custom(activate)) = (last, self.epilogue.activation) {
            for row in rows {
                // SAFETY: within the block, which is this thread's own, and C outlives the product.
                activate(self.cpu, unsafe { self.c.part(row * self.ldc + columns.start, columns.len()) });
            }
        }
    }
}

/// What the tiles do themselves; none where there is nothing to do.
pub(crate) fn finish(epilogue: &Epilogue, ldc: usize) -> Option<Finish> {
    let activation = match epilogue.activation {
        Activation::None | Activation::Custom(_) => Simple::None,
        Activation::Relu => Simple::Least(0.0),
        Activation::Clip { min, max } => Simple::Clip(min, max),
        Activation::LeakyRelu(alpha) => Simple::Leaky(alpha),
    };
    let null = std::ptr::null();
    let (row_bias, column_bias) = match epilogue.bias {
        Bias::None => (null, null),
        Bias::PerRow(bias) => (bias.as_ptr(), null),
        Bias::PerColumn(bias) => (null, bias.as_ptr()),
    };
    let residual = epilogue.residual.map_or(null, <[f32]>::as_ptr);
    let idle = epilogue.alpha.is_none()
        && row_bias.is_null()
        && column_bias.is_null()
        && residual.is_null()
        && matches!(activation, Simple::None);
    (!idle).then_some(Finish { alpha: epilogue.alpha, row_bias, column_bias, residual, residual_step: ldc, activation })
}

/// Part `index` of `parts` of `0..count`.
fn share(count: usize, index: usize, parts: usize) -> Range<usize> {
    count * index / parts..count * (index + 1) / parts
}

fn chunks(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(size).map(move |start| start..range.end.min(start + size))
}
