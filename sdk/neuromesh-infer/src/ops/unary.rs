//! Functions of one tensor, element by element.

use super::{
    Operator,
    call::{self, Call, Outputs},
    elementwise::map,
    op,
};
use crate::{DataType, Fault, attribute::wrong, kernels::elementwise::Unary, shape::pad_rank};

pub(super) const TABLE: &[Operator] = &[
    op("*Gelu", 1, 1..=1, |call| with_rank(call, Unary::Gelu)),
    op("*GeluTanh", 1, 1..=1, |call| with_rank(call, Unary::GeluTanh)),
    op("*HardSwish", 1, 1..=1, |call| one(call, Unary::HardSwish)),
    op("*Silu", 1, 1..=1, |call| one(call, Unary::Silu)),
    op("Abs", 1, 1..=1, |call| signed(call, Unary::Abs, i64::wrapping_abs)),
    op("Acos", 7, 1..=1, |call| one(call, Unary::Acos)),
    op("Acosh", 9, 1..=1, |call| one(call, Unary::Acosh)),
    op("Asin", 7, 1..=1, |call| one(call, Unary::Asin)),
    op("Asinh", 9, 1..=1, |call| one(call, Unary::Asinh)),
    op("Atan", 7, 1..=1, |call| one(call, Unary::Atan)),
    op("Atanh", 9, 1..=1, |call| one(call, Unary::Atanh)),
    op("Ceil", 1, 1..=1, |call| one(call, Unary::Ceil)),
    op("Celu", 12, 1..=1, |call| {
        let alpha = number(call, "alpha", 1.0)?;
        one(call, Unary::Celu { alpha })
    }),
    op("Clip", 1, 1..=3, clip),
    op("Cos", 7, 1..=1, |call| one(call, Unary::Cos)),
    op("Cosh", 9, 1..=1, |call| one(call, Unary::Cosh)),
    op("Elu", 1, 1..=1, |call| {
        let alpha = number(call, "alpha", 1.0)?;
        one(call, Unary::Elu { alpha })
    }),
    op("Erf", 9, 1..=1, |call| one(call, Unary::Erf)),
    op("Exp", 1, 1..=1, |call| one(call, Unary::Exp)),
    op("Floor", 1, 1..=1, |call| one(call, Unary::Floor)),
    op("Gelu", 20, 1..=1, gelu),
    op("HardSigmoid", 1, 1..=1, |call| {
        let (alpha, beta) = (number(call, "alpha", 0.2)?, number(call, "beta", 0.5)?);
        one(call, Unary::HardSigmoid { alpha, beta })
    }),
    op("HardSwish", 14, 1..=1, |call| one(call, Unary::HardSwish)),
    op("LeakyRelu", 1, 1..=1, |call| {
        let alpha = number(call, "alpha", 0.01)?;
        one(call, Unary::LeakyRelu { alpha })
    }),
    op("Log", 1, 1..=1, |call| one(call, Unary::Log)),
    op("Mish", 18, 1..=1, |call| one(call, Unary::Mish)),
    op("Neg", 1, 1..=1, |call| signed(call, Unary::Neg, i64::wrapping_neg)),
    op("Reciprocal", 1, 1..=1, |call| one(call, Unary::Recip)),
    op("Relu", 1, 1..=1, |call| signed(call, Unary::Relu, |value| value.max(0))),
    op("Round", 11, 1..=1, |call| one(call, Unary::Round)),
    op("Selu", 1, 1..=1, |call| {
        let (alpha, gamma) = (number(call, "alpha", 1.673_263_2)?, number(call, "gamma", 1.050_701)?);
        one(call, Unary::Selu { alpha, gamma })
    }),
    op("Shrink", 9, 1..=1, |call| {
        let (lambda, bias) = (number(call, "lambd", 0.5)?, number(call, "bias", 0.0)?);
        one(call, Unary::Shrink { lambda, bias })
    }),
    op("Sigmoid", 1, 1..=1, |call| one(call, Unary::Sigmoid)),
    op("Sign", 9, 1..=1, |call| signed(call, Unary::Sign, i64::signum)),
    op("Sin", 7, 1..=1, |call| one(call, Unary::Sin)),
    op("Sinh", 9, 1..=1, |call| one(call, Unary::Sinh)),
    op("Softplus", 1, 1..=1, |call| one(call, Unary::Softplus)),
    op("Softsign", 1, 1..=1, |call| one(call, Unary::Softsign)),
    op("Sqrt", 1, 1..=1, |call| one(call, Unary::Sqrt)),
    op("Tan", 7, 1..=1, |call| one(call, Unary::Tan)),
    op("Tanh", 1, 1..=1, |call| one(call, Unary::Tanh)),
    op("ThresholdedRelu", 1, 1..=1, |call| {
        let alpha = number(call, "alpha", 1.0)?;
        one(call, Unary::ThresholdedRelu { alpha })
    }),
];

fn one(call: &mut Call<'_>, op: Unary) -> Result<Outputs, Fault> {
    call::one(map(call, op)?)
}

fn number(call: &Call<'_>, name: &str, default: f32) -> Result<f32, Fault> {
    Ok(call.attributes().float(name)?.unwrap_or(default))
}

fn gelu(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    match call.attributes().text("approximate")?.unwrap_or("none") {
        "none" => one(call, Unary::Gelu),
        "tanh" => one(call, Unary::GeluTanh),
        other => Err(wrong("approximate", &format!("{other:?} is neither \"none\" nor \"tanh\""))),
    }
}

/// The constants that were folded into the operator may have had more dimensions than its operand.
fn with_rank(call: &mut Call<'_>, op: Unary) -> Result<Outputs, Fault> {
    let rank = call.attributes().int("rank")?.unwrap_or(0) as usize;
    let result = map(call, op)?;
    let padded = pad_rank(result.shape(), rank);
    call::one(result.reshape(padded))
}

fn clip(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    if call.opset() < 11 {
        let low = call.attributes().float("min")?.unwrap_or(f32::MIN);
        let high = call.attributes().float("max")?.unwrap_or(f32::MAX);
        return one(call, Unary::Clip { low, high });
    }
    match call.data_type(0)? {
        DataType::F32 => {
            let bound = |input: usize, default: f32| match call.has(input) {
                true => call.number(input).map(|value| value as f32),
                false => Ok(default),
            };
            let (low, high) = (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?);
            one(call, Unary::Clip { low, high })
        }
        _ => {
            let bound = |input: usize, default: i64| match call.has(input) {
                true => call.integer(input),
                false => Ok(default),
            };
            let (low, high) = (bound(1, i64::MIN)?, bound(2, i64::MAX)?);
            // Where the bounds are crossed, ONNX says all elements are the upper one.
            signed(call, Unary::Relu, |value| value.max(low).min(high))
        }
    }
}

fn signed(call: &mut Call<'_>, float: Unary, int: impl Fn(i64) -> i64) -> Result<Outputs, Fault> {
    if call.data_type(0)? == DataType::F32 {
        return one(call, float);
    }
    let values = call.integers(0)?;
    let mut result = call.make(call.data_type(0)?, call.shape(0)?)?;
    result.write_integers(values.into_iter().map(int));
    call::one(result)
}
