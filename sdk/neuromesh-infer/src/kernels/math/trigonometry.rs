//! Sine and cosine.

/// [`sin_small`] and [`cos_small`] hold up to this magnitude.
pub const SMALL_ANGLE: f32 = 131_072.0;

/// The sine: [`sin_small`] up to [`SMALL_ANGLE`], beyond it `libm`. Keeps the sign of zero; NaN at infinity.
#[inline]
pub fn sin(x: f32) -> f32 {
    if x.abs() > SMALL_ANGLE { libm::sinf(x) } else { sin_small(x) }
}

/// The cosine: [`cos_small`] up to [`SMALL_ANGLE`], beyond it `libm`. NaN at infinity.
#[inline]
pub fn cos(x: f32) -> f32 {
    if x.abs() > SMALL_ANGLE { libm::cosf(x) } else { cos_small(x) }
}

/// The sine for `|x| <= SMALL_ANGLE`, without branches.
#[inline(always)]
pub fn sin_small(x: f32) -> f32 {
    let (r, quarter) = reduce(x);
    let result = quadrant(r, quarter);
    if x == 0.0 { x } else { result }
}

/// The cosine for `|x| <= SMALL_ANGLE`, without branches.
#[inline(always)]
pub fn cos_small(x: f32) -> f32 {
    let (r, quarter) = reduce(x);
    quadrant(r, quarter.wrapping_add(1))
}

/// `x = r + quarter * pi / 2` with `|r|` hardly above `pi / 4`.
#[inline(always)]
fn reduce(x: f32) -> (f32, u32) {
    const ROUND: f32 = 12_582_912.0;
    /// pi / 2 as a number of 25 bits, so that its multiples are exact in `f64`, and the rest.
    const HIGH: f64 = 1.570_796_310_901_641_8;
    const LOW: f64 = 1.589_325_477_352_819_7e-8;
    let shifted = x * std::f32::consts::FRAC_2_PI + ROUND;
    let n = f64::from(shifted - ROUND);
    (((f64::from(x) - n * HIGH) - n * LOW) as f32, shifted.to_bits())
}

/// The sine of `r + quarter * pi / 2`.
#[inline(always)]
fn quadrant(r: f32, quarter: u32) -> f32 {
    let z = r * r;
    let sine = r + r * z * (-0.166_666_54 + z * (0.008_332_095 + z * -0.000_195_055_4));
    let cosine = 1.0 - (0.5 * z - z * z * (0.041_666_64 + z * (-0.001_388_713_5 + z * 2.441_295_7e-5)));
    let chosen = if quarter & 1 == 0 { sine } else { cosine };
    f32::from_bits(chosen.to_bits() ^ ((quarter & 2) << 30))
}
