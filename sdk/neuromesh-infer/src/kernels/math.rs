//! Functions of one number with the same bits on every machine.
//!
//! Two families:
//!
//! - **Vector functions** ([`exp`], [`log`], [`tanh`], [`erf`], [`gelu`], [`sin_small`], ...): addition, subtraction,
//!   multiplication, division and square root of `f32` (for the reduction of an angle also of `f64`), which IEEE 754 rounds
//!   exactly, selections and integer operations. No branch depends on the argument, so a loop over them becomes SIMD of any
//!   width with the same bits. No fused multiply-add, and nothing from the platform's libm.
//! - **Scalar functions** ([`tan`], [`pow`], [`asin`], ... and all of [`double`]): the `libm` crate, plain IEEE arithmetic too.
//!   Its feature `arch` (on by default) replaces only operations that are rounded exactly: square root, rounding to integers,
//!   fused multiply-add.
//!
//! The sign and the payload of a NaN are left to the machine: [`canonicalize`] what leaves the engine. The measured errors are
//! in `NUMERICS.md`.

mod activation;
pub mod double;
mod error;
mod exponential;
mod gate;
mod logarithm;
mod scalar;
mod trigonometry;

pub use activation::{celu, elu, hard_sigmoid, hard_swish, selu, shrink, sign, softsign, thresholded_relu};
pub(in crate::kernels) use error::{PIECE, Powers, gelu_piece};
pub use error::{erf, gelu};
pub use exponential::{exp, exp_m1};
pub use gate::{gelu_tanh, mish, sigmoid, silu, softplus, swish, tanh};
pub use logarithm::{log, log1p};
pub use scalar::{acos, acosh, asin, asinh, atan, atanh, cosh, pow, sinh, tan};
pub use trigonometry::{SMALL_ANGLE, cos, cos_small, sin, sin_small};
pub(in crate::kernels) use {activation::clamp, scalar::square_root};

/// The larger of two numbers; NaN if either is NaN, and a positive zero counts as larger than a negative one.
#[inline(always)]
pub fn max(a: f32, b: f32) -> f32 {
    let larger = if a > b { a } else { b };
    let result = if a == b { f32::from_bits(a.to_bits() & b.to_bits()) } else { larger };
    if a.is_nan() { a } else { result }
}

/// The smaller of two numbers; NaN if either is NaN, and a negative zero counts as smaller than a positive one.
#[inline(always)]
pub fn min(a: f32, b: f32) -> f32 {
    let smaller = if a < b { a } else { b };
    let result = if a == b { f32::from_bits(a.to_bits() | b.to_bits()) } else { smaller };
    if a.is_nan() { a } else { result }
}

/// The remainder of `a / b` as C's `fmod`: the sign of `a`; exact.
#[inline]
pub fn remainder(a: f32, b: f32) -> f32 {
    libm::fmodf(a, b)
}

/// The remainder of `a / b` with the sign of `b`, as Python's `%`.
#[inline]
pub fn modulo(a: f32, b: f32) -> f32 {
    let remainder = remainder(a, b);
    if remainder != 0.0 && (remainder < 0.0) != (b < 0.0) { remainder + b } else { remainder }
}

/// Makes every NaN the quiet one with a positive sign and no payload, `0x7fc0_0000`.
///
/// Machines disagree on the NaN that an operation makes; this is to be called once on what leaves the engine.
pub fn canonicalize(values: &mut [f32]) {
    for value in values {
        *value = if value.is_nan() { f32::NAN } else { *value };
    }
}

/// The upper half of the significand, so that the product of two halves is exact.
#[inline(always)]
fn upper_half(x: f32) -> f32 {
    f32::from_bits(x.to_bits() & 0xffff_f000)
}

#[cfg(test)]
mod tests;
