//! Our own kernels for activations: plain loops without branches, which become SIMD on every target.

/// `x / 2 * (1 + erf(x / sqrt 2))`.
#[inline]
pub(crate) fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    // Abramowitz and Stegun 7.1.26: the error of erf is below 1.5e-7.
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series = t * (0.254_829_6 + t * (-0.284_496_72 + t * (1.421_413_8 + t * (-1.453_152_1 + t * 1.061_405_4))));
    let tail = series * exp_negative(-z * z);
    // 1 + erf: the tail itself on the left, so that nothing cancels there.
    0.5 * x * if x < 0.0 { tail } else { 2.0 - tail }
}

/// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`.
#[inline]
pub(crate) fn gelu_tanh(x: f32) -> f32 {
    let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
    // (1 + tanh y) / 2 = 1 / (1 + exp(-2y)), from the side where exp does not overflow.
    let small = exp_negative(-2.0 * inner.abs());
    x * if inner < 0.0 { small } else { 1.0 } / (1.0 + small)
}

/// Softmax of a row, in place.
pub(crate) fn softmax(row: &mut [f32]) {
    let highest = maximum(row);
    if highest == f32::NEG_INFINITY || highest.is_nan() || highest == f32::INFINITY {
        // No finite element leads: by the definition, whatever it gives.
        row.iter_mut().for_each(|x| *x = (*x - highest).exp());
    } else {
        row.iter_mut().for_each(|x| *x = exp_negative(*x - highest));
    }
    let factor = 1.0 / sum(row);
    row.iter_mut().for_each(|x| *x *= factor);
}

/// Lanes of the reductions: wide enough for every target's vectors, and the same everywhere, so that sums are too.
const LANES: usize = 16;

fn maximum(row: &[f32]) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &x)| *lane = if x > *lane { x } else { *lane });
    }
    let highest = lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
    match row.iter().any(|x| x.is_nan()) {
        true => f32::NAN,
        false => highest,
    }
}

fn sum(row: &[f32]) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [0f32; LANES];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &x)| *lane += x);
    }
    lanes.iter().chain(rest).sum()
}

/// `exp(x)` for `x <= 0`, within 2 units in the last place down to the smallest normal number, below it nearly zero.
#[inline]
pub(crate) fn exp_negative(x: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds to an integer.
    const ROUND: f32 = 12_582_912.0;
    // Below this the result is not a normal number. A comparison, so that NaN stays NaN.
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, so that the difference is exact.
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p =
        1.0 + r * (1.0 + r * (0.5 + r * (0.166_666_55 + r * (0.041_665_795 + r * (0.008_333_452 + r * 0.001_393_37)))));
    let exponent = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32).wrapping_add(127);
    p * f32::from_bits((exponent << 23) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_everywhere_below_zero() {
        for step in 0..870_000 {
            let x = -(step as f32) * 1e-4;
            let (found, expected) = (exp_negative(x), f64::from(x).exp());
            assert!((f64::from(found) - expected).abs() <= 2.5e-7 * expected, "exp({x}) = {found}, not {expected}");
        }
        assert!(exp_negative(-1e30) < 2e-38);
        assert!(exp_negative(f32::NAN).is_nan());
    }

    #[test]
    fn gelu_is_the_identity_far_right_and_zero_far_left() {
        assert_eq!(gelu(40.0), 40.0);
        assert_eq!(gelu_tanh(40.0), 40.0);
        assert!(gelu(-40.0).abs() < 1e-30 && gelu_tanh(-40.0).abs() < 1e-30);
        assert!(gelu(f32::NAN).is_nan() && gelu_tanh(f32::NAN).is_nan());
    }

    #[test]
    fn softmax_sums_to_one_and_keeps_nan() {
        let mut row: Vec<f32> = (0..37).map(|index| (index as f32 * 7.3).sin() * 50.0).collect();
        softmax(&mut row);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        let mut row = [1.0, f32::NAN, 3.0];
        softmax(&mut row);
        assert!(row.iter().all(|x| x.is_nan()));
        let mut row = [f32::NEG_INFINITY, 0.0];
        softmax(&mut row);
        assert_eq!(row[1], 1.0);
    }
}
