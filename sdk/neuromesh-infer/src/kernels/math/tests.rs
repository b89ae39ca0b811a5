//! The errors of the functions, over a sample of all bit patterns.

use super::*;

/// The step through the 2^32 bit patterns: a prime, so that all exponents and significands are met.
const STEP: usize = 1021;

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

fn worst(f: impl Fn(f32) -> f32, reference: impl Fn(f64) -> f64, within: impl Fn(f32) -> bool) -> (f64, f32) {
    let mut worst = (0.0, 0.0);
    let step = std::env::var("ULP_STEP").map_or(STEP, |step| step.parse().unwrap());
    for bits in (0..=u32::MAX).step_by(step) {
        let x = f32::from_bits(bits);
        if within(x) {
            let error = ulps(f(x), reference(f64::from(x)));
            if error > worst.0 {
                worst = (error, x);
            }
        }
    }
    worst
}

fn check(name: &str, bound: f64, f: impl Fn(f32) -> f32, reference: impl Fn(f64) -> f64) {
    let (error, at) = worst(f, reference, |_| true);
    println!("{name:>12} {error:.3} ulp at {at:e} ({:#x})", at.to_bits());
    if std::env::var("ULP_ALL").is_err() {
    assert!(error <= bound, "{name}({at:e}) is {error} ulp off");
}
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
        let factor = if x < 0.0 { e * (e + 2.0) / (e * (e + 2.0) + 2.0) } else { (1.0 + 2.0 * e) / (1.0 + 2.0 * e + 2.0 * e * e) };
        weigh(x, factor)
    });
    check("elu", 2.0, |x| elu(x, 1.0), |x| if x > 0.0 { x } else { x.exp_m1() });
    let (alpha, gamma) = (1.673_263_2f32, 1.050_701f32);
    check("selu", 3.0, |x| selu(x, alpha, gamma), |x| {
        f64::from(gamma) * if x > 0.0 { x } else { f64::from(alpha) * x.exp_m1() }
    });
    check("celu", 2.0, |x| celu(x, 1.0), |x| if x > 0.0 { x } else { x.exp_m1() });
    check("hard_swish", 2.0, hard_swish, |x| weigh(x, ((x + 3.0) / 6.0).clamp(0.0, 1.0)));
}

#[test]
fn angles() {
    check("sin", 1.6, sin, f64::sin);
    check("cos", 1.6, cos, f64::cos);
}
