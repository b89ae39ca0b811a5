//! The logistic function, its relatives, and the activations that weigh `x` by it.

use super::exponential::{LOWEST, parts, parts_of_sum, power_of_two, product, scale, times_sum};
use super::logarithm::log1p_of_fraction;
use super::upper_half;

/// The hyperbolic tangent; keeps the sign of zero.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let z = x * x;
    let series = -0.053_737_12 + z * (0.020_630_67 + z * -0.005_695_554_4);
    let near = x + x * z * (-0.333_332_8 + z * (0.133_314_1 + z * series));
    let a = x.abs();
    let a = if a > 9.5 { 9.5 } else { a };
    let (p, n) = parts(a + a);
    let far = (1.0 - 2.0 / (p * power_of_two(n) + 1.0)).copysign(x);
    let result = if a > 0.625 { far } else { near };
    if x == 0.0 { x } else { result }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    gate(1.0, if x < LOWEST { LOWEST } else { x }, 0.0)
}

/// `x / (1 + e^-x)`; `-0` at negative infinity.
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    let x = if x < LOWEST { LOWEST } else { x };
    gate(x, x, 0.0)
}

/// `x / (1 + e^(-beta x))`.
#[inline(always)]
pub fn swish(x: f32, beta: f32) -> f32 {
    let high = x * beta;
    let (x_high, beta_high) = (upper_half(x), upper_half(beta));
    let (x_low, beta_low) = (x - x_high, beta - beta_high);
    let low = ((x_high * beta_high - high) + (x_high * beta_low + x_low * beta_high)) + x_low * beta_low;
    // Beyond this even the largest number is weighed down to nothing.
    let nothing = high < -173.0;
    let z = if nothing { -173.0 } else { high };
    let small = z < 173.0 && z > -173.0;
    gate(if nothing { -0.0 } else { x }, z, if small { low } else { 0.0 })
}

/// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`, accurate far to the left too; `-0` at negative infinity.
#[inline(always)]
pub fn gelu_tanh(x: f32) -> f32 {
    // 2 sqrt(2 / pi), and that times 0.044715, each as a sum.
    const LINEAR: (f32, f32) = (1.595_769_2, -4.534_068e-8);
    const CUBIC: (f32, f32) = (0.071_350_1, 4.718_616e-6);
    let x = if x < -11.5 { -11.5 } else { x };
    let z = if x > 11.5 { 11.5 } else { x };
    // z * (LINEAR + CUBIC * z^2) with twice the precision, as `exp` multiplies its error.
    let z_high = upper_half(z);
    let square = z_high * z_high;
    let square_low = (z - z_high) * (z + z_high);
    let square_high = upper_half(square);
    let square_low = (square - square_high) + square_low;
    let (sum, lost) = two_sum(LINEAR.0, CUBIC.0 * square_high);
    let sum_low = lost + (LINEAR.1 + (CUBIC.0 * square_low + CUBIC.1 * (z * z)));
    let sum_high = upper_half(sum);
    let sum_low = (sum - sum_high) + sum_low;
    gate(x, sum_high * z_high, sum_high * (z - z_high) + sum_low * z)
}

/// `x * tanh(softplus(x))`; `-0` at negative infinity.
#[inline(always)]
pub fn mish(x: f32) -> f32 {
    let x = if x < LOWEST { LOWEST } else { x };
    let negative = x < 0.0;
    let a = if negative { x } else { -x };
    let (p, p_low, n) = parts_of_sum(if a < LOWEST { LOWEST } else { a }, 0.0);
    let unit = power_of_two(if n < -126 { -126 } else { n });
    let rounded = p + p_low;
    let (e, e_low) = (rounded * unit, ((p - rounded) + p_low) * unit);
    // With e = exp x: x e (2 + e) / (2 + e (2 + e)). With e = exp -x: x (1 + 2e) / (1 + 2e + 2e^2).
    let (first, second, e_low) = if negative { (2.0, e, e_low) } else { (1.0, 2.0 * e, 2.0 * e_low) };
    let (numerator, numerator_low) = two_sum(first, second);
    let (first, factor, share) = if negative { (2.0, numerator, 2.0) } else { (numerator, second, second * e) };
    let (high, low) = product(factor, e, e_low);
    let (divisor, divisor_low) = two_sum(first, high + low);
    let divisor_low = divisor_low + ((high - (high + low)) + low);
    // What the rounded terms lack, in proportion.
    let lost = (share * (numerator_low + e_low) - divisor_low * numerator) / (numerator * divisor);
    let (p, p_low) = if negative { (p, p_low) } else { (1.0, 0.0) };
    let (high, low) = product(numerator, p, p_low + p * lost);
    let result = scale(times_sum(x, high, low) / divisor, if negative { n } else { 0 });
    // Infinity cannot be split, and a negative zero would lose its sign.
    if (x > 30.0) | (x == 0.0) { x } else { result }
}

/// `log(1 + e^x)`.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let a = -x.abs();
    let (p, n) = parts(if a < LOWEST { LOWEST } else { a });
    let rest = log1p_of_fraction(scale(p, n));
    if x > 0.0 { x + rest } else { rest }
}

/// `x / (1 + e^-(z + low))` for `z >= -180`.
#[inline(always)]
fn gate(x: f32, z: f32, low: f32) -> f32 {
    let negative = z < 0.0;
    let (a, low) = if negative { (z, low) } else { (-z, -low) };
    let (p, p_low, n) = parts_of_sum(if a < -180.0 { -180.0 } else { a }, low);
    let e = (p + p_low) * power_of_two(if n < -126 { -126 } else { n });
    let divisor = 1.0 + e;
    let lost = e - (divisor - 1.0);
    // Negative: x e / (1 + e), where the numerator makes up for what the divisor has lost (1 / divisor to two digits will do).
    let weighed = times_sum(x, p, p_low - p * (lost * (0.957 - 0.457 * e)));
    let quotient = (if negative { weighed } else { x }) / divisor;
    // The power of two comes last, so that nothing is lost where e is subnormal.
    scale(quotient, if negative { n } else { 0 })
}

/// The sum as rounded, and what it has lost.
#[inline(always)]
fn two_sum(a: f32, b: f32) -> (f32, f32) {
    let sum = a + b;
    let rounded = sum - a;
    (sum, (a - (sum - rounded)) + (b - rounded))
}
