//! SSE2, AVX2 (with FMA) and AVX-512 (with and without VNNI).
#![allow(unsafe_op_in_unsafe_fn)]

use super::{Dot, IntKernel, Kernel, Tile, Vector};
use crate::kernels::cpu::Isa;
use std::arch::is_x86_feature_detected;
use std::arch::x86_64::*;

pub fn run<K: Kernel>(isa: Isa, fast: bool, kernel: K) -> K::Output {
    match (isa.usable(), fast) {
        // SAFETY: `usable` gives only what this machine was found to have, here and below.
        (Isa::Avx512, false) => unsafe { avx512(kernel) },
        // SAFETY: as above.
        (Isa::Avx512, true) => unsafe { avx512_fused(kernel) },
        // SAFETY: as above.
        (Isa::Avx2, false) => unsafe { avx2(kernel) },
        // SAFETY: as above.
        (Isa::Avx2, true) => unsafe { avx2_fused(kernel) },
        _ => sse2(kernel),
    }
}

pub fn run_int<K: IntKernel>(isa: Isa, kernel: K) -> K::Output {
    match isa.usable() {
        // SAFETY: both were found on this machine.
        Isa::Avx512 if is_x86_feature_detected!("avx512vnni") => unsafe { vnni_dot(kernel) },
        // SAFETY: `usable` gives only what this machine was found to have, here and below.
        Isa::Avx512 => unsafe { avx512_dot(kernel) },
        // SAFETY: as above.
        Isa::Avx2 => unsafe { avx2_dot(kernel) },
        _ => sse2_dot(kernel),
    }
}

/// A function that a kernel becomes part of.
macro_rules! entry {
    ($name:ident, $kernel:ident, $register:ident $(, $features:literal)?) => {
        $(#[target_feature(enable = $features)])?
        fn $name<K: $kernel>(kernel: K) -> K::Output {
            kernel.run::<$register>()
        }
    };
}
entry!(sse2, Kernel, Sse2);
entry!(avx2, Kernel, Avx2, "avx2,fma");
entry!(avx2_fused, Kernel, Avx2Fused, "avx2,fma");
entry!(avx512, Kernel, Avx512, "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma");
entry!(avx512_fused, Kernel, Avx512Fused, "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma");
entry!(sse2_dot, IntKernel, Sse2Dot);
entry!(avx2_dot, IntKernel, Avx2Dot, "avx2");
entry!(avx512_dot, IntKernel, Avx512Dot, "avx512f,avx512vl,avx512bw,avx512dq,avx2");
entry!(vnni_dot, IntKernel, VnniDot, "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx2");

/// Implements [`Vector`] from the names of the intrinsics. `max` and `min` give their second operand unless the first is
/// strictly greater (or less), which is what `at_least` and `at_most` ask for.
macro_rules! vector {
    ($name:ident, $entry:ident, $register:ty, $lanes:expr, $rows:expr, $registers:expr, $splat:ident, $load:ident, $store:ident, $add:ident, $mul:ident,
        $max:ident, $min:ident, |$acc:ident, $a:ident, $b:ident| $madd:expr, |$x:ident, $y:ident| $select:expr) => {
        #[derive(Clone, Copy)]
        struct $name($register);

        // SAFETY of the blocks within: a value of this type exists only inside the functions above, which run where the
        // instructions do.
        impl Vector for $name {
            const LANES: usize = $lanes;
            const TILE: Tile = Tile { rows: $rows, registers: $registers };

            #[inline(always)]
            fn splat(x: f32) -> Self {
                unsafe { $name($splat(x)) }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                $name($load(from))
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                $store(to, self.0)
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                unsafe { $name($add(self.0, other.0)) }
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                unsafe { $name($mul(self.0, other.0)) }
            }
            #[inline(always)]
            fn madd(self, a: Self, b: Self) -> Self {
                let ($acc, $a, $b) = (self.0, a.0, b.0);
                unsafe { $name($madd) }
            }
            #[inline(always)]
            fn at_least(self, bound: Self) -> Self {
                unsafe { $name($max(bound.0, self.0)) }
            }
            #[inline(always)]
            fn at_most(self, bound: Self) -> Self {
                unsafe { $name($min(bound.0, self.0)) }
            }
            #[inline(always)]
            fn or_if_negative(self, negative: Self) -> Self {
                let ($x, $y) = (self.0, negative.0);
                unsafe { $name($select) }
            }
            #[inline(always)]
            fn apart<K: Kernel<Output = ()>>(kernel: K) {
                #[allow(unused_unsafe)]
                unsafe {
                    $entry(kernel)
                }
            }
        }
    };
}

vector!(
    Sse2,
    sse2,
    __m128,
    4,
    4,
    2,
    _mm_set1_ps,
    _mm_loadu_ps,
    _mm_storeu_ps,
    _mm_add_ps,
    _mm_mul_ps,
    _mm_max_ps,
    _mm_min_ps,
    |acc, a, b| _mm_add_ps(acc, _mm_mul_ps(a, b)),
    |x, y| {
        let negative = _mm_cmplt_ps(x, _mm_setzero_ps());
        _mm_or_ps(_mm_and_ps(negative, y), _mm_andnot_ps(negative, x))
    }
);
vector!(
    Avx2,
    avx2,
    __m256,
    8,
    6,
    2,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_mul_ps,
    _mm256_max_ps,
    _mm256_min_ps,
    |acc, a, b| _mm256_add_ps(acc, _mm256_mul_ps(a, b)),
    |x, y| _mm256_blendv_ps(x, y, _mm256_cmp_ps::<_CMP_LT_OQ>(x, _mm256_setzero_ps()))
);
vector!(
    Avx2Fused,
    avx2_fused,
    __m256,
    8,
    6,
    2,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_mul_ps,
    _mm256_max_ps,
    _mm256_min_ps,
    |acc, a, b| _mm256_fmadd_ps(a, b, acc),
    |x, y| _mm256_blendv_ps(x, y, _mm256_cmp_ps::<_CMP_LT_OQ>(x, _mm256_setzero_ps()))
);
vector!(
    Avx512,
    avx512,
    __m512,
    16,
    12,
    2,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_mul_ps,
    _mm512_max_ps,
    _mm512_min_ps,
    |acc, a, b| _mm512_add_ps(acc, _mm512_mul_ps(a, b)),
    |x, y| _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, _mm512_setzero_ps()), x, y)
);
vector!(
    Avx512Fused,
    avx512_fused,
    __m512,
    16,
    12,
    2,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_mul_ps,
    _mm512_max_ps,
    _mm512_min_ps,
    |acc, a, b| _mm512_fmadd_ps(a, b, acc),
    |x, y| _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, _mm512_setzero_ps()), x, y)
);

/// Implements [`Dot`] from the names of the intrinsics.
macro_rules! dot {
    ($name:ident, $entry:ident, $register:ty, $lanes:expr, $group:expr, $rows:expr, $zero:ident, $load:ident, $store:ident, $splat:ident,
        |$from:ident| $weights:expr, |$acc:ident, $a:ident, $b:ident| $dot:expr) => {
        #[derive(Clone, Copy)]
        struct $name($register);

        // SAFETY of the blocks within: as for the vectors.
        impl Dot for $name {
            const LANES: usize = $lanes;
            const GROUP: usize = $group;
            const TILE: Tile = Tile { rows: $rows, registers: 2 };
            type Weights = $register;
            type Values = $register;

            #[inline(always)]
            fn zero() -> Self {
                unsafe { $name($zero()) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut i32) {
                $store(to.cast(), self.0)
            }
            #[inline(always)]
            unsafe fn weights($from: *const i8) -> Self::Weights {
                $weights
            }
            #[inline(always)]
            fn values(unit: i32) -> Self::Values {
                unsafe { $splat(unit) }
            }
            #[inline(always)]
            fn dot(self, values: Self::Values, weights: Self::Weights) -> Self {
                let ($acc, $a, $b) = (self.0, values, weights);
                unsafe { $name($dot) }
            }
            #[inline(always)]
            fn apart<K: IntKernel<Output = ()>>(kernel: K) {
                #[allow(unused_unsafe)]
                unsafe {
                    $entry(kernel)
                }
            }
        }
    };
}

dot!(
    Sse2Dot,
    sse2_dot,
    __m128i,
    4,
    2,
    4,
    _mm_setzero_si128,
    _mm_loadu_si128,
    _mm_storeu_si128,
    _mm_set1_epi32,
    |from| {
        let bytes = _mm_loadl_epi64(from.cast());
        _mm_srai_epi16::<8>(_mm_unpacklo_epi8(bytes, bytes))
    },
    |acc, a, b| _mm_add_epi32(acc, _mm_madd_epi16(a, b))
);
dot!(
    Avx2Dot,
    avx2_dot,
    __m256i,
    8,
    2,
    6,
    _mm256_setzero_si256,
    _mm256_loadu_si256,
    _mm256_storeu_si256,
    _mm256_set1_epi32,
    |from| _mm256_cvtepi8_epi16(_mm_loadu_si128(from.cast())),
    |acc, a, b| _mm256_add_epi32(acc, _mm256_madd_epi16(a, b))
);
dot!(
    Avx512Dot,
    avx512_dot,
    __m512i,
    16,
    2,
    12,
    _mm512_setzero_si512,
    _mm512_loadu_si512,
    _mm512_storeu_si512,
    _mm512_set1_epi32,
    |from| _mm512_cvtepi8_epi16(_mm256_loadu_si256(from.cast())),
    |acc, a, b| _mm512_add_epi32(acc, _mm512_madd_epi16(a, b))
);
dot!(
    VnniDot,
    vnni_dot,
    __m512i,
    16,
    4,
    12,
    _mm512_setzero_si512,
    _mm512_loadu_si512,
    _mm512_storeu_si512,
    _mm512_set1_epi32,
    |from| _mm512_loadu_si512(from.cast()),
    |acc, a, b| _mm512_dpbusd_epi32(acc, a, b)
);
