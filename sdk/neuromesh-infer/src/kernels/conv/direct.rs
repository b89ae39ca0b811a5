//! Convolutions whose kernel or stride is larger than a pixel, as a product without patches.
//!
//! The input is copied with its padding, some rows at a time, each row and column sorted by the stride. The numbers that
//! neighbouring outputs take at a tap are then neighbours, from one row to the next too, and lie at a distance that depends on
//! the tap alone: a table of these distances takes the place of the right operand. What is summed up between the end of a row
//! and the beginning of the next is thrown away.
#![allow(clippy::needless_range_loop)]

use super::{Conv2d, ConvEpilogue};
use crate::kernels::cpu::{Cpu, dispatch};
use crate::kernels::gemm::{
    Activation, Bias, Epilogue, Finish, PackedA, RowTiles, SyncPointer, end, finish, panel_width,
};
use crate::kernels::simd::{self, Kernel, Vector};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Numbers of the copy, if one row does not take more: half of a second cache.
const BAND: usize = 128 * 1024;
/// Multiplications that are worth a thread's while.
const WORTH: usize = 64 * 1024;
/// The numbers of the largest tile.
const LARGEST: usize = 12 * 32;

/// How the copy lies: for each channel and each phase of rows and columns, lines of `pitch` numbers.
#[derive(Clone, Copy)]
struct Layout {
    channels: usize,
    phases: [usize; 2],
    /// Lines of a phase: one for each row of the output, and those below that the kernel reaches.
    lines: usize,
    pitch: usize,
    /// Rows of the output at a time, and how many times.
    rows: usize,
    bands: usize,
    slots: usize,
    /// The numbers of a slot, more than are read beyond the last included.
    len: usize,
}

impl Layout {
    fn new(cpu: &Cpu, conv: &Conv2d, out: [usize; 2]) -> Self {
        let below = |axis: usize| (conv.kernel[axis] - 1) * conv.dilations[axis] / conv.strides[axis];
        let phases = [0, 1].map(|axis| if conv.kernel[axis] == 1 { 1 } else { conv.strides[axis] });
        let channels = conv.inputs / conv.groups;
        let pitch = out[1] + below(1);
        let line = channels.saturating_mul(phases[0]).saturating_mul(phases[1]).saturating_mul(pitch).max(1);
        let fit = (BAND / line).saturating_sub(below(0)).max(1);
        let work = (conv.outputs / conv.groups * conv.taps()).saturating_mul(out[0]).saturating_mul(out[1]);
        let threads = (work / WORTH).clamp(1, cpu.threads.count());
        let share = out[0].div_ceil(threads).max(1);
        let bands = out[0].div_ceil(fit.min(share)).max(1);
        let rows = out[0].div_ceil(bands);
        let lines = rows + below(0);
        let len = line.saturating_mul(lines).saturating_add(2 * panel_width(cpu));
        Layout { channels, phases, lines, pitch, rows, bands, slots: bands.min(threads), len }
    }

    /// Where the numbers of a tap begin, one after another.
    fn distances(&self, conv: &Conv2d, to: &mut [u32]) {
        let mut to = to.iter_mut();
        // Along an axis: the phase, and how far on.
        let place = |axis: usize, tap: usize| {
            let (at, stride) = (tap * conv.dilations[axis], conv.strides[axis]);
            (at % stride, at / stride)
        };
        for channel in 0..self.channels {
            for row in 0..conv.kernel[0] {
                for column in 0..conv.kernel[1] {
                    let ((row, down), (column, on)) = (place(0, row), place(1, column));
                    let phase = channel * self.phases[0] * self.phases[1] + row * self.phases[1] + column;
                    let distance = (phase * self.lines + down) * self.pitch + on;
                    *to.next().expect("a place for each tap") = distance as u32;
                }
            }
        }
    }
}

pub(super) fn scratch(cpu: &Cpu, conv: &Conv2d, out: [usize; 2]) -> usize {
    let layout = Layout::new(cpu, conv, out);
    layout.len.saturating_mul(layout.slots).saturating_add(conv.taps())
}

/// Computes one group of one image.
#[allow(clippy::too_many_arguments)]
pub(super) fn run(
    cpu: &Cpu,
    conv: &Conv2d,
    weights: &PackedA,
    input: &[f32],
    size: [usize; 2],
    output: &mut [f32],
    out: [usize; 2],
    epilogue: &ConvEpilogue,
    scratch: &mut [f32],
) {
    let layout = Layout::new(cpu, conv, out);
    let (m, k) = (conv.outputs / conv.groups, conv.taps());
    assert!(weights.fits(cpu, m, k), "the weights were packed for something else");
    assert!(u32::try_from(layout.len).is_ok(), "an image that is too large");
    assert!(output.len() >= m * out[0] * out[1], "the output is too small");
    let (distances, scratch) = scratch.split_at_mut(k);
    let distances: &mut [u32] = bytemuck::cast_slice_mut(distances);
    layout.distances(conv, distances);
    let distances = &*distances;
    let ending = Epilogue {
        alpha: None,
        bias: epilogue.bias.map_or(Bias::None, |bias| Bias::PerRow(&bias[..m])),
        residual: epilogue.residual.map(|residual| &residual[..m * out[0] * out[1]]),
        activation: epilogue.activation,
    };
    let finish = finish(&ending, out[0] * out[1]);
    let (output, scratch) = (SyncPointer::new(output), SyncPointer::new(scratch));
    // Pointers to what outlives the loop; each thread reads them alone.
    let finish = Shared(finish);
    let next = AtomicUsize::new(0);
    cpu.threads.run(layout.slots, &|slot| {
        let finish = finish.get();
        // SAFETY: each slot has its own part, and the scratch outlives the loop.
        let copy = unsafe { scratch.part(slot * layout.len, layout.len) };
        loop {
            let band = next.fetch_add(1, Ordering::Relaxed);
            if band >= layout.bands {
                break;
            }
            let (first, last) = (band * layout.rows, out[0].min((band + 1) * layout.rows));
            if first >= last {
                continue;
            }
            pad(cpu, conv, layout, input, size, first, copy);
            let rows = last - first;
            simd::run(cpu, Band { weights, k, m, layout, out, first, rows, copy, distances, output, finish });
            if let Activation::Custom(activate) = epilogue.activation {
                for channel in 0..m {
                    let at = (channel * out[0] + first) * out[1];
                    // SAFETY: these rows belong to this band, and the output outlives the loop.
                    activate(cpu, unsafe { output.part(at, rows * out[1]) });
                }
            }
        }
    });
}

/// What threads read.
struct Shared(Option<Finish>);

impl Shared {
    fn get(&self) -> Option<Finish> {
        self.0
    }
}

// SAFETY: its pointers are to numbers that nobody writes while the convolution runs.
unsafe impl Sync for Shared {}

dispatch! {
    /// Copies what the rows of the output from `first` on need.
    fn pad(cpu: &Cpu, conv: &Conv2d, layout: Layout, input: &[f32], size: [usize; 2], first: usize, copy: &mut [f32]) {
        let [top, left, ..] = conv.pads;
        let ([height, wide], stride) = (size, conv.strides[1]);
        let mut lines = copy.chunks_exact_mut(layout.pitch);
        for channel in 0..layout.channels {
            for row_phase in 0..layout.phases[0] {
                for phase in 0..layout.phases[1] {
                    // The first and last number of a line that do not lie in the padding.
                    let begin = left.saturating_sub(phase).div_ceil(stride).min(layout.pitch);
                    let end = (left + wide).saturating_sub(phase).div_ceil(stride).min(layout.pitch).max(begin);
                    for line in 0..layout.lines {
                        let to = lines.next().expect("the copy has all lines");
                        let y = ((first + line) * conv.strides[0] + row_phase).wrapping_sub(top);
                        if y >= height || begin == end {
                            to.fill(0.0);
                            continue;
                        }
                        let from = &input[(channel * height + y) * wide + begin * stride + phase - left..];
                        to[..begin].fill(0.0);
                        match stride {
                            1 => to[begin..end].copy_from_slice(&from[..end - begin]),
                            2 => every_second(from, &mut to[begin..end]),
                            _ => to[begin..end].iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, x)| *to = *x),
                        }
                        to[end..].fill(0.0);
                    }
                }
            }
        }
    }
}

/// Copies every second number.
#[inline(always)]
pub(super) fn every_second(from: &[f32], to: &mut [f32]) {
    // The last may stand at the end, without a neighbour.
    if let Some((last, others)) = to.split_last_mut() {
        others.iter_mut().zip(from.as_chunks::<2>().0).for_each(|(to, pair)| *to = pair[0]);
        *last = from[2 * others.len()];
    }
}

/// Some rows of the output, of all channels.
struct Band<'a> {
    weights: &'a PackedA,
    k: usize,
    m: usize,
    layout: Layout,
    out: [usize; 2],
    first: usize,
    rows: usize,
    copy: &'a [f32],
    distances: &'a [u32],
    output: SyncPointer<f32>,
    finish: Option<Finish>,
}

impl Kernel for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let width = V::LANES * V::TILE.registers;
        let ([_, wide], pitch) = (self.out, self.layout.pitch);
        let tiles = RowTiles::new(self.m, V::TILE.rows);
        let whole = (self.rows - 1) * pitch + wide;
        // Row by row where that computes no more than the lines with what is between them.
        let (by_row, all) = (wide.div_ceil(width), whole.div_ceil(width));
        let rows = by_row * self.rows <= all;
        let mut apart = Apart { c: [0.0; LARGEST], residual: [0.0; LARGEST] };
        for panel in 0..if rows { by_row * self.rows } else { all } {
            let (start, count) = if rows {
                let (y, x) = (panel / by_row, panel % by_row * width);
                (y * pitch + x, width.min(wide - x))
            } else {
                (panel * width, width.min(whole - panel * width))
            };
            let inside = start % pitch + count <= wide && count.is_multiple_of(V::LANES);
            for tile in 0..tiles.count {
                let (row, last) = (tiles.start(tile), tiles.start(tile + 1));
                let spot = Spot {
                    k: self.k,
                    a: self.weights.data()[row * self.k..].as_ptr(),
                    b: self.copy[start..].as_ptr(),
                    distances: self.distances.as_ptr(),
                    c: std::ptr::null_mut(),
                    ldc: 0,
                    finish: None,
                };
                // SAFETY: the weights of these rows; the copy has `count` numbers from `start` on at each distance, and more
                // than a register beyond them.
                unsafe {
                    match inside {
                        true => self.store::<V>(spot, row, last - row, start, count),
                        false => self.scatter::<V>(spot, row, last - row, start, count, &mut apart),
                    }
                }
            }
        }
    }
}

impl Band<'_> {
    /// Where a place of the copy lies in a plane of the output.
    #[inline(always)]
    fn at(&self, start: usize) -> usize {
        (self.first + start / self.layout.pitch) * self.out[1] + start % self.layout.pitch
    }

    /// A tile whose columns lie side by side in the output.
    ///
    /// # Safety
    /// As [`tile`], but for what `c` and `finish` point to.
    #[inline(always)]
    unsafe fn store<V: Vector>(&self, spot: Spot, row: usize, rows: usize, start: usize, count: usize) {
        let (at, plane) = (self.at(start), self.out[0] * self.out[1]);
        let finish = self.finish.map(|finish| finish.at(row, at));
        let spot = Spot { c: self.output.at(row * plane + at), ldc: plane, finish, ..spot };
        // SAFETY: these columns of these rows belong to this band; the rest is the caller's promise.
        unsafe { by_registers::<V>(rows, count / V::LANES, spot) };
    }

    /// A tile whose columns lie in several rows of the output, or between them, by way of copies.
    ///
    /// # Safety
    /// As [`tile`], but for what `c` and `finish` point to.
    #[inline(always)]
    unsafe fn scatter<V: Vector>(
        &self,
        spot: Spot,
        row: usize,
        rows: usize,
        start: usize,
        count: usize,
        apart: &mut Apart,
    ) {
        let (pitch, wide, plane) = (self.layout.pitch, self.out[1], self.out[0] * self.out[1]);
        let width = V::LANES * V::TILE.registers;
        let Apart { c, residual } = apart;
        let mut finish = self.finish.map(|finish| finish.at(row, 0));
        // Columns of the tile, and where they lie in the output.
        let pieces = || {
            let lines = start / pitch..(start + count - 1) / pitch + 1;
            lines.filter_map(move |line| {
                let (begin, end) = ((line * pitch).max(start), (line * pitch + wide).min(start + count));
                (begin < end).then(|| (begin - start, self.at(begin), end - begin))
            })
        };
        // SAFETY: the pieces belong to this band, lie within the planes and within the largest tile; the rest is the caller's
        // promise.
        unsafe {
            if let Some(finish) = &mut finish
                && !finish.residual.is_null()
            {
                for (column, at, len) in pieces() {
                    for i in 0..rows {
                        let from = finish.residual.add(i * plane + at);
                        residual.as_mut_ptr().add(i * width + column).copy_from_nonoverlapping(from, len);
                    }
                }
                (finish.residual, finish.residual_step) = (residual.as_ptr(), width);
            }
            let spot = Spot { c: c.as_mut_ptr(), ldc: width, finish, ..spot };
            by_registers::<V>(rows, count.div_ceil(V::LANES), spot);
            for (column, at, len) in pieces() {
                for i in 0..rows {
                    let to = self.output.at((row + i) * plane + at);
                    to.copy_from_nonoverlapping(c.as_ptr().add(i * width + column), len);
                }
            }
        }
    }
}

/// A tile whose columns do not lie side by side in the output.
struct Apart {
    c: [f32; LARGEST],
    residual: [f32; LARGEST],
}

/// One tile.
#[derive(Clone, Copy)]
struct Spot {
    k: usize,
    a: *const f32,
    b: *const f32,
    distances: *const u32,
    c: *mut f32,
    ldc: usize,
    finish: Option<Finish>,
}

/// The tile with the number of rows and registers.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn by_registers<V: Vector>(rows: usize, registers: usize, spot: Spot) {
    // SAFETY: the caller's promise.
    unsafe {
        match registers {
            1 => by_rows::<V, 1>(rows, spot),
            2 => by_rows::<V, 2>(rows, spot),
            3 if const { V::TILE.registers >= 3 } => by_rows::<V, 3>(rows, spot),
            4 if const { V::TILE.registers >= 4 } => by_rows::<V, 4>(rows, spot),
            _ => unreachable!("a tile has no more registers than its instruction set allows"),
        }
    }
}

/// As [`by_registers`].
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn by_rows<V: Vector, const N: usize>(rows: usize, spot: Spot) {
    macro_rules! tiles {
        ($($rows:literal)*) => {
            match rows {
                // SAFETY: the caller's promise.
                $($rows if const { V::TILE.rows >= $rows } => V::apart(OfSize::<$rows, N>(spot)),)*
                _ => unreachable!("a tile has no more rows than its instruction set allows"),
            }
        };
    }
    tiles!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// A tile whose size the compiler knows.
struct OfSize<const R: usize, const N: usize>(Spot);

impl<const R: usize, const N: usize> Kernel for OfSize<R, N> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        // SAFETY: only `by_rows` makes this, whose caller promised it.
        unsafe { tile::<V, R, N>(self.0) };
    }
}

/// `R` rows of `N` registers.
///
/// # Safety
/// `R * k` numbers at `a`; `k` distances, and as many registers at each of them from `b` on; `R` rows of `N` registers at `c`,
/// and of what `finish` points to.
#[inline(always)]
unsafe fn tile<V: Vector, const R: usize, const N: usize>(spot: Spot) {
    let Spot { k, mut a, b, distances, c, ldc, finish } = spot;
    let mut sums = [[V::splat(0.0); N]; R];
    // SAFETY: the caller's promise, here and below.
    unsafe {
        for tap in 0..k {
            let from = b.add(*distances.add(tap) as usize);
            let mut row = [V::splat(0.0); N];
            for v in 0..N {
                row[v] = V::load(from.add(v * V::LANES));
            }
            for i in 0..R {
                let x = V::splat(*a.add(i));
                for v in 0..N {
                    sums[i][v] = sums[i][v].madd(x, row[v]);
                }
                V::in_order();
            }
            a = a.add(R);
        }
        if let Some(finish) = &finish {
            end::<V, R, N>(&mut sums, finish);
        }
        for i in 0..R {
            for v in 0..N {
                sums[i][v].store(c.add(i * ldc + v * V::LANES));
            }
        }
    }
}
