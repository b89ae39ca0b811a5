//! Registers in plain Rust: what the others are tested against.

use super::{Dot, Tile, Vector};

#[derive(Clone, Copy)]
pub struct Floats([f32; 4]);

impl Floats {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Floats(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl Vector for Floats {
    const LANES: usize = 4;
    const TILE: Tile = Tile { rows: 4, registers: 2 };

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Floats([x; 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise; an array of floats has no stricter layout, and the read needs no alignment.
        Floats(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as for `load`.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
    #[inline(always)]
    fn madd(self, a: Self, b: Self) -> Self {
        self.add(a.mul(b))
    }
    #[inline(always)]
    fn at_least(self, bound: Self) -> Self {
        self.zip(bound, |x, bound| if x < bound { bound } else { x })
    }
    #[inline(always)]
    fn at_most(self, bound: Self) -> Self {
        self.zip(bound, |x, bound| if x > bound { bound } else { x })
    }
    #[inline(always)]
    fn or_if_negative(self, negative: Self) -> Self {
        self.zip(negative, |x, negative| if x < 0.0 { negative } else { x })
    }
}

#[derive(Clone, Copy)]
pub struct Ints([i32; 4]);

impl Dot for Ints {
    const LANES: usize = 4;
    const GROUP: usize = 2;
    const TILE: Tile = Tile { rows: 4, registers: 2 };
    type Weights = [i8; 8];
    type Values = [i32; 2];

    #[inline(always)]
    fn zero() -> Self {
        Ints([0; 4])
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        // SAFETY: the caller's promise; the write needs no alignment.
        unsafe { to.cast::<[i32; 4]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::Weights {
        // SAFETY: as for `load`.
        unsafe { from.cast::<[i8; 8]>().read_unaligned() }
    }
    #[inline(always)]
    fn values(unit: i32) -> Self::Values {
        [unit & 0xffff, unit >> 16]
    }
    #[inline(always)]
    fn dot(self, values: Self::Values, weights: Self::Weights) -> Self {
        Ints(std::array::from_fn(|i| {
            let product = values[0] * i32::from(weights[2 * i]) + values[1] * i32::from(weights[2 * i + 1]);
            self.0[i].wrapping_add(product)
        }))
    }
}
