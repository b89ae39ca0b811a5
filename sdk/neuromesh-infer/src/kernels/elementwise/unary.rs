//! Functions of one tensor.

use super::chunks::{GRAIN, for_chunks};
use crate::kernels::cpu::{Cpu, dispatch};
use crate::kernels::math::{self, SMALL_ANGLE};

/// A function of one number. NaN in, NaN out, unless the text says otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Unary {
    Abs,
    Neg,
    Sqrt,
    /// `1 / sqrt x`, rounded after each of the two.
    Rsqrt,
    Recip,
    Square,
    Floor,
    Ceil,
    /// To the nearest integer, ties to the even one.
    Round,
    Trunc,
    Sign,
    Exp,
    ExpM1,
    Log,
    Log1p,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Erf,
    Sigmoid,
    Softplus,
    Softsign,
    Gelu,
    GeluTanh,
    Silu,
    /// `x * sigmoid(beta x)`; 1.702 gives the quick GELU.
    Swish {
        beta: f32,
    },
    Mish,
    HardSwish,
    Relu,
    LeakyRelu {
        alpha: f32,
    },
    ThresholdedRelu {
        alpha: f32,
    },
    Elu {
        alpha: f32,
    },
    Selu {
        alpha: f32,
        gamma: f32,
    },
    Celu {
        alpha: f32,
    },
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
    Shrink {
        lambda: f32,
        bias: f32,
    },
    /// Between the bounds; `high` where they are crossed.
    Clip {
        low: f32,
        high: f32,
    },
    /// `x * scale + shift`, rounded after each of the two.
    Affine {
        scale: f32,
        shift: f32,
    },
    /// See [`math::pow`].
    Pow {
        exponent: f32,
    },
}

/// `y = op(x)`.
///
/// # Panics
/// When the lengths differ.
pub fn unary(cpu: &Cpu, op: Unary, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "a map between tensors of different sizes");
    // Pieces that stay in the nearest cache between the copy and the map.
    const PIECE: usize = 2048;
    for_chunks(&cpu.threads, y, GRAIN, |index, y| {
        let x = &x[index * GRAIN..][..y.len()];
        for (x, y) in x.chunks(PIECE).zip(y.chunks_mut(PIECE)) {
            y.copy_from_slice(x);
            apply(cpu, op, y);
        }
    });
}

/// `x = op(x)`.
pub fn unary_in_place(cpu: &Cpu, op: Unary, x: &mut [f32]) {
    for_chunks(&cpu.threads, x, GRAIN, |_, x| apply(cpu, op, x));
}

fn apply(cpu: &Cpu, op: Unary, x: &mut [f32]) {
    match op {
        Unary::Abs => abs(cpu, x),
        Unary::Neg => neg(cpu, x),
        Unary::Sqrt => sqrt(cpu, x),
        Unary::Rsqrt => rsqrt(cpu, x),
        Unary::Recip => recip(cpu, x),
        Unary::Square => square(cpu, x),
        Unary::Floor => floor(cpu, x),
        Unary::Ceil => ceil(cpu, x),
        Unary::Round => round(cpu, x),
        Unary::Trunc => trunc(cpu, x),
        Unary::Sign => sign(cpu, x),
        Unary::Exp => exp(cpu, x),
        Unary::ExpM1 => exp_m1(cpu, x),
        Unary::Log => log(cpu, x),
        Unary::Log1p => log1p(cpu, x),
        Unary::Sin => sin(cpu, x),
        Unary::Cos => cos(cpu, x),
        Unary::Tan => one_by_one(x, math::tan),
        Unary::Asin => one_by_one(x, math::asin),
        Unary::Acos => one_by_one(x, math::acos),
        Unary::Atan => one_by_one(x, math::atan),
        Unary::Sinh => one_by_one(x, math::sinh),
        Unary::Cosh => one_by_one(x, math::cosh),
        Unary::Tanh => tanh(cpu, x),
        Unary::Asinh => one_by_one(x, math::asinh),
        Unary::Acosh => one_by_one(x, math::acosh),
        Unary::Atanh => one_by_one(x, math::atanh),
        Unary::Erf => erf(cpu, x),
        Unary::Sigmoid => sigmoid(cpu, x),
        Unary::Softplus => softplus(cpu, x),
        Unary::Softsign => softsign(cpu, x),
        Unary::Gelu => gelu(cpu, x),
        Unary::GeluTanh => gelu_tanh(cpu, x),
        Unary::Silu => silu(cpu, x),
        Unary::Swish { beta } => swish(cpu, x, beta),
        Unary::Mish => mish(cpu, x),
        Unary::HardSwish => hard_swish(cpu, x),
        Unary::Relu => relu(cpu, x),
        Unary::LeakyRelu { alpha } => leaky_relu(cpu, x, alpha),
        Unary::ThresholdedRelu { alpha } => thresholded_relu(cpu, x, alpha),
        Unary::Elu { alpha } => elu(cpu, x, alpha),
        Unary::Selu { alpha, gamma } => selu(cpu, x, alpha, gamma),
        Unary::Celu { alpha } => celu(cpu, x, alpha),
        Unary::HardSigmoid { alpha, beta } => hard_sigmoid(cpu, x, alpha, beta),
        Unary::Shrink { lambda, bias } => shrink(cpu, x, lambda, bias),
        Unary::Clip { low, high } => clip(cpu, x, low, high),
        Unary::Affine { scale, shift } => affine(cpu, x, scale, shift),
        // The exponents with a short cut have loops without branches.
        Unary::Pow { exponent: 2.0 } => square(cpu, x),
        Unary::Pow { exponent: 3.0 } => cube(cpu, x),
        Unary::Pow { exponent: 0.5 } => square_root(cpu, x),
        Unary::Pow { exponent: -1.0 } => recip(cpu, x),
        Unary::Pow { exponent } => one_by_one(x, |x| math::pow(x, exponent)),
    }
}

/// One dispatched loop for each function. Not one loop for any closure: the compiler leaves a long closure outside of the loop,
/// which then stays scalar.
macro_rules! maps {
    ($($name:ident($value:ident $(, $parameter:ident)*) = $result:expr;)*) => {
        dispatch! {$(
            fn $name(cpu: &Cpu, values: &mut [f32] $(, $parameter: f32)*) {
                for place in values {
                    let $value = *place;
                    *place = $result;
                }
            }
        )*}
    };
}

maps! {
    abs(x) = x.abs();
    neg(x) = -x;
    sqrt(x) = x.sqrt();
    rsqrt(x) = 1.0 / x.sqrt();
    recip(x) = 1.0 / x;
    square(x) = x * x;
    cube(x) = x * x * x;
    square_root(x) = math::square_root(x);
    floor(x) = x.floor();
    ceil(x) = x.ceil();
    round(x) = x.round_ties_even();
    trunc(x) = x.trunc();
    sign(x) = math::sign(x);
    exp(x) = math::exp(x);
    exp_m1(x) = math::exp_m1(x);
    log(x) = math::log(x);
    log1p(x) = math::log1p(x);
    tanh(x) = math::tanh(x);
    erf(x) = math::erf(x);
    sigmoid(x) = math::sigmoid(x);
    softplus(x) = math::softplus(x);
    softsign(x) = math::softsign(x);
    gelu_tanh(x) = math::gelu_tanh(x);
    silu(x) = math::silu(x);
    swish(x, beta) = math::swish(x, beta);
    mish(x) = math::mish(x);
    hard_swish(x) = math::hard_swish(x);
    relu(x) = if x < 0.0 { 0.0 } else { x };
    leaky_relu(x, alpha) = if x < 0.0 { alpha * x } else { x };
    thresholded_relu(x, alpha) = math::thresholded_relu(x, alpha);
    elu(x, alpha) = math::elu(x, alpha);
    selu(x, alpha, gamma) = math::selu(x, alpha, gamma);
    celu(x, alpha) = math::celu(x, alpha);
    hard_sigmoid(x, alpha, beta) = math::hard_sigmoid(x, alpha, beta);
    shrink(x, lambda, bias) = math::shrink(x, lambda, bias);
    clip(x, low, high) = math::clamp(x, low, high);
    affine(x, scale, shift) = x * scale + shift;
}

dispatch! {
    fn gelu(cpu: &Cpu, values: &mut [f32]) {
        let (mut slopes, mut ratios, mut powers) = ([0.0; math::PIECE], [0.0; math::PIECE], math::Powers::ZERO);
        for piece in values.chunks_mut(math::PIECE) {
            math::gelu_piece(piece, &mut slopes, &mut ratios, &mut powers);
        }
    }
}

/// Pieces of small angles without branches, others one by one.
macro_rules! angles {
    ($($name:ident = $small:path, $any:path;)*) => {
        dispatch! {$(
            fn $name(cpu: &Cpu, values: &mut [f32]) {
                for piece in values.chunks_mut(256) {
                    if piece.iter().fold(true, |all, x| all & (x.abs() <= SMALL_ANGLE)) {
                        for value in piece {
                            *value = $small(*value);
                        }
                    } else {
                        one_by_one(piece, $any);
                    }
                }
            }
        )*}
    };
}

angles! {
    sin = math::sin_small, math::sin;
    cos = math::cos_small, math::cos;
}

fn one_by_one(values: &mut [f32], f: impl Fn(f32) -> f32) {
    for value in values {
        *value = f(*value);
    }
}
