//! Functions of one tensor, element by element.

use burn_backend::{Backend, tensor::FloatTensor};

use super::View;
use crate::rewrite::activation::ACTIVATION;

/// Backends turn whole exponents into small integers, and panic at others.
const MAX_EXPONENT: f32 = 1024.0;

/// A function of each element.
#[derive(Debug, Clone, Copy)]
pub(super) enum Function {
    Identity,
    Abs,
    Ceil,
    Clip { low: f32, high: f32 },
    Cos,
    Elu { alpha: f32 },
    Erf,
    Exp,
    Floor,
    Gelu,
    GeluTanh,
    HardSigmoid { alpha: f32, beta: f32 },
    HardSwish,
    LeakyRelu { alpha: f32 },
    Log,
    Neg,
    Power { exponent: f32 },
    Reciprocal,
    Relu,
    Sigmoid,
    Silu,
    Sin,
    Softplus,
    Sqrt,
    Tanh,
}

impl Function {
    /// The function that an operator of one tensor is.
    pub fn of_operator(view: &View<'_>) -> Option<Self> {
        let name = view.node.op.name();
        Some(match name.strip_prefix('*').unwrap_or(name) {
            "Clip" => bounds(view)?,
            "Elu" => Self::Elu { alpha: view.float("alpha", 1.0)? },
            "Gelu" if name == "Gelu" => match view.node.attributes.text("approximate").ok()?.unwrap_or("none") {
                "none" => Self::Gelu,
                "tanh" => Self::GeluTanh,
                _ => return None,
            },
            "HardSigmoid" => Self::HardSigmoid { alpha: view.float("alpha", 0.2)?, beta: view.float("beta", 0.5)? },
            "LeakyRelu" => Self::LeakyRelu { alpha: view.float("alpha", 0.01)? },
            "Pow" => {
                // A tensor of one number and many dimensions would add some to the result.
                let (exponent, rank) = (view.number(1)?, view.operand(1)?.shape.len());
                let fits = exponent.abs() <= MAX_EXPONENT && rank <= view.floats(0)?.len();
                fits.then_some(Self::Power { exponent })?
            }
            name => Self::named(name)?,
        })
    }

    /// The function that a rewrite attached to the end of a node.
    pub fn at_the_end(view: &View<'_>) -> Option<Self> {
        let number = |name: &str| view.float(&format!("{ACTIVATION}_{name}"), 0.0);
        Some(match view.node.attributes.text(ACTIVATION).ok()? {
            None => Self::Identity,
            Some("Clip") => Self::Clip { low: number("low")?, high: number("high")? },
            Some("LeakyRelu") => Self::LeakyRelu { alpha: number("alpha")? },
            Some(name) => Self::named(name)?,
        })
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Abs" => Self::Abs,
            "Ceil" => Self::Ceil,
            "Cos" => Self::Cos,
            "Erf" => Self::Erf,
            "Exp" => Self::Exp,
            "Floor" => Self::Floor,
            "Gelu" => Self::Gelu,
            "GeluTanh" => Self::GeluTanh,
            "HardSwish" => Self::HardSwish,
            "Log" => Self::Log,
            "Neg" => Self::Neg,
            "Reciprocal" => Self::Reciprocal,
            "Relu" => Self::Relu,
            "Sigmoid" => Self::Sigmoid,
            "Silu" => Self::Silu,
            "Sin" => Self::Sin,
            "Softplus" => Self::Softplus,
            "Sqrt" => Self::Sqrt,
            "Tanh" => Self::Tanh,
            _ => return None,
        })
    }

    pub fn apply<B: Backend>(self, x: FloatTensor<B>) -> FloatTensor<B> {
        match self {
            Self::Identity => x,
            Self::Abs => B::float_abs(x),
            Self::Ceil => B::float_ceil(x),
            // In this order, so that crossed bounds give the upper one, as ONNX says.
            Self::Clip { low, high } => {
                let x = if low == f32::NEG_INFINITY { x } else { B::float_clamp_min(x, low.into()) };
                if high == f32::INFINITY { x } else { B::float_clamp_max(x, high.into()) }
            }
            Self::Cos => B::float_cos(x),
            Self::Elu { alpha } => {
                let negative = B::float_clamp_max(x.clone(), 0f32.into());
                let negative = B::float_sub_scalar(B::float_exp(negative), 1f32.into());
                B::float_add(B::relu(x), B::float_mul_scalar(negative, alpha.into()))
            }
            Self::Erf => B::float_erf(x),
            Self::Exp => B::float_exp(x),
            Self::Floor => B::float_floor(x),
            Self::Gelu => B::gelu(x),
            Self::GeluTanh => {
                // x * sigmoid(2 y) is x / 2 * (1 + tanh y), and does not cancel on the left.
                let square = B::float_mul(x.clone(), x.clone());
                let slope =
                    B::float_add_scalar(B::float_mul_scalar(square, 0.071_354_814f32.into()), 1.595_769_2f32.into());
                B::float_mul(x.clone(), B::sigmoid(B::float_mul(x, slope)))
            }
            Self::HardSigmoid { alpha, beta } => hard_sigmoid::<B>(x, alpha, beta),
            Self::HardSwish => B::float_mul(x.clone(), hard_sigmoid::<B>(x, 1.0 / 6.0, 0.5)),
            Self::LeakyRelu { alpha } => B::leaky_relu(x, alpha.into()),
            Self::Log => B::float_log(x),
            Self::Neg => B::float_neg(x),
            Self::Power { exponent } => power::<B>(x, exponent),
            Self::Reciprocal => B::float_recip(x),
            Self::Relu => B::relu(x),
            Self::Sigmoid => B::sigmoid(x),
            Self::Silu => B::float_mul(x.clone(), B::sigmoid(x)),
            Self::Sin => B::float_sin(x),
            Self::Softplus => {
                // Written so that a large x does not overflow.
                let tail = B::float_exp(B::float_neg(B::float_abs(x.clone())));
                B::float_add(B::relu(x), B::float_log1p(tail))
            }
            Self::Sqrt => B::float_sqrt(x),
            Self::Tanh => B::float_tanh(x),
        }
    }
}

fn bounds(view: &View<'_>) -> Option<Function> {
    let bound = |input: usize, default: f32| if view.has(input) { view.number(input) } else { Some(default) };
    let (low, high) = match view.node.opset {
        ..11 => (view.float("min", f32::MIN)?, view.float("max", f32::MAX)?),
        _ => (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?),
    };
    (!low.is_nan() && !high.is_nan()).then_some(Function::Clip { low, high })
}

fn hard_sigmoid<B: Backend>(x: FloatTensor<B>, alpha: f32, beta: f32) -> FloatTensor<B> {
    let line = B::float_add_scalar(B::float_mul_scalar(x, alpha.into()), beta.into());
    B::float_clamp_max(B::float_clamp_min(line, 0f32.into()), 1f32.into())
}

fn power<B: Backend>(x: FloatTensor<B>, exponent: f32) -> FloatTensor<B> {
    // The exponents of real models, where a general power would be slow, and on GPUs not a number for a negative base.
    match exponent {
        -1.0 => B::float_recip(x),
        0.5 => B::float_sqrt(x),
        1.0 => x,
        2.0 => B::float_mul(x.clone(), x),
        3.0 => B::float_mul(B::float_mul(x.clone(), x.clone()), x),
        exponent => B::float_powf_scalar(x, exponent.into()),
    }
}
