//! What is done to finished sums, row by row: zero points, scales, bias, activation.

use super::{Dequantize, Int8Ref, PackedInt8, Scale};
use crate::kernels::cpu::{Cpu, dispatch};
use crate::kernels::gemm::Activation;
use std::ops::Range;

/// What the zero points added to the sums of a row: with `z` those of A and B,
/// `Σ (a - za)(b - zb) = Σ ab - za Σ b - zb Σ a + k za zb`.
pub(super) struct Excess<'a> {
    /// `za`
    zero: i32,
    /// `Σ a - k za`, which the zero point of a column is multiplied with; sums of integers wrap, as the products do.
    row: i32,
    /// `Σ b` of each column.
    sums: &'a [i32],
    /// `zb` of each column; none if all are 0.
    zeros: Option<&'a [i32]>,
}

impl<'a> Excess<'a> {
    pub fn new(a: &Int8Ref, b: &'a PackedInt8, k: usize, sum: i32, columns: Range<usize>) -> Self {
        let zero = a.data.unsigned_zero(a.zero);
        let row = sum.wrapping_sub((k as i32).wrapping_mul(zero));
        let zeros = b.has_zeros().then(|| &b.zeros()[columns.clone()]);
        Excess { zero, row, sums: &b.sums()[columns], zeros }
    }
}

/// Takes what the zero points added out of a row.
pub(super) fn settle(cpu: &Cpu, c: &mut [i32], excess: &Excess) {
    if let Some(zeros) = excess.zeros {
        subtract(cpu, c, zeros, excess.row);
    }
    if excess.zero != 0 {
        subtract(cpu, c, excess.sums, excess.zero);
    }
}

/// The same, and turns the sums into the numbers they stand for, in their place.
pub(super) fn dequantize(
    cpu: &Cpu,
    c: &mut [i32],
    excess: &Excess,
    how: &Dequantize,
    row: usize,
    columns: Range<usize>,
) {
    let a = match how.a_scale {
        Scale::One(scale) => scale,
        Scale::Each(scales) => scales[row],
    };
    let bias = how.bias.map(|bias| &bias[columns.clone()]);
    // What most models have is done in one pass.
    match (how.b_scale, bias, excess.zeros) {
        (Scale::One(b), Some(bias), None) => numbers(cpu, c, excess.sums, excess.zero, a * b, bias),
        (b, bias, _) => {
            settle(cpu, c, excess);
            match b {
                Scale::One(scale) => scaled(cpu, c, a * scale),
                Scale::Each(scales) => scaled_each(cpu, c, a, &scales[columns]),
            }
            if let Some(bias) = bias {
                add(cpu, as_numbers(c), bias);
            }
        }
    }
    activate(cpu, as_numbers(c), how.activation);
}

/// The numbers whose bits were written.
fn as_numbers(c: &mut [i32]) -> &mut [f32] {
    // SAFETY: the same memory; both types have four bytes, and every pattern is one of either.
    unsafe { std::slice::from_raw_parts_mut(c.as_mut_ptr().cast::<f32>(), c.len()) }
}

dispatch! {
    fn subtract(cpu: &Cpu, c: &mut [i32], x: &[i32], factor: i32) {
        for (c, x) in c.iter_mut().zip(x) {
            *c = c.wrapping_sub(x.wrapping_mul(factor));
        }
    }

    fn numbers(cpu: &Cpu, c: &mut [i32], sums: &[i32], zero: i32, scale: f32, bias: &[f32]) {
        for ((c, sum), bias) in c.iter_mut().zip(sums).zip(bias) {
            let sum = c.wrapping_sub(sum.wrapping_mul(zero));
            *c = (sum as f32 * scale + *bias).to_bits() as i32;
        }
    }

    fn scaled(cpu: &Cpu, c: &mut [i32], scale: f32) {
        for c in c.iter_mut() {
            *c = (*c as f32 * scale).to_bits() as i32;
        }
    }

    fn scaled_each(cpu: &Cpu, c: &mut [i32], a: f32, b: &[f32]) {
        for (c, b) in c.iter_mut().zip(b) {
            *c = (*c as f32 * (a * b)).to_bits() as i32;
        }
    }

    fn add(cpu: &Cpu, x: &mut [f32], bias: &[f32]) {
        for (x, bias) in x.iter_mut().zip(bias) {
            *x += bias;
        }
    }

    fn at_least(cpu: &Cpu, x: &mut [f32], min: f32) {
        for x in x.iter_mut() {
            *x = if *x < min { min } else { *x };
        }
    }

    fn at_most(cpu: &Cpu, x: &mut [f32], max: f32) {
        for x in x.iter_mut() {
            *x = if *x > max { max } else { *x };
        }
    }

    fn leaky(cpu: &Cpu, x: &mut [f32], alpha: f32) {
        for x in x.iter_mut() {
            *x = if *x < 0.0 { *x * alpha } else { *x };
        }
    }
}

/// As the tiles of `f32` do it.
fn activate(cpu: &Cpu, x: &mut [f32], activation: Activation) {
    match activation {
        Activation::None => {}
        Activation::Relu => at_least(cpu, x, 0.0),
        Activation::Clip { min, max } => {
            at_least(cpu, x, min);
            at_most(cpu, x, max);
        }
        Activation::LeakyRelu(alpha) => leaky(cpu, x, alpha),
        Activation::Custom(activate) => activate(cpu, x),
    }
}
