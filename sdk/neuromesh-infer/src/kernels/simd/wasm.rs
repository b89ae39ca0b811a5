//! WebAssembly's 128-bit vectors, always compiled in; with the feature `relaxed-simd`, also two instructions of relaxed SIMD, which
//! an engine without it refuses when it compiles the module: the fused multiply-add, for fast numbers, and the product of bytes,
//! for exact ones too where it is found to be exact.

use super::{Dot, IntKernel, Kernel, Tile, Vector};
use crate::kernels::cpu::Isa;
use core::arch::wasm32::*;
use std::sync::LazyLock;

/// Whether the build may use relaxed SIMD.
const RELAXED: bool = cfg!(feature = "relaxed-simd");

pub fn run<K: Kernel>(_: Isa, fast: bool, kernel: K) -> K::Output {
    if RELAXED && fast { relaxed(kernel) } else { kernel.run::<Floats<false>>() }
}

/// Fused kernels alone are compiled for relaxed SIMD: where LLVM may use it, it takes clamps for maxima that lose NaN.
#[cfg_attr(feature = "relaxed-simd", target_feature(enable = "relaxed-simd"))]
fn relaxed<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Floats<RELAXED>>()
}

/// As [`Vector::apart`].
#[cfg_attr(feature = "relaxed-simd", target_feature(enable = "relaxed-simd"))]
#[inline(never)]
fn relaxed_apart<K: Kernel<Output = ()>>(kernel: K) {
    kernel.run::<Floats<RELAXED>>();
}

#[cfg(feature = "relaxed-simd")]
#[target_feature(enable = "relaxed-simd")]
#[inline]
fn fused(sum: v128, a: v128, b: v128) -> v128 {
    f32x4_relaxed_madd(a, b, sum)
}

#[cfg(not(feature = "relaxed-simd"))]
#[inline(always)]
fn fused(sum: v128, a: v128, b: v128) -> v128 {
    f32x4_add(sum, f32x4_mul(a, b))
}

pub fn run_int<K: IntKernel>(_: Isa, kernel: K) -> K::Output {
    if RELAXED && *QUADS { relaxed_int(kernel) } else { kernel.run::<Ints>() }
}

/// Whether the relaxed product of bytes is that of signed with unsigned ones. The proposal gives engines the choice of how they
/// read a top bit that is set, and whether pairs saturate, but one choice for all instructions of an environment; each choice
/// gives another number here.
static QUADS: LazyLock<bool> = LazyLock::new(|| {
    let (signed, unsigned) = (std::hint::black_box(i8x16_splat(-128)), std::hint::black_box(u8x16_splat(255)));
    i32x4_extract_lane::<0>(products(i32x4_splat(1), unsigned, signed)) == 1 - 4 * 128 * 255
});

#[cfg_attr(feature = "relaxed-simd", target_feature(enable = "relaxed-simd"))]
fn relaxed_int<K: IntKernel>(kernel: K) -> K::Output {
    kernel.run::<Quads>()
}

/// As [`Dot::apart`].
#[cfg_attr(feature = "relaxed-simd", target_feature(enable = "relaxed-simd"))]
#[inline(never)]
fn relaxed_int_apart<K: IntKernel<Output = ()>>(kernel: K) {
    kernel.run::<Quads>();
}

/// Adds to each sum the products of four unsigned with four signed bytes, where [`QUADS`].
#[cfg(feature = "relaxed-simd")]
#[target_feature(enable = "relaxed-simd")]
#[inline]
fn products(sums: v128, unsigned: v128, signed: v128) -> v128 {
    i32x4_relaxed_dot_i8x16_i7x16_add(signed, unsigned, sums)
}

/// Never called: a build without the instruction has no [`QUADS`].
#[cfg(not(feature = "relaxed-simd"))]
#[inline(always)]
fn products(sums: v128, _: v128, _: v128) -> v128 {
    sums
}

#[derive(Clone, Copy)]
struct Floats<const FUSED: bool>(v128);

impl<const FUSED: bool> Vector for Floats<FUSED> {
    const LANES: usize = 4;
    const TILE: Tile = Tile { rows: 3, registers: 3 };

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Floats(f32x4_splat(x))
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Floats(unsafe { v128_load(from.cast()) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { v128_store(to.cast(), self.0) }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Floats(f32x4_add(self.0, other.0))
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Floats(f32x4_mul(self.0, other.0))
    }
    #[inline(always)]
    fn madd(self, a: Self, b: Self) -> Self {
        if FUSED { Floats(fused(self.0, a.0, b.0)) } else { self.add(a.mul(b)) }
    }
    #[inline(always)]
    fn at_least(self, bound: Self) -> Self {
        // Not `pmax`: where it may use relaxed SIMD, LLVM makes a maximum of it that loses NaN.
        Floats(v128_bitselect(bound.0, self.0, f32x4_lt(self.0, bound.0)))
    }
    #[inline(always)]
    fn at_most(self, bound: Self) -> Self {
        Floats(v128_bitselect(bound.0, self.0, f32x4_gt(self.0, bound.0)))
    }
    #[inline(always)]
    fn or_if_negative(self, negative: Self) -> Self {
        Floats(v128_bitselect(negative.0, self.0, f32x4_lt(self.0, f32x4_splat(0.0))))
    }
    #[inline(always)]
    fn in_order() {
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    }
    #[inline(always)]
    fn apart<K: Kernel<Output = ()>>(kernel: K) {
        if FUSED { relaxed_apart(kernel) } else { exact_apart(kernel) }
    }
}

#[inline(never)]
fn exact_apart<K: Kernel<Output = ()>>(kernel: K) {
    kernel.run::<Floats<false>>();
}

#[derive(Clone, Copy)]
struct Ints(v128);

impl Dot for Ints {
    const LANES: usize = 4;
    const GROUP: usize = 2;
    const TILE: Tile = Tile { rows: 4, registers: 2 };
    type Weights = v128;
    type Values = v128;

    #[inline(always)]
    fn zero() -> Self {
        Ints(i32x4_splat(0))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        // SAFETY: the caller's promise.
        unsafe { v128_store(to.cast(), self.0) }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::Weights {
        // SAFETY: the caller's promise.
        unsafe { i16x8_load_extend_i8x8(from) }
    }
    #[inline(always)]
    fn values(unit: i32) -> Self::Values {
        i32x4_splat(unit)
    }
    #[inline(always)]
    fn dot(self, values: Self::Values, weights: Self::Weights) -> Self {
        Ints(i32x4_add(self.0, i32x4_dot_i16x8(values, weights)))
    }
    #[inline(never)]
    fn apart<K: IntKernel<Output = ()>>(kernel: K) {
        kernel.run::<Self>();
    }
}

/// Sums of four products of bytes at once.
#[derive(Clone, Copy)]
struct Quads(v128);

impl Dot for Quads {
    const LANES: usize = 4;
    const GROUP: usize = 4;
    const TILE: Tile = Tile { rows: 4, registers: 2 };
    type Weights = v128;
    type Values = v128;

    #[inline(always)]
    fn zero() -> Self {
        Quads(i32x4_splat(0))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        // SAFETY: the caller's promise.
        unsafe { v128_store(to.cast(), self.0) }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::Weights {
        // SAFETY: the caller's promise.
        unsafe { v128_load(from.cast()) }
    }
    #[inline(always)]
    fn values(unit: i32) -> Self::Values {
        i32x4_splat(unit)
    }
    #[inline(always)]
    fn dot(self, values: Self::Values, weights: Self::Weights) -> Self {
        Quads(products(self.0, values, weights))
    }
    #[inline(always)]
    fn apart<K: IntKernel<Output = ()>>(kernel: K) {
        relaxed_int_apart(kernel);
    }
}
