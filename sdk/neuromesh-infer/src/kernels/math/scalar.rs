//! Functions too rare for vectors of their own: the `libm` crate, which is plain Rust.

/// `x^y` as C's `pow`, with short cuts that depend on `y` alone: powers of 0, 1, 2, 3, -1 and 1/2 are made of
/// multiplications, a division or a square root.
#[inline]
pub fn pow(x: f32, y: f32) -> f32 {
    if y == 2.0 {
        x * x
    } else if y == 3.0 {
        x * x * x
    } else if y == 1.0 {
        x
    } else if y == 0.5 {
        square_root(x)
    } else if y == -1.0 {
        1.0 / x
    } else if y == 0.0 {
        1.0
    } else {
        libm::powf(x, y)
    }
}

/// `x^(1/2)` as C's `pow` has it: infinity at negative infinity, and positive at negative zero.
#[inline(always)]
pub(in crate::kernels) fn square_root(x: f32) -> f32 {
    let root = (x + 0.0).sqrt();
    if x == f32::NEG_INFINITY { f32::INFINITY } else { root }
}

macro_rules! from_libm {
    ($($(#[$meta:meta])* $name:ident = $function:ident;)*) => {$(
        $(#[$meta])*
        #[inline]
        pub fn $name(x: f32) -> f32 {
            libm::$function(x)
        }
    )*};
}

from_libm! {
    /// The tangent.
    tan = tanf;
    /// The inverse sine.
    asin = asinf;
    /// The inverse cosine.
    acos = acosf;
    /// The inverse tangent.
    atan = atanf;
    /// The hyperbolic sine.
    sinh = sinhf;
    /// The hyperbolic cosine.
    cosh = coshf;
    /// The inverse hyperbolic sine.
    asinh = asinhf;
    /// The inverse hyperbolic tangent.
    atanh = atanhf;
}

/// The inverse hyperbolic cosine; NaN below 1, where `libm` gives numbers.
#[inline]
pub fn acosh(x: f32) -> f32 {
    if x < 1.0 { f32::NAN } else { libm::acoshf(x) }
}
