//! The functions that a cell's gates go through.

use crate::{
    Fault,
    attribute::{Attributes, wrong},
    kernels::math,
};

/// A function with its parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Activation {
    Affine(f32, f32),
    Elu(f32),
    HardSigmoid(f32, f32),
    LeakyRelu(f32),
    Relu,
    ScaledTanh(f32, f32),
    Sigmoid,
    Softplus,
    Softsign,
    Tanh,
    ThresholdedRelu(f32),
}

impl Activation {
    /// `N` functions for each direction; `defaults` where the node names none.
    pub fn read<const N: usize>(
        attributes: &Attributes,
        directions: usize,
        defaults: [Activation; N],
    ) -> Result<Vec<[Self; N]>, Fault> {
        let Some(names) = attributes.texts("activations")? else {
            return Ok(vec![defaults; directions]);
        };
        if names.len() != N * directions {
            return Err(wrong("activations", &format!("{names:?} are not {}", N * directions)));
        }
        // The lists have a number for each function that takes one, in their order.
        let mut alphas = attributes.floats("activation_alpha")?.unwrap_or_default().iter().copied();
        let mut betas = attributes.floats("activation_beta")?.unwrap_or_default().iter().copied();
        let mut alpha = |default: f32| alphas.next().unwrap_or(default);
        let mut beta = |default: f32| betas.next().unwrap_or(default);
        let mut all = Vec::with_capacity(names.len());
        for name in names {
            all.push(match name.to_ascii_lowercase().as_str() {
                "affine" => Activation::Affine(alpha(1.0), beta(0.0)),
                "elu" => Activation::Elu(alpha(1.0)),
                "hardsigmoid" => Activation::HardSigmoid(alpha(0.2), beta(0.5)),
                "leakyrelu" => Activation::LeakyRelu(alpha(0.01)),
                "relu" => Activation::Relu,
                "scaledtanh" => Activation::ScaledTanh(alpha(1.0), beta(1.0)),
                "sigmoid" => Activation::Sigmoid,
                "softplus" => Activation::Softplus,
                "softsign" => Activation::Softsign,
                "tanh" => Activation::Tanh,
                "thresholdedrelu" => Activation::ThresholdedRelu(alpha(1.0)),
                _ => return Err(wrong("activations", &format!("{name:?} is unknown"))),
            });
        }
        Ok(all.as_chunks().0.to_vec())
    }

    #[inline]
    pub fn of(self, x: f32) -> f32 {
        match self {
            Activation::Affine(alpha, beta) => alpha * x + beta,
            Activation::Elu(alpha) => math::elu(x, alpha),
            Activation::HardSigmoid(alpha, beta) => math::hard_sigmoid(x, alpha, beta),
            Activation::LeakyRelu(alpha) => {
                if x < 0.0 {
                    alpha * x
                } else {
                    x
                }
            }
            Activation::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Activation::ScaledTanh(alpha, beta) => alpha * math::tanh(beta * x),
            Activation::Sigmoid => math::sigmoid(x),
            Activation::Softplus => math::softplus(x),
            Activation::Softsign => math::softsign(x),
            Activation::Tanh => math::tanh(x),
            Activation::ThresholdedRelu(alpha) => {
                if x < alpha {
                    0.0
                } else {
                    x
                }
            }
        }
    }
}
