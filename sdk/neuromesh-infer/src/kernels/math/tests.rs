//! The errors of the functions, over a sample of all bit patterns.

use super::*;

/// The step through the 2^32 bit patterns: a prime, so that all exponents and significands are met.
const STEP: usize = 1021;

const EDGES: [f32; 12] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
];

/// The distance in units in the last place of the expected number.
fn ulps(found: f32, expected: f64) -> f64 {
    if expected.is_nan() || found.is_nan() {
        return if expected.is_nan() == found.is_nan() { 0.0 } else { f64::INFINITY };
    }
    // Infinity counts as the power of two that it stands for.
    let large = 2f64.powi(128);
    let hold = |x: f64| x.clamp(-large, large);
    let exponent = ((expected.abs().to_bits() >> 52) as i32 - 1023).clamp(-126, 127);
    (hold(f64::from(found)) - hold(expected)).abs() / 2f64.powi(exponent - 23)
}

fn worst(f: impl Fn(f32) -> f32, reference: impl Fn(f64) -> f64) -> (f64, f32) {
    let mut worst = (0.0, 0.0);
    for x in (0..=u32::MAX).step_by(STEP).map(f32::from_bits).chain(EDGES) {
        let error = ulps(f(x), reference(f64::from(x)));
        if error > worst.0 {
            worst = (error, x);
        }
    }
    worst
}

fn check(name: &str, bound: f64, f: impl Fn(f32) -> f32, reference: impl Fn(f64) -> f64) {
    let (error, at) = worst(f, reference);
    println!("{name:>12} {error:.3} ulp at {at:e} ({:#x})", at.to_bits());
    assert!(error <= bound, "{name}({at:e}) is {error} ulp off");
}

fn sigmoid_of(x: f64) -> f64 {
    if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
}

/// `x` at negative infinity counts as the limit.
fn weigh(x: f64, factor: f64) -> f64 {
    if factor == 0.0 { 0.0 } else { x * factor }
}

#[test]
fn exponentials_and_logarithms() {
    check("exp", 1.1, exp, f64::exp);
    check("exp_m1", 1.5, exp_m1, f64::exp_m1);
    check("log", 1.1, log, f64::ln);
    check("log1p", 1.1, log1p, f64::ln_1p);
    check("softplus", 2.0, softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p());
}

#[test]
fn saturating_functions() {
    check("tanh", 1.6, tanh, f64::tanh);
    check("sigmoid", 2.0, sigmoid, sigmoid_of);
    check("erf", 1.6, erf, libm::erf);
}

#[test]
fn activations() {
    check("gelu", 2.0, gelu, |x| weigh(x, 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)));
    let inner = |x: f64| 1.595_769_121_605_730_7 * (x + 0.044_715 * x * x * x);
    check("gelu_tanh", 2.0, gelu_tanh, |x| weigh(x, sigmoid_of(inner(x))));
    check("silu", 2.0, silu, |x| weigh(x, sigmoid_of(x)));
    let beta = 1.702f32;
    check("swish", 2.0, |x| swish(x, beta), |x| weigh(x, sigmoid_of(x * f64::from(beta))));
    check("mish", 2.0, mish, |x| {
        let e = (-x.abs()).exp();
        let factor = if x < 0.0 {
            e * (e + 2.0) / (e * (e + 2.0) + 2.0)
        } else {
            (1.0 + 2.0 * e) / (1.0 + 2.0 * e + 2.0 * e * e)
        };
        weigh(x, factor)
    });
    check("elu", 2.0, |x| elu(x, 1.0), |x| if x > 0.0 { x } else { x.exp_m1() });
    let (alpha, gamma) = (1.673_263_2f32, 1.050_701f32);
    check(
        "selu",
        2.0,
        |x| selu(x, alpha, gamma),
        |x| f64::from(gamma) * if x > 0.0 { x } else { f64::from(alpha) * x.exp_m1() },
    );
    let alpha = 1.3f32;
    check(
        "celu",
        2.0,
        |x| celu(x, alpha),
        |x| if x > 0.0 { x } else { f64::from(alpha) * (x / f64::from(alpha)).exp_m1() },
    );
    check("hard_swish", 2.0, hard_swish, |x| weigh(x, ((x + 3.0) / 6.0).clamp(0.0, 1.0)));
}

#[test]
fn angles() {
    check("sin", 1.6, sin, f64::sin);
    check("cos", 1.6, cos, f64::cos);
}

#[test]
fn zeros_keep_their_sign() {
    for f in [exp_m1, log1p, tanh, erf, gelu, gelu_tanh, silu, mish, sin, sign, softsign, hard_swish] {
        assert_eq!(f(0.0).to_bits(), 0);
        assert_eq!(f(-0.0).to_bits(), (-0.0f32).to_bits());
    }
}

#[test]
fn nan_stays_nan() {
    let plain = [exp, exp_m1, log, log1p, tanh, erf, gelu, gelu_tanh, sigmoid, silu, mish, softplus, sin, cos, sign];
    for f in plain.into_iter().chain([softsign, hard_swish]) {
        for bits in [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0xffff_ffff] {
            assert!(f(f32::from_bits(bits)).is_nan());
        }
    }
    let nan = f32::NAN;
    let others = [elu(nan, 1.0), selu(nan, 1.0, 1.0), celu(nan, 1.0), hard_sigmoid(nan, 0.2, 0.5), swish(nan, 1.0)];
    assert!(others.iter().all(|x| x.is_nan()));
    assert!(thresholded_relu(nan, 1.0).is_nan() && shrink(nan, 0.5, 0.0).is_nan() && clamp(nan, 0.0, 1.0).is_nan());
    assert!(
        log(-1.0).is_nan() && log1p(-1.5).is_nan() && sin(f32::INFINITY).is_nan() && cos(f32::NEG_INFINITY).is_nan()
    );
}

#[test]
fn limits() {
    let inf = f32::INFINITY;
    for f in [exp, exp_m1, log, log1p, gelu, gelu_tanh, silu, mish, softplus, hard_swish] {
        assert_eq!(f(inf), inf);
    }
    for f in [gelu, gelu_tanh, silu, mish, sigmoid, softplus, exp] {
        assert_eq!(f(-inf), 0.0);
        assert_eq!(f(f32::MIN), 0.0);
    }
    assert_eq!((log(0.0), log(-0.0), log1p(-1.0)), (-inf, -inf, -inf));
    assert_eq!((tanh(-inf), erf(-inf), exp_m1(-inf), sigmoid(inf)), (-1.0, -1.0, -1.0, 1.0));
    assert_eq!((swish(inf, 2.0), swish(-inf, 2.0), swish(f32::MIN, 1.0), swish(inf, -2.0)), (inf, 0.0, 0.0, 0.0));
}

#[test]
fn maximum_and_minimum_do_not_depend_on_the_order() {
    let numbers = [f32::NAN, -f32::NAN, 0.0, -0.0, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY];
    let bits = |x: f32| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() };
    for a in numbers {
        for b in numbers {
            assert_eq!(bits(max(a, b)), bits(max(b, a)));
            assert_eq!(bits(min(a, b)), bits(-max(-a, -b)));
            assert_eq!(max(a, b).is_nan(), a.is_nan() || b.is_nan());
        }
    }
    assert_eq!(max(-0.0, 0.0).to_bits(), 0);
}

#[test]
fn powers() {
    let inf = f32::INFINITY;
    for x in [-3.5f32, 0.0, 1.7, 1e20] {
        assert_eq!((pow(x, 2.0), pow(x, 3.0), pow(x, 1.0), pow(x, 0.0)), (x * x, x * x * x, x, 1.0));
    }
    assert_eq!((pow(2.0, 0.5), pow(-inf, 0.5), pow(-0.0, 0.5).to_bits()), (2f32.sqrt(), inf, 0));
    assert_eq!((pow(2.0, 10.0), pow(-2.0, 5.0), pow(4.0, -0.5), pow(4.0, -1.0)), (1024.0, -32.0, 0.5, 0.25));
    assert!(pow(-2.0, 0.3).is_nan());
    assert_eq!((remainder(-7.0, 3.0), modulo(-7.0, 3.0), modulo(7.0, -3.0), modulo(6.0, 3.0)), (-1.0, 2.0, -2.0, 0.0));
}

#[test]
fn functions_of_libm_are_close() {
    check("tan", 2.0, tan, f64::tan);
    check("asin", 2.0, asin, f64::asin);
    check("acos", 2.0, acos, f64::acos);
    check("atan", 2.0, atan, f64::atan);
    check("sinh", 3.0, sinh, f64::sinh);
    check("cosh", 3.0, cosh, f64::cosh);
    check("asinh", 3.0, asinh, f64::asinh);
    check("acosh", 3.0, acosh, f64::acosh);
    check("atanh", 3.0, atanh, f64::atanh);
    check("pow 0.37", 2.0, |x| pow(x, 0.37), |x| x.powf(f64::from(0.37f32)));
    check("pow 3", 2.0, |x| pow(x, 3.0), |x| x.powi(3));
}

#[test]
fn canonical_nan() {
    let mut values = [f32::from_bits(0xffc0_1234), 1.0, -0.0];
    canonicalize(&mut values);
    assert_eq!(values.map(f32::to_bits), [0x7fc0_0000, 0x3f80_0000, 0x8000_0000]);
}
