//! NEON, which every aarch64 has.

use super::{Dot, IntKernel, Kernel, Tile, Vector};
use crate::kernels::cpu::Isa;
use std::arch::aarch64::*;

pub fn run<K: Kernel>(_: Isa, fast: bool, kernel: K) -> K::Output {
    if fast { kernel.run::<Floats<true>>() } else { kernel.run::<Floats<false>>() }
}

pub fn run_int<K: IntKernel>(_: Isa, kernel: K) -> K::Output {
    kernel.run::<Ints>()
}

#[derive(Clone, Copy)]
struct Floats<const FUSED: bool>(float32x4_t);

// SAFETY of the blocks within: NEON is part of the target.
impl<const FUSED: bool> Vector for Floats<FUSED> {
    const LANES: usize = 4;
    const TILE: Tile = Tile { rows: 8, registers: 2 };

    #[inline(always)]
    fn splat(x: f32) -> Self {
        unsafe { Floats(vdupq_n_f32(x)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { Floats(vld1q_f32(from)) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { vst1q_f32(to, self.0) }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        unsafe { Floats(vaddq_f32(self.0, other.0)) }
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        unsafe { Floats(vmulq_f32(self.0, other.0)) }
    }
    #[inline(always)]
    fn madd(self, a: Self, b: Self) -> Self {
        if FUSED { unsafe { Floats(vfmaq_f32(self.0, a.0, b.0)) } } else { self.add(a.mul(b)) }
    }
    #[inline(always)]
    fn at_least(self, bound: Self) -> Self {
        unsafe { Floats(vbslq_f32(vcltq_f32(self.0, bound.0), bound.0, self.0)) }
    }
    #[inline(always)]
    fn at_most(self, bound: Self) -> Self {
        unsafe { Floats(vbslq_f32(vcgtq_f32(self.0, bound.0), bound.0, self.0)) }
    }
    #[inline(always)]
    fn or_if_negative(self, negative: Self) -> Self {
        unsafe { Floats(vbslq_f32(vcltzq_f32(self.0), negative.0, self.0)) }
    }
}

#[derive(Clone, Copy)]
struct Ints(int32x4_t);

// SAFETY of the blocks within: as above.
impl Dot for Ints {
    const LANES: usize = 4;
    const GROUP: usize = 2;
    const TILE: Tile = Tile { rows: 8, registers: 2 };
    type Weights = int16x8_t;
    type Values = int16x8_t;

    #[inline(always)]
    fn zero() -> Self {
        unsafe { Ints(vdupq_n_s32(0)) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        unsafe { vst1q_s32(to, self.0) }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::Weights {
        unsafe { vmovl_s8(vld1_s8(from)) }
    }
    #[inline(always)]
    fn values(unit: i32) -> Self::Values {
        unsafe { vreinterpretq_s16_s32(vdupq_n_s32(unit)) }
    }
    #[inline(always)]
    fn dot(self, values: Self::Values, weights: Self::Weights) -> Self {
        unsafe {
            let low = vmull_s16(vget_low_s16(values), vget_low_s16(weights));
            let high = vmull_s16(vget_high_s16(values), vget_high_s16(weights));
            Ints(vaddq_s32(self.0, vpaddq_s32(low, high)))
        }
    }
}
