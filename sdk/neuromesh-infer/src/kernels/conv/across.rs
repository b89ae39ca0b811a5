//! Lanes across output channels: a product [pixels, taps] · [taps, outputs], some pixels at a time, turned over into planes.
//!
//! For wide registers and many channels: the rows and images at the end of a network have few pixels, which would leave lanes
//! idle, and so the weights are read once, side by side. Each sum still takes its products in the order of the taps.

use super::rows::{self, Source};
use super::{Conv2d, ConvEpilogue};
use crate::kernels::cpu::{Cpu, dispatch};
use crate::kernels::gemm::{
    Activation, Bias, Epilogue, Left, MatrixRef, PackedB, Right, SyncPointer, gemm_scratch, gemm_with, pack_b,
    panel_width,
};
use std::ops::Range;

/// Registers from which on this pays.
const WIDE: usize = 16;
/// Turning over inputs and outputs costs as much as so many products with each of them.
const TURNING: usize = 220;
/// Pixels at a time, at most.
const PIXELS: usize = 128;
/// Numbers to move that are worth a thread's while.
const WORTH: usize = 64 * 1024;

/// Whether a group of `m` outputs of `k` products each is better computed this way.
pub(super) fn pays(cpu: &Cpu, m: usize, k: usize) -> bool {
    panel_width(cpu) >= WIDE && m.saturating_mul(k) >= TURNING * (m + k)
}

/// Packs the weights [outputs, taps] of a group.
pub(super) fn pack(cpu: &Cpu, weights: &[f32], m: usize, k: usize) -> PackedB {
    pack_b(cpu, weights, k, m, 1, k)
}

/// How many pixels at a time: as evenly as can be.
fn at_a_time(pixels: usize) -> usize {
    pixels.div_ceil(pixels.div_ceil(PIXELS).max(1))
}

/// The lengths of the patches, of their sums, and of the product's own scratch.
fn parts(cpu: &Cpu, weights: &PackedB, pixels: usize) -> [usize; 3] {
    let (m, k, pixels) = (weights.n(), weights.k(), at_a_time(pixels));
    let none = MatrixRef { data: &[], row_stride: k, col_stride: 1 };
    // The last part may have a pixel less.
    let product = |pixels| gemm_scratch(cpu, pixels, m, k, &Left::Matrix(none), &Right::Packed(weights.view()));
    [pixels.saturating_mul(k), pixels.saturating_mul(m), product(pixels).max(product(pixels.saturating_sub(1)))]
}

pub(super) fn scratch(cpu: &Cpu, weights: &PackedB, out: [usize; 2]) -> usize {
    parts(cpu, weights, out[0] * out[1]).into_iter().fold(0, usize::saturating_add)
}

/// Computes one group of one image.
#[allow(clippy::too_many_arguments)]
pub(super) fn run(
    cpu: &Cpu,
    conv: &Conv2d,
    weights: &PackedB,
    input: &[f32],
    size: [usize; 2],
    output: &mut [f32],
    out: [usize; 2],
    epilogue: &ConvEpilogue,
    scratch: &mut [f32],
) {
    let (m, n, k) = (weights.n(), out[0] * out[1], weights.k());
    let [patches, sums, _] = parts(cpu, weights, n);
    let (patches, scratch) = scratch.split_at_mut(patches);
    let (sums, scratch) = scratch.split_at_mut(sums);
    let source = Source { conv, input, size, wide: out[1], padding: 0.0 };
    // A summand lies in planes, and what comes after it has to wait.
    let (now, later) = match epilogue.residual {
        None => (epilogue.activation, Activation::None),
        Some(_) => (Activation::None, epilogue.activation),
    };
    let bias = epilogue.bias.map_or(Bias::None, |bias| Bias::PerColumn(&bias[..m]));
    let ending = Epilogue { alpha: None, bias, residual: None, activation: now };
    let step = at_a_time(n).max(1);
    // As even as the parts are, they are not all alike.
    let count = n.div_ceil(step);
    for part in 0..count {
        let pixels = n * part / count..n * (part + 1) / count;
        let rows = pixels.len();
        fill(cpu, source, pixels.clone(), k, &mut patches[..rows * k]);
        let left = Left::Matrix(MatrixRef { data: patches, row_stride: k, col_stride: 1 });
        let sums = &mut sums[..rows * m];
        gemm_with(cpu, rows, m, k, left, Right::Packed(weights.view()), sums, m, &ending, scratch);
        let (output, tasks) = (SyncPointer::new(output), tasks(cpu, rows * m));
        cpu.threads.run(tasks, &|task| {
            let channels = m * task / tasks..m * (task + 1) / tasks;
            // SAFETY: each channel belongs to one task, and the output outlives the loop.
            let output = unsafe { output.part(channels.start * n, channels.len() * n) };
            let residual = epilogue.residual.map(|residual| &residual[channels.start * n..channels.end * n]);
            turn(cpu, sums, m, channels, pixels.clone(), n, output);
            if let Some(residual) = residual {
                for (output, residual) in output.chunks_exact_mut(n).zip(residual.chunks_exact(n)) {
                    end(cpu, &mut output[pixels.clone()], &residual[pixels.clone()], later);
                }
            }
        });
    }
}

fn tasks(cpu: &Cpu, numbers: usize) -> usize {
    (numbers / WORTH).clamp(1, cpu.threads.count())
}

fn fill(cpu: &Cpu, source: Source<f32>, pixels: Range<usize>, k: usize, to: &mut [f32]) {
    let tasks = tasks(cpu, to.len()).min(pixels.len());
    let to = SyncPointer::new(to);
    cpu.threads.run(tasks, &|task| {
        let share = pixels.len() * task / tasks..pixels.len() * (task + 1) / tasks;
        // SAFETY: each pixel belongs to one task, and the patches outlive the loop.
        let to = unsafe { to.part(share.start * k, share.len() * k) };
        rows::make(cpu, source, pixels.start + share.start..pixels.start + share.end, to);
    });
}

/// Adds what lies in planes, then ends the sums.
fn end(cpu: &Cpu, x: &mut [f32], residual: &[f32], activation: Activation) {
    add(cpu, x, residual);
    match activation {
        Activation::None => {}
        Activation::Relu => clip(cpu, x, 0.0, f32::INFINITY),
        Activation::Clip { min, max } => clip(cpu, x, min, max),
        Activation::LeakyRelu(alpha) => leaky(cpu, x, alpha),
        Activation::Custom(activate) => activate(cpu, x),
    }
}

/// Channels that are turned over together.
const TOGETHER: usize = 16;

dispatch! {
    /// `sums` has a row of `m` channels for each of `pixels`; they become parts of planes of `n` pixels.
    fn turn(cpu: &Cpu, sums: &[f32], m: usize, channels: Range<usize>, pixels: Range<usize>, n: usize, planes: &mut [f32]) {
        for first in channels.clone().step_by(TOGETHER) {
            let last = channels.end.min(first + TOGETHER);
            let planes = &mut planes[(first - channels.start) * n..(last - channels.start) * n];
            for (pixel, row) in pixels.clone().zip(sums.chunks_exact(m)) {
                for (x, plane) in row[first..last].iter().zip(planes.chunks_exact_mut(n)) {
                    plane[pixel] = *x;
                }
            }
        }
    }

    fn add(cpu: &Cpu, x: &mut [f32], y: &[f32]) {
        x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
    }

    fn clip(cpu: &Cpu, x: &mut [f32], min: f32, max: f32) {
        for x in x.iter_mut() {
            let least = if *x < min { min } else { *x };
            *x = if least > max { max } else { least };
        }
    }

    fn leaky(cpu: &Cpu, x: &mut [f32], alpha: f32) {
        for x in x.iter_mut() {
            *x = if *x < 0.0 { *x * alpha } else { *x };
        }
    }
}
