//! The exponential function and the pieces that others build on.

use super::upper_half;

/// Adding and taking away `1.5 * 2^23` rounds to an integer, which then stands in the lowest bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 as a number of 9 bits, so that small multiples are exact, and the rest.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// `exp` of less is zero, also times `|x|`.
pub(super) const LOWEST: f32 = -112.0;

/// `e^x`. Results below the smallest normal number are rounded once, to subnormal ones.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = if x < LOWEST { LOWEST } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let (p, n) = parts(x);
    scale(p, n)
}

/// `e^x - 1`, accurate near zero too; keeps the sign of zero.
#[inline(always)]
pub fn exp_m1(x: f32) -> f32 {
    exp_m1_of_sum(x, 0.0)
}

/// [`exp_m1`] of `x + low`, where `low` holds what does not fit into `x`.
#[inline(always)]
pub(super) fn exp_m1_of_sum(x: f32, low: f32) -> f32 {
    let clamped = if x < -18.0 { -18.0 } else { x };
    let clamped = if clamped > 89.0 { 89.0 } else { clamped };
    let (n, exponent) = nearest(clamped);
    let high = clamped - n * LN2_HIGH;
    let below = n * LN2_LOW;
    let r = high - below;
    let tail = r * r * quotient(r) + (((high - r) - below) + low);
    // 2^n (e^r - 1) + (2^n - 1): the sum of the two largest terms with its rounding error. At most 2^127 here, then twice that.
    let top = exponent > 127;
    let factor = power_of_two(if top { 127 } else { exponent });
    let (a, b) = (factor * r, factor - 1.0);
    let sum = a + b;
    let b_rounded = sum - a;
    let lost = (a - (sum - b_rounded)) + (b - b_rounded);
    let result = (sum + (factor * tail + lost)) * if top { 2.0 } else { 1.0 };
    f32::from_bits(result.to_bits() | (x.to_bits() & 0x8000_0000))
}

/// `e^x = p * 2^n` with `p` in `[0.7, 1.42]`, for `|x| <= 180`. NaN gives a NaN `p`.
#[inline(always)]
pub(super) fn parts(x: f32) -> (f32, i32) {
    let (n, exponent) = nearest(x);
    let high = x - n * LN2_HIGH;
    let below = n * LN2_LOW;
    let r = high - below;
    let (p, p_low) = one_plus(high, r * r * quotient(r) - below);
    (p + p_low, exponent)
}

/// [`parts`] of `x + low`, where `low` holds what does not fit into `x`; `p` too comes in two parts, to be added last.
#[inline(always)]
pub(super) fn parts_of_sum(x: f32, low: f32) -> (f32, f32, i32) {
    let (n, exponent) = nearest(x + low);
    let high = x - n * LN2_HIGH;
    let below = n * LN2_LOW - low;
    let r = high - below;
    let (p, p_low) = one_plus(high, r * r * quotient(r) - below);
    (p, p_low, exponent)
}

/// `1 + a + b` as a number and what it lacks, for `|b|` much below `|a| < 1`.
#[inline(always)]
fn one_plus(a: f32, b: f32) -> (f32, f32) {
    let sum = 1.0 + a;
    let lost = (1.0 - sum) + a;
    (sum, lost + b)
}

/// `x * (p + p_low)` as a sum of two, for `p_low` much below `p`.
#[inline(always)]
pub(super) fn product(x: f32, p: f32, p_low: f32) -> (f32, f32) {
    let (x_high, p_high) = (upper_half(x), upper_half(p));
    (x_high * p_high, (x - x_high) * p_high + x * ((p - p_high) + p_low))
}

/// `x * (p + p_low)`, rounded hardly more than once, for `p_low` much below `p`.
#[inline(always)]
pub(super) fn times_sum(x: f32, p: f32, p_low: f32) -> f32 {
    let (high, low) = product(x, p, p_low);
    high + low
}

/// `2^n` for `-126 <= n <= 127`.
#[inline(always)]
pub(super) fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// `x * 2^n` for `|n| <= 252`, rounded once if `x` is within a factor `2^100` of 1.
#[inline(always)]
pub(super) fn scale(x: f32, n: i32) -> f32 {
    let half = n >> 1;
    x * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// The integer nearest to `x / ln 2`, as both kinds of number.
#[inline(always)]
fn nearest(x: f32) -> (f32, i32) {
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    (shifted - ROUND, (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32))
}

/// `(e^r - 1 - r) / r^2` for `|r| <= ln 2 / 2`.
#[inline(always)]
fn quotient(r: f32) -> f32 {
    0.5 + r * (0.166_665_33 + r * (0.041_667_223 + r * (0.008_367_578_5 + r * 0.001_386_520_9)))
}
