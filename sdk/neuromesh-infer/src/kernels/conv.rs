//! Convolutions of `f32`, NCHW.
//!
//! Each output is the sum over input channel (of its group), kernel row and kernel column, in this order, from 0 on, a product
//! and an addition at a time; what lies in the padding counts as 0 and is multiplied and added like the rest. With
//! [`Numerics::Exact`](super::cpu::Numerics::Exact) the bits are therefore those of the plain loops.
//!
//! - One input channel per group: [`depthwise`], with lanes across a row of the output.
//! - A kernel of one pixel, without stride and padding: a matrix product with the input as it lies.
//! - Many channels and wide registers: [`across`], a matrix product with lanes across the channels of the output.
//! - All others: [`direct`], a product whose right operand is read from a padded copy of some rows of the input, where a table
//!   tells how far each tap lies.
//! - Other ranks: [`conv_plain`], plain loops. A convolution of one dimension is one of two with a height of 1.
#![allow(unsafe_code)]

mod across;
mod depthwise;
mod direct;
mod int8;
mod plain;
mod rows;

pub use int8::{ConvInt8Plan, Requantize, requantize_signed, requantize_unsigned};
pub use plain::{Conv3d, conv_plain};

use super::cpu::Cpu;
use super::gemm::{
    Activation, Bias, Epilogue, Left, MatrixRef, PackedA, PackedB, Right, gemm_scratch, gemm_with, pack_a,
};
use std::sync::Arc;

/// What a convolution of two dimensions looks like; height comes before width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Channels of the input, of all groups.
    pub inputs: usize,
    /// Channels of the output, of all groups.
    pub outputs: usize,
    /// Parts that know nothing of each other.
    pub groups: usize,
    /// The size of the kernel.
    pub kernel: [usize; 2],
    /// From one output to the next.
    pub strides: [usize; 2],
    /// From one element of the kernel to the next.
    pub dilations: [usize; 2],
    /// Zeros above, left, below and right.
    pub pads: [usize; 4],
}

impl Conv2d {
    /// The size of the output for an input of this size; none if the kernel does not fit or a number is too large.
    pub fn output(&self, input: [usize; 2]) -> Option<[usize; 2]> {
        let along = |axis: usize| {
            let padded = input[axis].checked_add(self.pads[axis])?.checked_add(self.pads[axis + 2])?;
            let kernel = self.kernel[axis].checked_sub(1)?.checked_mul(self.dilations[axis])?.checked_add(1)?;
            padded.checked_sub(kernel)?.checked_div(self.strides[axis])?.checked_add(1)
        };
        Some([along(0)?, along(1)?])
    }

    /// How many weights: [outputs, inputs of a group, kernel height, kernel width].
    fn weights(&self) -> usize {
        self.outputs * self.taps()
    }

    /// The products of one output.
    fn taps(&self) -> usize {
        self.inputs / self.groups * self.kernel[0] * self.kernel[1]
    }

    fn check(&self) {
        let positive = |sizes: [usize; 2]| sizes.iter().all(|size| *size > 0);
        assert!(self.groups > 0, "a convolution has groups");
        assert!(self.inputs.is_multiple_of(self.groups) && self.outputs.is_multiple_of(self.groups), "uneven groups");
        assert!(positive(self.kernel) && positive(self.strides) && positive(self.dilations), "a size of zero");
    }

    /// Whether a pixel of the output depends on the same pixel of the input alone.
    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.strides == [1, 1] && self.pads == [0; 4]
    }
}

/// What happens to a finished sum: `+ bias`, `+ residual`, `activation`.
#[derive(Clone, Copy, Default)]
pub struct ConvEpilogue<'a> {
    /// One number for each channel of the output.
    pub bias: Option<&'a [f32]>,
    /// As large as the output.
    pub residual: Option<&'a [f32]>,
    /// What is done last.
    pub activation: Activation,
}

/// A convolution with its weights, laid out for an instruction set.
#[derive(Clone)]
pub struct ConvPlan {
    conv: Conv2d,
    weights: Arc<Weights>,
}

enum Weights {
    /// As they are: [outputs, kernel].
    Depthwise(Vec<f32>),
    /// The left operand of each group.
    Product(Vec<PackedA>),
    /// The right operand of each group.
    Across(Vec<PackedB>),
}

impl ConvPlan {
    /// Packs the weights [outputs, inputs of a group, kernel height, kernel width].
    ///
    /// # Panics
    /// When the groups do not divide the channels, a size is 0, or there are too few weights.
    pub fn new(cpu: &Cpu, conv: Conv2d, weights: &[f32]) -> Self {
        conv.check();
        assert!(weights.len() >= conv.weights(), "too few weights");
        let weights = if conv.inputs == conv.groups && conv.outputs > 0 && !conv.is_dense() {
            Weights::Depthwise(weights[..conv.weights()].to_vec())
        } else {
            let (m, k) = (conv.outputs / conv.groups, conv.taps());
            let group = |group: usize| MatrixRef { data: &weights[group * m * k..], row_stride: k, col_stride: 1 };
            if across::pays(cpu, m, k) {
                let pack = |group: usize| across::pack(cpu, &weights[group * m * k..], m, k);
                Weights::Across((0..conv.groups).map(pack).collect())
            } else {
                Weights::Product((0..conv.groups).map(|index| pack_a(cpu, group(index), m, k)).collect())
            }
        };
        ConvPlan { conv, weights: Arc::new(weights) }
    }

    /// The same weights under other padding.
    pub fn padded(&self, pads: [usize; 4]) -> Self {
        ConvPlan { conv: Conv2d { pads, ..self.conv }, weights: Arc::clone(&self.weights) }
    }

    /// What it looks like.
    pub fn conv(&self) -> &Conv2d {
        &self.conv
    }

    /// The memory it holds.
    pub fn bytes(&self) -> usize {
        match &*self.weights {
            Weights::Depthwise(weights) => 4 * weights.len(),
            Weights::Product(groups) => groups.iter().map(PackedA::bytes).sum(),
            Weights::Across(groups) => groups.iter().map(PackedB::bytes).sum(),
        }
    }

    /// How many numbers of scratch [`ConvPlan::run`] needs for images of this size.
    pub fn scratch(&self, cpu: &Cpu, input: [usize; 2]) -> usize {
        let Some(output) = self.conv.output(input) else { return 0 };
        match &*self.weights {
            Weights::Depthwise(_) => depthwise::scratch(cpu, &self.conv, output),
            Weights::Across(groups) => groups.first().map_or(0, |weights| across::scratch(cpu, weights, output)),
            Weights::Product(groups) => {
                if !self.conv.is_pointwise() {
                    return direct::scratch(cpu, &self.conv, output);
                }
                let (m, k) = (self.conv.outputs / self.conv.groups, self.conv.taps());
                let right = Right::Rows { data: &[], row_stride: 0 };
                let product = |group| gemm_scratch(cpu, m, output[0] * output[1], k, &Left::Packed(group), &right);
                groups.first().map_or(0, product)
            }
        }
    }

    /// Writes [batch, outputs, height, width].
    ///
    /// # Panics
    /// When a slice is too short, the kernel does not fit, or the weights were packed for another instruction set.
    #[allow(clippy::too_many_arguments)]
    pub fn run(
        &self,
        cpu: &Cpu,
        batch: usize,
        input: &[f32],
        size: [usize; 2],
        output: &mut [f32],
        epilogue: &ConvEpilogue,
        scratch: &mut [f32],
    ) {
        let conv = &self.conv;
        let out = conv.output(size).expect("the kernel fits the input");
        let (from, to) = (size[0] * size[1], out[0] * out[1]);
        let (image, result) = (conv.inputs * from, conv.outputs * to);
        let fits = |len: usize, one: usize| one.checked_mul(batch).is_some_and(|all| all <= len);
        assert!(fits(input.len(), image), "the input of a convolution is too small");
        assert!(fits(output.len(), result), "the output of a convolution is too small");
        assert!(epilogue.bias.is_none_or(|bias| bias.len() >= conv.outputs), "the bias is too short");
        assert!(epilogue.residual.is_none_or(|residual| fits(residual.len(), result)), "the residual is too small");
        assert!(scratch.len() >= self.scratch(cpu, size), "the scratch of a convolution is too small");
        if result == 0 {
            return;
        }
        for index in 0..batch {
            let input = &input[index * image..(index + 1) * image];
            let part = index * result..(index + 1) * result;
            let epilogue = ConvEpilogue { residual: epilogue.residual.map(|all| &all[part.clone()]), ..*epilogue };
            let output = &mut output[part];
            match &*self.weights {
                Weights::Depthwise(weights) => {
                    depthwise::run(cpu, conv, weights, input, size, output, out, &epilogue, scratch);
                }
                Weights::Product(groups) => self.product(cpu, groups, input, size, output, out, &epilogue, scratch),
                Weights::Across(groups) => {
                    let (m, from) = (conv.outputs / conv.groups, conv.inputs / conv.groups * from);
                    for (index, weights) in groups.iter().enumerate() {
                        let part = index * m * to..(index + 1) * m * to;
                        let epilogue = ConvEpilogue {
                            bias: epilogue.bias.map(|bias| &bias[index * m..(index + 1) * m]),
                            residual: epilogue.residual.map(|residual| &residual[part.clone()]),
                            ..epilogue
                        };
                        let input = &input[index * from..(index + 1) * from];
                        across::run(cpu, conv, weights, input, size, &mut output[part], out, &epilogue, scratch);
                    }
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn product(
        &self,
        cpu: &Cpu,
        groups: &[PackedA],
        input: &[f32],
        size: [usize; 2],
        output: &mut [f32],
        out: [usize; 2],
        epilogue: &ConvEpilogue,
        scratch: &mut [f32],
    ) {
        let conv = &self.conv;
        let (m, n, k) = (conv.outputs / conv.groups, out[0] * out[1], conv.taps());
        let image = conv.inputs / conv.groups * size[0] * size[1];
        for (index, weights) in groups.iter().enumerate() {
            let input = &input[index * image..(index + 1) * image];
            let channels = index * m..(index + 1) * m;
            let part = index * m * n..(index + 1) * m * n;
            let bias = epilogue.bias.map(|bias| &bias[channels]);
            let residual = epilogue.residual.map(|residual| &residual[part.clone()]);
            let output = &mut output[part];
            if !conv.is_pointwise() {
                let epilogue = ConvEpilogue { bias, residual, ..*epilogue };
                direct::run(cpu, conv, weights, input, size, output, out, &epilogue, scratch);
                continue;
            }
            let bias = bias.map_or(Bias::None, Bias::PerRow);
            let epilogue = Epilogue { alpha: None, bias, residual, activation: epilogue.activation };
            let right = Right::Rows { data: input, row_stride: n };
            gemm_with(cpu, m, n, k, Left::Packed(weights), right, output, n, &epilogue, scratch);
        }
    }
}

impl Conv2d {
    /// One group of one channel and many outputs: better a product than a plane at a time.
    fn is_dense(&self) -> bool {
        self.groups == 1 && self.outputs > 1
    }
}

#[cfg(test)]
mod tests;
