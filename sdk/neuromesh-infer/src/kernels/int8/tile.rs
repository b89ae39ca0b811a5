//! The innermost loops: tiles of sums in registers.
#![allow(clippy::needless_range_loop)]

use crate::kernels::cpu::Cpu;
use crate::kernels::gemm::RowTiles;
use crate::kernels::simd::{self, Dot, IntKernel};
use std::ops::Range;

/// What the packed layouts depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Rows of a tile.
    pub rows: usize,
    /// Columns of a panel.
    pub width: usize,
    /// Elements of a unit.
    pub group: usize,
}

impl Shape {
    pub fn of(cpu: &Cpu) -> Self {
        struct Ask;
        impl IntKernel for Ask {
            type Output = Shape;
            #[inline(always)]
            fn run<D: Dot>(self) -> Shape {
                Shape { rows: D::TILE.rows, width: D::LANES * D::TILE.registers, group: D::GROUP }
            }
        }
        simd::run_int(cpu, Ask)
    }
}

/// The product of some tiles of rows of A with some panels of B.
pub(super) struct Tiles<'a> {
    pub units: usize,
    pub rows: &'a RowTiles,
    pub tiles: Range<usize>,
    /// The first of the tiles.
    pub a: *const i32,
    pub panels: Range<usize>,
    /// The first panel of all.
    pub b: *const i8,
    pub n: usize,
    /// The first sum of all.
    pub c: *mut i32,
    pub ldc: usize,
}

#[derive(Clone, Copy)]
struct Spot {
    units: usize,
    a: *const i32,
    b: *const i8,
    c: *mut i32,
    ldc: usize,
}

/// The sums of the largest tile.
const LARGEST: usize = 12 * 32;

impl IntKernel for Tiles<'_> {
    type Output = ();

    #[inline(always)]
    fn run<D: Dot>(self) {
        let width = D::LANES * D::TILE.registers;
        let first = self.rows.start(self.tiles.start);
        for panel in self.panels.clone() {
            let columns = width.min(self.n - panel * width);
            for index in self.tiles.clone() {
                let row = self.rows.start(index);
                let rows = self.rows.start(index + 1) - row;
                let spot = Spot {
                    units: self.units,
                    a: self.a.wrapping_add((row - first) * self.units),
                    b: self.b.wrapping_add(panel * self.units * D::GROUP * width),
                    c: self.c.wrapping_add(row * self.ldc + panel * width),
                    ldc: self.ldc,
                };
                // SAFETY: `Job` has checked the sizes that the spot was made of; the copy holds the largest tile.
                unsafe {
                    if columns == width {
                        by_rows::<D>(rows, spot);
                    } else {
                        let mut whole = [0; LARGEST];
                        by_rows::<D>(rows, Spot { c: whole.as_mut_ptr(), ldc: width, ..spot });
                        for i in 0..rows {
                            let from = whole.as_ptr().add(i * width);
                            spot.c.add(i * spot.ldc).copy_from_nonoverlapping(from, columns);
                        }
                    }
                }
            }
        }
    }
}

/// The tile with the number of rows.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn by_rows<D: Dot>(rows: usize, spot: Spot) {
    macro_rules! tiles {
        ($($rows:literal)*) => {
            match rows {
                $($rows if const { D::TILE.rows >= $rows } => D::apart(OfRows::<$rows>(spot)),)*
                _ => unreachable!("a tile has no more rows than its instruction set allows"),
            }
        };
    }
    tiles!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// A tile whose size the compiler knows; made only by [`by_rows`].
struct OfRows<const R: usize>(Spot);

impl<const R: usize> IntKernel for OfRows<R> {
    type Output = ();

    #[inline(always)]
    fn run<D: Dot>(self) {
        // SAFETY: the promise of whoever called `by_rows`.
        unsafe {
            match const { D::TILE.registers } {
                3 => tile::<D, R, 3>(self.0),
                _ => tile::<D, R, 2>(self.0),
            }
        }
    }
}

/// `R` rows of `N` registers.
///
/// # Safety
/// `R * units` units at `a`; `units` rows of `N` registers' weights at `b`; `R` rows of `N` registers at `c`.
#[inline(always)]
unsafe fn tile<D: Dot, const R: usize, const N: usize>(spot: Spot) {
    let Spot { units, mut a, mut b, c, ldc } = spot;
    let mut sums = [[D::zero(); N]; R];
    // SAFETY: the caller's promise.
    unsafe {
        for _ in 0..units {
            let mut row = [D::weights(b); N];
            for v in 1..N {
                row[v] = D::weights(b.add(v * D::LANES * D::GROUP));
            }
            for i in 0..R {
                let x = D::values(*a.add(i));
                for v in 0..N {
                    sums[i][v] = sums[i][v].dot(x, row[v]);
                }
            }
            a = a.add(R);
            b = b.add(N * D::LANES * D::GROUP);
        }
        for i in 0..R {
            for v in 0..N {
                sums[i][v].store(c.add(i * ldc + v * D::LANES));
            }
        }
    }
}
