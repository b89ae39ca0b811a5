//! Convolutions of 8-bit integers, summed in `i32`: products of patches as rows of bytes with the weights of all channels.

use super::Conv2d;
use super::rows::{self, Source};
use crate::kernels::cpu::{Cpu, dispatch};
use crate::kernels::int8::{Bytes, Int8Ref, PackedInt8, ZeroPoint, gemm_int8, gemm_int8_scratch, pack_int8};
use std::ops::Range;

/// Bytes of patches that are made together, which share the second cache with the weights.
const MADE: usize = 128 * 1024;

/// A convolution of bytes with its weights, laid out for an instruction set.
#[derive(Clone)]
pub struct ConvInt8Plan {
    conv: Conv2d,
    groups: Vec<PackedInt8>,
}

impl ConvInt8Plan {
    /// Packs the weights [outputs, inputs of a group, kernel height, kernel width]; the zero point is that of all weights, or
    /// there is one for each output.
    ///
    /// # Panics
    /// When the groups do not divide the channels, a size is 0, or there are too few weights or zero points.
    pub fn new(cpu: &Cpu, conv: Conv2d, weights: Bytes, zero: ZeroPoint) -> Self {
        conv.check();
        assert!(weights.len() >= conv.weights(), "too few weights");
        let (n, k) = (conv.outputs / conv.groups, conv.taps());
        let group = |group: usize| {
            let weights = part(weights, group * n * k..(group + 1) * n * k);
            let zero = match zero {
                ZeroPoint::One(zero) => ZeroPoint::One(zero),
                ZeroPoint::PerColumn(zeros) => ZeroPoint::PerColumn(&zeros[group * n..(group + 1) * n]),
            };
            pack_int8(cpu, weights, k, n, 1, k, zero)
        };
        ConvInt8Plan { conv, groups: (0..conv.groups).map(group).collect() }
    }

    /// What it looks like, but for the padding.
    pub fn conv(&self) -> &Conv2d {
        &self.conv
    }

    /// The memory it holds.
    pub fn bytes(&self) -> usize {
        self.groups.iter().map(PackedInt8::bytes).sum()
    }

    /// Pixels at a time.
    fn at_a_time(&self, pixels: usize) -> usize {
        (MADE / self.conv.taps().max(1)).clamp(1, pixels.max(1))
    }

    /// How many numbers [`ConvInt8Plan::run`] needs for an output of so many pixels.
    pub fn scratch(&self, cpu: &Cpu, pixels: usize) -> usize {
        let (n, k, rows) = (self.conv.outputs / self.conv.groups, self.conv.taps(), self.at_a_time(pixels));
        let last = pixels % rows;
        let product = gemm_int8_scratch(cpu, rows, n, k).max(gemm_int8_scratch(cpu, last, n, k));
        rows.saturating_mul(k).div_ceil(4).saturating_add(rows.saturating_mul(n)).saturating_add(product)
    }

    /// Writes the sums, [batch, outputs, height, width], under this padding, in which every byte is `zero`.
    ///
    /// # Panics
    /// When a slice is too short, the kernel does not fit, or the weights were packed for another instruction set.
    #[allow(clippy::too_many_arguments)]
    pub fn run(
        &self,
        cpu: &Cpu,
        pads: [usize; 4],
        batch: usize,
        input: Bytes,
        zero: i32,
        size: [usize; 2],
        output: &mut [i32],
        scratch: &mut [i32],
    ) {
        let conv = &Conv2d { pads, ..self.conv };
        let out = conv.output(size).expect("the kernel fits the input");
        let (from, to) = (size[0] * size[1], out[0] * out[1]);
        let (k, inputs, n) = (conv.taps(), conv.inputs / conv.groups, conv.outputs / conv.groups);
        let fits = |len: usize, one: usize| one.checked_mul(batch).is_some_and(|all| all <= len);
        assert!(fits(input.len(), conv.inputs * from), "the input of a convolution is too small");
        assert!(fits(output.len(), conv.outputs * to), "the output of a convolution is too small");
        assert!(scratch.len() >= self.scratch(cpu, to), "the scratch of a convolution is too small");
        if conv.outputs * to == 0 || k == 0 {
            output.fill(0);
            return;
        }
        let rows = self.at_a_time(to);
        let (patches, scratch) = scratch.split_at_mut((rows * k).div_ceil(4));
        let (sums, scratch) = scratch.split_at_mut(rows * n);
        let patches: &mut [u8] = bytemuck::cast_slice_mut(patches);
        for (block, planes) in output.chunks_exact_mut(n * to).take(batch * conv.groups).enumerate() {
            let weights = &self.groups[block % conv.groups];
            let input = part(input, block * inputs * from..(block + 1) * inputs * from);
            for first in (0..to).step_by(rows) {
                let pixels = first..to.min(first + rows);
                let patches = &mut patches[..pixels.len() * k];
                let data = match input {
                    Bytes::Unsigned(input) => {
                        let source = Source { conv, input, size, wide: out[1], padding: zero as u8 };
                        rows::make(cpu, source, pixels.clone(), patches);
                        Bytes::Unsigned(patches)
                    }
                    Bytes::Signed(input) => {
                        let source = Source { conv, input, size, wide: out[1], padding: zero as i8 };
                        let patches: &mut [i8] = bytemuck::cast_slice_mut(patches);
                        rows::make(cpu, source, pixels.clone(), patches);
                        Bytes::Signed(patches)
                    }
                };
                let left = Int8Ref { data, row_stride: k, zero };
                gemm_int8(cpu, pixels.len(), n, k, left, weights, sums, n, scratch);
                turn(cpu, sums, n, pixels, to, planes);
            }
        }
    }
}

fn part(bytes: Bytes, range: Range<usize>) -> Bytes {
    match bytes {
        Bytes::Signed(bytes) => Bytes::Signed(&bytes[range]),
        Bytes::Unsigned(bytes) => Bytes::Unsigned(&bytes[range]),
    }
}

/// Sums to bytes: `+ bias`, `as f32`, `* factor`, to the nearest (ties to even), `+ zero`, saturated; of one channel.
#[derive(Clone, Copy, Debug)]
pub struct Requantize {
    /// Added to the sum, wrapping.
    pub bias: i32,
    /// The scales of both operands over that of the result.
    pub factor: f32,
    /// The byte that stands for 0.
    pub zero: i32,
}

/// Writes 0 to 255.
pub fn requantize_unsigned(cpu: &Cpu, sums: &[i32], to: &mut [u8], how: Requantize) {
    requantize(cpu, sums, to, how, [0, 255], |x| x as u8);
}

/// Writes -128 to 127.
pub fn requantize_signed(cpu: &Cpu, sums: &[i32], to: &mut [i8], how: Requantize) {
    requantize(cpu, sums, to, how, [-128, 127], |x| x as i8);
}

dispatch! {
    fn requantize[T: Copy, F: Fn(i32) -> T](cpu: &Cpu, sums: &[i32], to: &mut [T], how: Requantize, ends: [i32; 2], byte: F) {
        let Requantize { bias, factor, zero } = how;
        // Saturated before the zero point is added: both are small integers, which a float holds exactly. NaN becomes 0.
        let (low, high) = ((ends[0] - zero) as f32, (ends[1] - zero) as f32);
        for (to, sum) in to.iter_mut().zip(sums) {
            let x = (sum.wrapping_add(bias) as f32 * factor).round_ties_even();
            let x = if x < low { low } else { x };
            let x = if x > high { high } else { x };
            *to = byte(x as i32 + zero);
        }
    }

    /// `sums` has a row of `n` channels for each of `pixels`; they become parts of planes of `to` pixels.
    fn turn(cpu: &Cpu, sums: &[i32], n: usize, pixels: Range<usize>, to: usize, planes: &mut [i32]) {
        for (pixel, row) in pixels.zip(sums.chunks_exact(n)) {
            for (x, plane) in row.iter().zip(planes.chunks_exact_mut(to)) {
                plane[pixel] = *x;
            }
        }
    }
}
