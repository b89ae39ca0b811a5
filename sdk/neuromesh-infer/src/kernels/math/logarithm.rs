//! Natural logarithms, after the method of FreeBSD's msun.

/// The bits of the square root of one half: significands are taken from there to the square root of two.
const SQRT_HALF: u32 = 0x3f35_04f3;
const ONE: u32 = 0x3f80_0000;
/// ln 2 as a number of 16 bits, and the rest.
const LN2_HIGH: f32 = 0.693_138_1;
const LN2_LOW: f32 = 9.058_001e-6;

/// The natural logarithm: negative infinity at both zeros, NaN below.
#[inline(always)]
pub fn log(x: f32) -> f32 {
    let subnormal = x < f32::MIN_POSITIVE;
    let scaled = if subnormal { x * 33_554_432.0 } else { x };
    let (exponent, f) = split(scaled);
    let exponent = if subnormal { exponent.wrapping_sub(25) } else { exponent };
    let result = of_parts(exponent as f32, f, 0.0);
    let result = if x < f32::INFINITY { result } else { x };
    let result = if x == 0.0 { f32::NEG_INFINITY } else { result };
    if x < 0.0 { f32::NAN } else { result }
}

/// `log(1 + x)`, accurate near zero too; keeps the sign of zero.
#[inline(always)]
pub fn log1p(x: f32) -> f32 {
    let sum = 1.0 + x;
    let (exponent, f) = split(sum);
    // What the sum has lost, taken from the smaller addend.
    let lost = if exponent >= 2 { 1.0 - (sum - x) } else { x - (sum - 1.0) };
    let near = exponent == 0;
    let correction = if near { 0.0 } else { lost / sum };
    let result = of_parts(exponent as f32, if near { x } else { f }, correction);
    let result = if x < f32::INFINITY { result } else { x };
    let result = if x == 0.0 { x } else { result };
    let result = if x == -1.0 { f32::NEG_INFINITY } else { result };
    if x < -1.0 { f32::NAN } else { result }
}

/// `log(1 + e)` for `e` from 0 to 1.
#[inline(always)]
pub(super) fn log1p_of_fraction(e: f32) -> f32 {
    let far = e > 0.414_2;
    // The logarithm of twice `(1 + e) / 2`.
    let f = if far { 0.5 * (e - 1.0) } else { e };
    of_parts(if far { 1.0 } else { 0.0 }, f, 0.0)
}

/// `x = 2^n (1 + f)` with `1 + f` between the square roots of one half and two. `x` is positive and normal.
#[inline(always)]
fn split(x: f32) -> (i32, f32) {
    let bits = x.to_bits().wrapping_add(ONE - SQRT_HALF);
    let exponent = ((bits >> 23) as i32).wrapping_sub(127);
    (exponent, f32::from_bits((bits & 0x007f_ffff).wrapping_add(SQRT_HALF)) - 1.0)
}

/// `n ln 2 + log(1 + f) + correction`.
#[inline(always)]
fn of_parts(n: f32, f: f32, correction: f32) -> f32 {
    let s = f / (2.0 + f);
    let z = s * s;
    let series = z * (0.666_666_6 + z * (0.400_009_72 + z * (0.284_987_87 + z * 0.242_790_79)));
    let half_square = 0.5 * f * f;
    s * (half_square + series) + (n * LN2_LOW + correction) - half_square + f + n * LN2_HIGH
}
