//! Activations with parameters, and those of few operations. A comparison that NaN fails always ends in the branch that
//! computes with it.

use super::exponential::{exp_m1, exp_m1_of_sum, product, times_sum};

/// `x` above zero, `alpha (e^x - 1)` below.
#[inline(always)]
pub fn elu(x: f32, alpha: f32) -> f32 {
    let below = alpha * exp_m1(x);
    if x > 0.0 { x } else { below }
}

/// `gamma` times [`elu`]: `gamma x` above zero, `(gamma alpha) (e^x - 1)` below. Keeps the sign of zero.
#[inline(always)]
pub fn selu(x: f32, alpha: f32, gamma: f32) -> f32 {
    // The factor with what its rounding loses.
    let (high, low) = product(gamma, alpha, 0.0);
    let below = times_sum(exp_m1(x), high, low);
    let below = if x == 0.0 { x } else { below };
    if x > 0.0 { gamma * x } else { below }
}

/// `x` above zero, `alpha (e^(x / alpha) - 1)` below.
#[inline(always)]
pub fn celu(x: f32, alpha: f32) -> f32 {
    let quotient = x / alpha;
    let (high, low) = product(quotient, alpha, 0.0);
    let lost = ((x - high) - low) / alpha;
    // Where the quotient is zero or far down, what it has lost is nothing, or cannot be told.
    let lost = if (quotient > -18.0) & (quotient < -1e-30) { lost } else { 0.0 };
    let below = alpha * exp_m1_of_sum(quotient, lost);
    if x > 0.0 { x } else { below }
}

/// `alpha x + beta`, held between 0 and 1.
#[inline(always)]
pub fn hard_sigmoid(x: f32, alpha: f32, beta: f32) -> f32 {
    clamp(alpha * x + beta, 0.0, 1.0)
}

/// `x (x + 3) / 6` with the factor `(x + 3) / 6` held between 0 and 1; `-0` from -3 down.
#[inline(always)]
pub fn hard_swish(x: f32) -> f32 {
    let x = if x < -3.0 { -3.0 } else { x };
    x * (clamp(x + 3.0, 0.0, 6.0) / 6.0)
}

/// `x` above `alpha`, else 0.
#[inline(always)]
pub fn thresholded_relu(x: f32, alpha: f32) -> f32 {
    if x <= alpha { 0.0 } else { x }
}

/// `x` moved towards zero by `bias` where `|x| > lambda`, else 0.
#[inline(always)]
pub fn shrink(x: f32, lambda: f32, bias: f32) -> f32 {
    let right = if x <= lambda { 0.0 } else { x - bias };
    if x < -lambda { x + bias } else { right }
}

/// `x / (1 + |x|)`.
#[inline(always)]
pub fn softsign(x: f32) -> f32 {
    x / (1.0 + x.abs())
}

/// -1, 0 or 1; keeps zeros and NaN.
#[inline(always)]
pub fn sign(x: f32) -> f32 {
    let right = if x > 0.0 { 1.0 } else { x };
    if x < 0.0 { -1.0 } else { right }
}

/// `x` held between two bounds, the upper one last; NaN stays.
#[inline(always)]
pub(in crate::kernels) fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}
