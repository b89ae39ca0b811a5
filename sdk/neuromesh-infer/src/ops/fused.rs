//! Our own operators: what [`rewrite`](crate::rewrite) makes of several of ONNX's.

use burn_backend::Backend;

use super::{
    call::{self, Call, Outputs},
    elementwise::float_binary,
    matrix, normalize, unary,
};
use crate::Fault;

/// `x * weight + bias`.
pub(crate) fn linear<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let (x, weight, bias) = (call.float(0)?, call.float(1)?, call.float(2)?);
    let product = matrix::product(call, x, weight)?;
    call::float::<B>(float_binary(call, product, bias, B::float_add)?)
}

/// Layer normalization over the last dimension.
pub(crate) fn layer_norm<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let rank = call.shape(0)?.len();
    let last = rank.checked_sub(1).ok_or_else(|| Fault::Shape("a scalar has no last dimension".into()))?;
    normalize::layer_norm(call, last)
}

/// `x / 2 * (1 + erf(x / sqrt 2))`.
pub(crate) fn gelu<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    unary::map(call, |x| {
        let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
        // Abramowitz and Stegun 7.1.26: the error of erf is below 1.5e-7.
        let t = 1.0 / (1.0 + 0.327_591_1 * z);
        let series = t * (0.254_829_6 + t * (-0.284_496_72 + t * (1.421_413_8 + t * (-1.453_152_1 + t * 1.061_405_4))));
        let tail = series * exp_negative(-z * z);
        // 1 + erf: the tail itself on the left, so that nothing cancels there.
        0.5 * x * if x < 0.0 { tail } else { 2.0 - tail }
    })
}

/// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`.
pub(crate) fn gelu_tanh<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    unary::map(call, |x| {
        let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
        // (1 + tanh y) / 2 = 1 / (1 + exp(-2y)), from the side where exp does not overflow.
        let small = exp_negative(-2.0 * inner.abs());
        x * if inner < 0.0 { small } else { 1.0 } / (1.0 + small)
    })
}

/// `exp(x)` for `x <= 0`, within 2 units in the last place; without branches, so that loops over it become SIMD.
fn exp_negative(x: f32) -> f32 {
    // Below this the result is not a normal number.
    let x = x.max(-87.0);
    // Adding and taking away 1.5 * 2^23 rounds to an integer.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, so that the difference is exact.
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.0 + r * (1.0 + r * (0.5 + r * (0.166_666_55 + r * (0.041_665_795 + r * (0.008_333_452 + r * 0.001_393_37)))));
    let scale = f32::from_bits(((shifted.to_bits() as i32 - ROUND.to_bits() as i32 + 127) << 23) as u32);
    p * scale
}
