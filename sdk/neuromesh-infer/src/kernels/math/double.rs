//! The functions for `f64`, all from the `libm` crate: rare in models, so one at a time.

macro_rules! from_libm {
    ($($(#[$meta:meta])* $name:ident = $function:ident;)*) => {$(
        $(#[$meta])*
        #[inline]
        pub fn $name(x: f64) -> f64 {
            libm::$function(x)
        }
    )*};
}

from_libm! {
    /// `e^x`.
    exp = exp;
    /// `e^x - 1`.
    exp_m1 = expm1;
    /// The natural logarithm.
    log = log;
    /// `log(1 + x)`.
    log1p = log1p;
    /// The error function.
    erf = erf;
    /// The sine.
    sin = sin;
    /// The cosine.
    cos = cos;
    /// The tangent.
    tan = tan;
    /// The inverse sine.
    asin = asin;
    /// The inverse cosine.
    acos = acos;
    /// The inverse tangent.
    atan = atan;
    /// The hyperbolic sine.
    sinh = sinh;
    /// The hyperbolic cosine.
    cosh = cosh;
    /// The hyperbolic tangent.
    tanh = tanh;
    /// The inverse hyperbolic sine.
    asinh = asinh;
    /// The inverse hyperbolic tangent.
    atanh = atanh;
}

/// The inverse hyperbolic cosine; NaN below 1, where `libm` gives numbers.
#[inline]
pub fn acosh(x: f64) -> f64 {
    if x < 1.0 { f64::NAN } else { libm::acosh(x) }
}

/// `x^y` as C's `pow`, with the same short cuts as for `f32`.
#[inline]
pub fn pow(x: f64, y: f64) -> f64 {
    if y == 2.0 {
        x * x
    } else if y == 3.0 {
        x * x * x
    } else if y == 1.0 {
        x
    } else if y == 0.5 {
        if x == f64::NEG_INFINITY { f64::INFINITY } else { (x + 0.0).sqrt() }
    } else if y == -1.0 {
        1.0 / x
    } else {
        libm::pow(x, y)
    }
}

/// `1 / (1 + e^-x)`.
#[inline]
pub fn sigmoid(x: f64) -> f64 {
    let e = exp(-x.abs());
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

/// `log(1 + e^x)`.
#[inline]
pub fn softplus(x: f64) -> f64 {
    let rest = log1p(exp(-x.abs()));
    if x > 0.0 { x + rest } else { rest }
}

/// `x / 2 * (1 + erf(x / sqrt 2))`.
#[inline]
pub fn gelu(x: f64) -> f64 {
    0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`.
#[inline]
pub fn gelu_tanh(x: f64) -> f64 {
    const TWICE_SQRT_2_OVER_PI: f64 = 1.595_769_121_605_730_7;
    x * sigmoid(TWICE_SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x))
}
