//! Registers: what the matrix kernels are written in.
//!
//! A kernel is a value that implements [`Kernel`] (or [`IntKernel`]); [`run`] (or [`run_int`]) compiles it for each instruction
//! set and calls the one that the [`Cpu`] names. The register types are private to their files, so that this is the only way to
//! reach them: whoever holds a [`Vector`] runs on a machine that has it, which is why its arithmetic is not `unsafe`.
//!
//! Everything here is `#[inline(always)]`, kernels included, or it would not become part of the function that the instruction
//! set was enabled for.
#![allow(unsafe_code)]

use super::cpu::{Cpu, Isa, Numerics};

#[cfg(target_arch = "aarch64")]
#[path = "simd/neon.rs"]
mod arch;
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
)))]
#[path = "simd/none.rs"]
mod arch;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[path = "simd/wasm.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "simd/x86.rs"]
mod arch;
mod portable;

/// A register of `f32`.
pub(crate) trait Vector: Copy {
    /// How many numbers.
    const LANES: usize;
    /// The tile of a matrix product that fits the registers: rows, and registers per row.
    const TILE: Tile;

    /// The same number in every lane.
    fn splat(x: f32) -> Self;
    /// # Safety
    /// [`Vector::LANES`] numbers can be read at `from`, whatever its alignment.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// [`Vector::LANES`] numbers can be written at `to`, whatever its alignment.
    unsafe fn store(self, to: *mut f32);
    /// `self + other`.
    fn add(self, other: Self) -> Self;
    /// `self * other`.
    fn mul(self, other: Self) -> Self;
    /// `self + a * b`: rounded twice by the types for exact numbers, maybe once by those for fast ones.
    fn madd(self, a: Self, b: Self) -> Self;
    /// `if self < bound { bound } else { self }`: NaN and -0 stay.
    fn at_least(self, bound: Self) -> Self;
    /// `if self > bound { bound } else { self }`: NaN and -0 stay.
    fn at_most(self, bound: Self) -> Self;
    /// `if self < 0 { negative } else { self }`.
    fn or_if_negative(self, negative: Self) -> Self;
    /// Keeps what is read after this from being read before it, where a compiler would otherwise need more registers than
    /// there are.
    #[inline(always)]
    fn in_order() {}
    /// Runs the kernel in a function of its own: compilers (a browser's too) keep registers in short functions, and spill
    /// them in long ones.
    #[inline(always)]
    fn apart<K: Kernel<Output = ()>>(kernel: K) {
        kernel.run::<Self>();
    }
}

/// A register of `i32` sums of products of bytes.
pub(crate) trait Dot: Copy {
    /// How many sums.
    const LANES: usize;
    /// How many consecutive elements of a sum one step multiplies: 2 (as `i16`) or 4 (as bytes).
    const GROUP: usize;
    /// As [`Vector::TILE`].
    const TILE: Tile;
    /// `GROUP` signed elements for each lane.
    type Weights: Copy;
    /// The same `GROUP` unsigned elements for every lane.
    type Values: Copy;

    /// Sums of nothing.
    fn zero() -> Self;
    /// # Safety
    /// [`Dot::LANES`] numbers can be written at `to`, whatever its alignment.
    unsafe fn store(self, to: *mut i32);
    /// Reads `GROUP` weights for lane 0, then for lane 1, and so on.
    ///
    /// # Safety
    /// `LANES * GROUP` bytes can be read at `from`, whatever its alignment.
    unsafe fn weights(from: *const i8) -> Self::Weights;
    /// `unit` holds `GROUP` numbers of 0 to 255, the first in the lowest bits: two of 16 bits, or four of 8.
    fn values(unit: i32) -> Self::Values;
    /// Adds the products of a group to each sum, wrapping.
    fn dot(self, values: Self::Values, weights: Self::Weights) -> Self;
    /// As [`Vector::apart`].
    #[inline(always)]
    fn apart<K: IntKernel<Output = ()>>(kernel: K) {
        kernel.run::<Self>();
    }
}

/// Rows and registers per row of a tile of a matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub rows: usize,
    pub registers: usize,
}

/// Code that is generic over the register of `f32`.
pub(crate) trait Kernel {
    /// What it gives.
    type Output;
    /// Must be `#[inline(always)]`.
    fn run<V: Vector>(self) -> Self::Output;
}

/// Code that is generic over the register of `i32`.
pub(crate) trait IntKernel {
    /// What it gives.
    type Output;
    /// Must be `#[inline(always)]`.
    fn run<D: Dot>(self) -> Self::Output;
}

/// Runs the kernel with the registers of `cpu`.
pub(crate) fn run<K: Kernel>(cpu: &Cpu, kernel: K) -> K::Output {
    match cpu.isa.usable() {
        Isa::Portable => kernel.run::<portable::Floats>(),
        isa => arch::run(isa, cpu.numerics == Numerics::Fast, kernel),
    }
}

/// Runs the kernel with the registers of `cpu`.
pub(crate) fn run_int<K: IntKernel>(cpu: &Cpu, kernel: K) -> K::Output {
    match cpu.isa.usable() {
        Isa::Portable => kernel.run::<portable::Ints>(),
        isa => arch::run_int(isa, kernel),
    }
}
