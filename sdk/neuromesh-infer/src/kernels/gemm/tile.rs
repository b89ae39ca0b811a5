//! The innermost loops: tiles of C in registers.
#![allow(clippy::needless_range_loop)]

use super::pack::RowTiles;
use crate::kernels::simd::{Kernel, Vector};
use std::ops::Range;

/// The product of some tiles of rows of A with some panels of B, over one stretch of k.
pub(super) struct Tiles<'a> {
    /// The length of the stretch.
    pub k: usize,
    pub rows: &'a RowTiles,
    pub tiles: Range<usize>,
    /// Tile t lies `a_row` for each row from `a_first` on and `a_skip` columns after `a`.
    pub a: *const f32,
    pub a_row: usize,
    pub a_first: usize,
    pub a_skip: usize,
    pub panels: Range<usize>,
    /// The first panel, from there to the next, and from a row to the next.
    pub b: *const f32,
    pub panel_step: usize,
    pub b_step: usize,
    /// Where the last panel lies, as rows of a whole panel, if elsewhere.
    pub tail: Option<*const f32>,
    pub n: usize,
    pub c: *mut f32,
    pub ldc: usize,
    /// Whether the sums go on from C.
    pub resume: bool,
    /// What is done to sums that end here.
    pub finish: Option<Finish>,
}

/// What a finished sum goes through; the pointers are to the first row or column of what they are used for, null for nothing.
#[derive(Clone, Copy)]
pub(crate) struct Finish {
    pub alpha: Option<f32>,
    pub row_bias: *const f32,
    pub column_bias: *const f32,
    pub residual: *const f32,
    pub residual_step: usize,
    pub activation: Simple,
}

/// The activations that are done in registers.
#[derive(Clone, Copy)]
pub(crate) enum Simple {
    None,
    Least(f32),
    Clip(f32, f32),
    Leaky(f32),
}

impl Finish {
    /// For the sums from this row and column on.
    pub fn at(self, row: usize, column: usize) -> Self {
        let shift = |from: *const f32, by: usize| if from.is_null() { from } else { from.wrapping_add(by) };
        Finish {
            row_bias: shift(self.row_bias, row),
            column_bias: shift(self.column_bias, column),
            residual: shift(self.residual, row * self.residual_step + column),
            ..self
        }
    }
}

/// One tile: the operands of its first row and column.
#[derive(Clone, Copy)]
struct Spot {
    k: usize,
    a: *const f32,
    b: *const f32,
    b_step: usize,
    panel_step: usize,
    c: *mut f32,
    ldc: usize,
    resume: bool,
    finish: Option<Finish>,
}

/// The numbers of the largest tile.
const LARGEST: usize = 12 * 32;

impl Kernel for Tiles<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let width = V::LANES * V::TILE.registers;
        let mut panels = self.panels.clone();
        // With one tile of few rows, several panels at once keep the adders busy.
        if self.tiles.len() == 1 {
            let rows = self.rows.start(self.tiles.start + 1) - self.rows.start(self.tiles.start);
            let together = match (rows, V::TILE.registers) {
                (1, 2) => 4,
                (1, 3) => 3,
                (1, _) | (2, 2) => 2,
                _ => usize::MAX,
            };
            while panels.len() >= together && (panels.start + together) * width <= self.n {
                let spot = self.spot(panels.start, self.tiles.start, width);
                // SAFETY: the spot of the first of these panels, all of which are whole.
                unsafe {
                    match (rows, const { V::TILE.registers }) {
                        (1, 3) => V::apart(OfSize::<1, 9>::new(spot)),
                        (1, _) => V::apart(OfSize::<1, 8>::new(spot)),
                        _ => V::apart(OfSize::<2, 4>::new(spot)),
                    }
                }
                panels.start += together;
            }
        }
        for panel in panels {
            let columns = width.min(self.n - panel * width);
            for index in self.tiles.clone() {
                let rows = self.rows.start(index + 1) - self.rows.start(index);
                let spot = self.spot(panel, index, width);
                // SAFETY: `Job` has checked the sizes that the spot was made of.
                unsafe {
                    if columns % V::LANES == 0 {
                        by_registers::<V>(rows, columns / V::LANES, spot);
                    } else {
                        edge::<V>(rows, columns, spot);
                    }
                }
            }
        }
    }
}

impl Tiles<'_> {
    #[inline(always)]
    fn spot(&self, panel: usize, tile: usize, width: usize) -> Spot {
        let (row, column) = (self.rows.start(tile), panel * width);
        let rows = self.rows.start(tile + 1) - row;
        let (mut b, mut b_step) = (self.b.wrapping_add((panel - self.panels.start) * self.panel_step), self.b_step);
        if let Some(tail) = self.tail
            && column + width > self.n
        {
            (b, b_step) = (tail, width);
        }
        Spot {
            k: self.k,
            a: self.a.wrapping_add((row - self.a_first) * self.a_row + self.a_skip * rows),
            b,
            b_step,
            panel_step: self.panel_step,
            c: self.c.wrapping_add(row * self.ldc + column),
            ldc: self.ldc,
            resume: self.resume,
            finish: self.finish.map(|finish| finish.at(row, column)),
        }
    }
}

/// A tile whose columns do not fill its registers, by way of copies that do.
///
/// # Safety
/// As [`tile`], for `columns` columns.
#[inline(always)]
unsafe fn edge<V: Vector>(rows: usize, columns: usize, spot: Spot) {
    let width = V::LANES * V::TILE.registers;
    let mut c = [0.0; LARGEST];
    let mut residual = [0.0; LARGEST];
    let mut bias = [0.0; 64];
    let mut inner = Spot { c: c.as_mut_ptr(), ldc: width, ..spot };
    // SAFETY: `rows` rows of `columns` numbers at each of the places, `columns` of them in the bias, as the caller promised;
    // the copies hold the largest tile.
    unsafe {
        if spot.resume {
            copy(spot.c, spot.ldc, c.as_mut_ptr(), width, rows, columns);
        }
        if let Some(finish) = &mut inner.finish {
            if !finish.column_bias.is_null() {
                copy(finish.column_bias, 0, bias.as_mut_ptr(), 0, 1, columns);
                finish.column_bias = bias.as_ptr();
            }
            if !finish.residual.is_null() {
                copy(finish.residual, finish.residual_step, residual.as_mut_ptr(), width, rows, columns);
                (finish.residual, finish.residual_step) = (residual.as_ptr(), width);
            }
        }
        by_registers::<V>(rows, columns.div_ceil(V::LANES), inner);
        copy(c.as_ptr(), width, spot.c, spot.ldc, rows, columns);
    }
}

/// # Safety
/// The rows can be read and written.
unsafe fn copy(from: *const f32, from_step: usize, to: *mut f32, to_step: usize, rows: usize, columns: usize) {
    for row in 0..rows {
        // SAFETY: the caller's promise.
        unsafe { to.add(row * to_step).copy_from_nonoverlapping(from.add(row * from_step), columns) };
    }
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
                $($rows if const { V::TILE.rows >= $rows } => unsafe { V::apart(OfSize::<$rows, N>::new(spot)) },)*
                _ => unreachable!("a tile has no more rows than its instruction set allows"),
            }
        };
    }
    tiles!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// A tile whose size the compiler knows.
struct OfSize<const R: usize, const N: usize>(Spot);

impl<const R: usize, const N: usize> OfSize<R, N> {
    /// # Safety
    /// As [`tile`].
    #[inline(always)]
    unsafe fn new(spot: Spot) -> Self {
        OfSize(spot)
    }
}

impl<const R: usize, const N: usize> Kernel for OfSize<R, N> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        // SAFETY: whoever made this promised it.
        unsafe { tile::<V, R, N>(self.0) };
    }
}

/// `R` rows of `N` registers, from as many panels as that takes.
///
/// # Safety
/// `R * k` numbers at `a`; as many registers in each of `k` rows at `b`; `R` rows of `N` registers at `c`, and of
/// what `finish` points to.
#[inline(always)]
unsafe fn tile<V: Vector, const R: usize, const N: usize>(spot: Spot) {
    let of_panel = V::TILE.registers;
    let Spot { k, mut a, mut b, b_step, panel_step, c, ldc, resume, finish } = spot;
    let mut sums = [[V::splat(0.0); N]; R];
    // SAFETY: the caller's promise, here and below.
    unsafe {
        if resume {
            for i in 0..R {
                for v in 0..N {
                    sums[i][v] = V::load(c.add(i * ldc + v * V::LANES));
                }
            }
        }
        let after = a.wrapping_add(k * R);
        while a != after {
            V::in_order();
            let mut row = [V::splat(0.0); N];
            for v in 0..N {
                row[v] = V::load(b.add((v / of_panel) * panel_step + (v % of_panel) * V::LANES));
            }
            for i in 0..R {
                let x = V::splat(*a.add(i));
                for v in 0..N {
                    sums[i][v] = sums[i][v].madd(x, row[v]);
                }
                V::in_order();
            }
            a = a.add(R);
            b = b.add(b_step);
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

/// Finishes sums.
///
/// # Safety
/// `R` rows of `N` registers can be read at what `finish` points to.
#[inline(always)]
pub(crate) unsafe fn end<V: Vector, const R: usize, const N: usize>(sums: &mut [[V; N]; R], finish: &Finish) {
    macro_rules! each {
        (|$x:ident, $i:ident, $v:ident| $value:expr) => {
            for $i in 0..R {
                for $v in 0..N {
                    let $x = sums[$i][$v];
                    sums[$i][$v] = $value;
                }
            }
        };
    }
    if let Some(alpha) = finish.alpha {
        let alpha = V::splat(alpha);
        each!(|x, i, v| x.mul(alpha));
    }
    // SAFETY: the caller's promise.
    unsafe {
        if !finish.row_bias.is_null() {
            each!(|x, i, v| x.add(V::splat(*finish.row_bias.add(i))));
        }
        if !finish.column_bias.is_null() {
            each!(|x, i, v| x.add(V::load(finish.column_bias.add(v * V::LANES))));
        }
        if !finish.residual.is_null() {
            each!(|x, i, v| x.add(V::load(finish.residual.add(i * finish.residual_step + v * V::LANES))));
        }
    }
    match finish.activation {
        Simple::None => {}
        Simple::Least(min) => each!(|x, i, v| x.at_least(V::splat(min))),
        Simple::Clip(min, max) => each!(|x, i, v| x.at_least(V::splat(min)).at_most(V::splat(max))),
        Simple::Leaky(alpha) => each!(|x, i, v| x.or_if_negative(x.mul(V::splat(alpha)))),
    }
}
