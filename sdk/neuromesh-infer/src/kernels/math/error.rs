//! The error function and what is made of it.

use super::exponential::{parts, parts_of_sum, power_of_two, product, scale, times_sum};
use super::upper_half;

/// The error function; keeps the sign of zero.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let z = x * x;
    let series = 0.112_817_31 + z * (-0.026_762_966 + z * (0.004_987_353 + z * -0.000_595_958_96));
    let near = x + x * (0.128_379_15 + z * (-0.376_124_9 + z * series));
    // Far from zero through the logarithm of the complement, which is smooth.
    let t = x.abs();
    let t = if t > 4.0 { 4.0 } else { t };
    let series =
        -0.106_237_04 + t * (0.023_762_183 + t * (-0.003_642_506 + t * (0.000_322_812_67 + t * -1.123_189_2e-5)));
    let (p, n) = parts(t * (-1.128_648_5 + t * (-0.635_151_2 + t * series)));
    let far = (1.0 - p * power_of_two(n)).copysign(x);
    let result = if t > 0.93 { far } else { near };
    // The sum in `near` loses the sign of a zero.
    if x == 0.0 { x } else { result }
}

/// `x / 2 * (1 + erf(x / sqrt 2))`, accurate far to the left too; `-0` at negative infinity.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    let slope = gelu_slope(x);
    let (ratio, lost) = gelu_ratio(x, slope);
    let power = gelu_power(x, lost);
    gelu_far(x, slope, ratio, power)
}

/// [`gelu`] of as many numbers as `x` has, in loops of a few steps each: a processor sees only so far ahead, and in one loop of
/// all the steps most of them wait for the one before.
#[inline(always)]
pub fn gelu_piece(x: &mut [f32], slopes: &mut [f32; PIECE], ratios: &mut [f32; PIECE], rest: &mut Powers) {
    let count = x.len();
    let (slopes, ratios) = (&mut slopes[..count], &mut ratios[..count]);
    let (p, low, n) = (&mut rest.p[..count], &mut rest.low[..count], &mut rest.n[..count]);
    for (x, slope) in x.iter().zip(slopes.iter_mut()) {
        *slope = gelu_slope(*x);
    }
    for (((x, slope), ratio), lost) in x.iter().zip(&*slopes).zip(ratios.iter_mut()).zip(p.iter_mut()) {
        (*ratio, *lost) = gelu_ratio(*x, *slope);
    }
    for (((x, p), low), n) in x.iter().zip(p.iter_mut()).zip(low.iter_mut()).zip(n.iter_mut()) {
        (*p, *low, *n) = gelu_power(*x, *p);
    }
    for (((((x, slope), ratio), p), low), n) in x.iter_mut().zip(&*slopes).zip(&*ratios).zip(&*p).zip(&*low).zip(&*n) {
        *x = gelu_far(*x, *slope, *ratio, (*p, *low, *n));
    }
}

/// The most numbers of a piece.
pub const PIECE: usize = 64;

/// What [`parts_of_sum`] gives, of a piece.
pub struct Powers {
    p: [f32; PIECE],
    low: [f32; PIECE],
    n: [i32; PIECE],
}

impl Powers {
    pub const ZERO: Powers = Powers { p: [0.0; PIECE], low: [0.0; PIECE], n: [0; PIECE] };
}

/// How far from zero the tail is evaluated.
#[inline(always)]
fn distance(x: f32) -> f32 {
    let a = x.abs();
    if a > 14.6 { 14.6 } else { a }
}

/// Far from zero through the normal distribution's tail beyond a: a * tail / divisor * e^(-a^2 / 2). This is the tail's
/// polynomial without its first term.
#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    let a = distance(x);
    let t = (a - 4.0) / (a + 4.0);
    let upper = 0.015_830_55 + t * (-0.004_867_983_5 + t * (-0.000_198_065_07 + t * 0.000_604_028_7));
    t * (-0.139_302_88 + t * (0.045_094_498 + t * (0.010_671_986 + t * (-0.024_482_178 + t * upper))))
}

/// `a / divisor`, and what this and the tail have lost.
#[inline(always)]
fn gelu_ratio(x: f32, slope: f32) -> (f32, f32) {
    let a = distance(x);
    let tail = 0.495_655_86 + slope;
    let divisor = a + 1.25;
    let ratio = a / divisor;
    // What the two sums have lost, in proportion to them (the reciprocals to two digits will do).
    let tail_low = (slope - (tail - 0.495_655_86)) * (3.85 - 3.51 * tail);
    let divisor_low = (a - (divisor - 1.25)) * (0.8 - 0.8 * ratio);
    (ratio, tail_low - divisor_low)
}

/// `e^(-a^2 / 2 + lost)`.
#[inline(always)]
fn gelu_power(x: f32, lost: f32) -> (f32, f32, i32) {
    let a = distance(x);
    // The square in two parts, as the exponential multiplies its rounding error.
    let high = upper_half(a);
    parts_of_sum(-0.5 * high * high, lost - 0.5 * (a - high) * (a + high))
}

#[inline(always)]
fn gelu_far(x: f32, slope: f32, ratio: f32, (p, p_low, n): (f32, f32, i32)) -> f32 {
    let (high, low) = product(0.495_655_86 + slope, p, p_low);
    let tail = scale(times_sum(ratio, high, low), n);
    let far = if x < 0.0 { -tail } else { x - tail };
    let z = x * x;
    let series = 0.009_975_235 + z * (-0.001_190_059 + z * 0.000_111_845_184);
    let near = x * (0.5 + x * (0.398_942_3 + z * (-0.066_490_65 + z * series)));
    if distance(x) > 0.64 { far } else { near }
}
