//! What is done to finished sums, row by row: zero points, scales, bias, activation.

use super::{Dequantize, Int8Ref, PackedInt8, Scale};
use crate::kernels::cpu::{Cpu, dispatch};
use crate::kernels::gemm::Activation;
use std::ops::Range;

/// Takes what the zero points added out of a row: with `z` those of A and B,
/// `Σ (a - za)(b - zb) = Σ ab - za Σ b - zb Σ a + k za zb`.
pub(super) fn settle(cpu: &Cpu, c: &mut [i32], a: &Int8Ref, b: &PackedInt8, k: usize, sum: i32, columns: Range<usize>) {
    let zero = a.data.unsigned_zero(a.zero);
    let zeros = &b.zeros()[columns.clone()];
    let sums = &b.sums()[columns];
    // Σ a - k za, which the zero point of a column is multiplied with; sums of integers wrap, as the products do.
    let row = sum.wrapping_sub((k as i32).wrapping_mul(zero));
    subtract(cpu, c, sums, zeros, zero, row);
}

dispatch! {
    fn subtract(cpu: &Cpu, c: &mut [i32], sums: &[i32], zeros: &[i32], zero: i32, row: i32) {
        for ((c, sum), column) in c.iter_mut().zip(sums).zip(zeros) {
            *c = c.wrapping_sub(sum.wrapping_mul(zero)).wrapping_sub(column.wrapping_mul(row));
        }
    }

    fn scaled(cpu: &Cpu, c: &mut [i32], a: f32, b: f32) {
        let scale = a * b;
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

/// Turns a row of sums into the numbers they stand for, in their place.
pub(super) fn dequantize(cpu: &Cpu, c: &mut [i32], how: &Dequantize, row: usize, columns: Range<usize>) {
    let a = match how.a_scale {
        Scale::One(scale) => scale,
        Scale::Each(scales) => scales[row],
    };
    match how.b_scale {
        Scale::One(scale) => scaled(cpu, c, a, scale),
        Scale::Each(scales) => scaled_each(cpu, c, a, &scales[columns.clone()]),
    }
    // SAFETY: the same memory, read as the numbers whose bits were written.
    let x = unsafe { std::slice::from_raw_parts_mut(c.as_mut_ptr().cast::<f32>(), c.len()) };
    if let Some(bias) = how.bias {
        add(cpu, x, &bias[columns]);
    }
    activate(cpu, x, how.activation);
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
