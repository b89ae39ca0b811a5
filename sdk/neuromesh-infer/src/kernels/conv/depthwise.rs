//! Convolutions with one input channel per group: a plane at a time, lanes across a row of the output.
//!
//! The plane is copied once with its padding, each row split by the stride, so that the inputs of neighbouring outputs are
//! neighbours and no output is at an edge.
#![allow(clippy::needless_range_loop)]

use super::direct::every_second;
use super::{Conv2d, ConvEpilogue};
use crate::kernels::cpu::{Cpu, dispatch};
use crate::kernels::gemm::{Activation, Bias, Epilogue, Finish, SyncPointer, end, finish};
use crate::kernels::simd::{self, Kernel, Vector};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Registers of outputs at a time.
const TOGETHER: usize = 4;
/// More than the lanes of `TOGETHER` registers.
const SLACK: usize = 64;
/// Multiplications that are worth a thread's while.
const WORTH: usize = 64 * 1024;

/// The padded plane: rows of `strides[1]` phases of `pitch` numbers.
#[derive(Clone, Copy)]
struct Plane {
    rows: usize,
    pitch: usize,
}

impl Plane {
    fn new(conv: &Conv2d, out: [usize; 2]) -> Self {
        let reach = |axis: usize| (conv.kernel[axis] - 1) * conv.dilations[axis];
        Plane {
            rows: (out[0] - 1) * conv.strides[0] + reach(0) + 1,
            pitch: (out[1] + reach(1) / conv.strides[1] + SLACK).next_multiple_of(16),
        }
    }

    fn len(&self, conv: &Conv2d) -> usize {
        self.rows.saturating_mul(conv.strides[1]).saturating_mul(self.pitch)
    }
}

pub(super) fn scratch(cpu: &Cpu, conv: &Conv2d, out: [usize; 2]) -> usize {
    Plane::new(conv, out).len(conv).saturating_mul(cpu.threads.count())
}

#[allow(clippy::too_many_arguments)]
pub(super) fn run(
    cpu: &Cpu,
    conv: &Conv2d,
    weights: &[f32],
    input: &[f32],
    size: [usize; 2],
    output: &mut [f32],
    out: [usize; 2],
    epilogue: &ConvEpilogue,
    scratch: &mut [f32],
) {
    let plane = Plane::new(conv, out);
    let (from, to, taps) = (size[0] * size[1], out[0] * out[1], conv.kernel[0] * conv.kernel[1]);
    let multiplier = conv.outputs / conv.groups;
    let slots = (conv.outputs * to * taps / WORTH).clamp(1, cpu.threads.count()).min(conv.groups);
    let (output, scratch) = (SyncPointer::new(output), SyncPointer::new(scratch));
    let next = AtomicUsize::new(0);
    cpu.threads.run(slots, &|slot| {
        let len = plane.len(conv);
        // SAFETY: each slot has its own part, and the scratch outlives the loop.
        let padded = unsafe { scratch.part(slot * len, len) };
        padded.fill(0.0);
        loop {
            let group = next.fetch_add(1, Ordering::Relaxed);
            if group >= conv.groups {
                break;
            }
            pad(cpu, conv, plane, &input[group * from..(group + 1) * from], size, padded);
            for channel in group * multiplier..(group + 1) * multiplier {
                // SAFETY: each channel belongs to one group, each group to one slot, and the output outlives the loop.
                let output = unsafe { output.part(channel * to, to) };
                let epilogue = Epilogue {
                    alpha: None,
                    bias: epilogue.bias.map_or(Bias::None, |bias| Bias::PerRow(&bias[channel..])),
                    residual: epilogue.residual.map(|residual| &residual[channel * to..(channel + 1) * to]),
                    activation: epilogue.activation,
                };
                let weights = &weights[channel * taps..(channel + 1) * taps];
                let finish = finish(&epilogue, out[1]);
                simd::run(cpu, Channel { conv, plane, out, weights, padded, output, finish });
                if let Activation::Custom(activate) = epilogue.activation {
                    activate(cpu, output);
                }
            }
        }
    });
}

dispatch! {
    /// Copies a plane into its padding, which is 0 already.
    fn pad(cpu: &Cpu, conv: &Conv2d, plane: Plane, input: &[f32], size: [usize; 2], padded: &mut [f32]) {
        let stride = conv.strides[1];
        let [top, left, ..] = conv.pads;
        if size[1] == 0 {
            return;
        }
        for (y, from) in input.chunks_exact(size[1]).enumerate() {
            if top + y >= plane.rows {
                break;
            }
            let row = &mut padded[(top + y) * stride * plane.pitch..(top + y + 1) * stride * plane.pitch];
            if stride == 1 {
                let used = from.len().min(plane.pitch.saturating_sub(left));
                row[left.min(plane.pitch)..][..used].copy_from_slice(&from[..used]);
                continue;
            }
            for phase in 0..stride {
                // The first x with `(left + x) % stride == phase`.
                let first = (phase + stride - left % stride) % stride;
                let to = &mut row[phase * plane.pitch..(phase + 1) * plane.pitch];
                let to = to.get_mut((left + first) / stride..).unwrap_or_default();
                let from = from.get(first..).unwrap_or_default();
                let used = from.len().div_ceil(stride).min(to.len());
                if stride == 2 {
                    every_second(from, &mut to[..used]);
                } else {
                    to[..used].iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, x)| *to = *x);
                }
            }
        }
    }
}

/// One channel of the output.
struct Channel<'a> {
    conv: &'a Conv2d,
    plane: Plane,
    out: [usize; 2],
    weights: &'a [f32],
    padded: &'a [f32],
    output: &'a mut [f32],
    finish: Option<Finish>,
}

impl Kernel for Channel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        match *self.conv {
            Conv2d { kernel: [_, 3], strides: [_, 1], dilations: [_, 1], .. } => V::apart(Taps::<3>(self)),
            Conv2d { kernel: [_, 5], strides: [_, 1], dilations: [_, 1], .. } => V::apart(Taps::<5>(self)),
            _ => V::apart(Taps::<0>(self)),
        }
    }
}

/// A channel with `W` taps in each row of the kernel, side by side; 0 where that is not known.
struct Taps<'a, const W: usize>(Channel<'a>);

impl<const W: usize> Kernel for Taps<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        self.0.rows::<V, W>();
    }
}

impl Channel<'_> {
    #[inline(always)]
    fn rows<V: Vector, const W: usize>(self) {
        let [height, width] = self.out;
        assert!(
            self.output.len() >= height * width && self.padded.len() >= self.plane.len(self.conv),
            "checked before"
        );
        let line = self.conv.strides[1] * self.plane.pitch;
        for y in 0..height {
            let rows = self.padded[y * self.conv.strides[0] * line..].as_ptr();
            let mut x = 0;
            while x < width {
                let registers = match (width - x).div_ceil(V::LANES) {
                    few @ (1 | 2) => few,
                    _ => TOGETHER,
                };
                let part = Part {
                    conv: self.conv,
                    pitch: self.plane.pitch,
                    weights: self.weights.as_ptr(),
                    rows: rows.wrapping_add(x),
                    output: self.output[y * width + x..].as_mut_ptr(),
                    len: (width - x).min(registers * V::LANES),
                    finish: self.finish.map(|finish| finish.at(0, y * width + x)),
                };
                // SAFETY: the padded plane has all that outputs from x on ask for, and `SLACK` more.
                unsafe {
                    match registers {
                        1 => part.run::<V, 1, W>(),
                        2 => part.run::<V, 2, W>(),
                        _ => part.run::<V, TOGETHER, W>(),
                    }
                }
                x += registers * V::LANES;
            }
        }
    }
}

/// Up to `TOGETHER` registers of a row of the output.
struct Part<'a> {
    conv: &'a Conv2d,
    pitch: usize,
    weights: *const f32,
    rows: *const f32,
    output: *mut f32,
    len: usize,
    finish: Option<Finish>,
}

impl Part<'_> {
    /// # Safety
    /// The inputs of `N` registers of outputs can be read, `len` outputs written, and what `finish` points to read for as many.
    #[inline(always)]
    unsafe fn run<V: Vector, const N: usize, const W: usize>(self) {
        let [kernel_height, kernel_width] = self.conv.kernel;
        let (stride, dilations) = (self.conv.strides[1], self.conv.dilations);
        let line = dilations[0] * stride * self.pitch;
        let mut sums = [[V::splat(0.0); N]; 1];
        let (mut weight, mut row) = (self.weights, self.rows);
        macro_rules! tap {
            ($from:expr) => {
                let (from, factor) = ($from, V::splat(*weight));
                for v in 0..N {
                    sums[0][v] = sums[0][v].madd(V::load(from.add(v * V::LANES)), factor);
                }
                weight = weight.add(1);
                V::in_order();
            };
        }
        // SAFETY: the caller's promise.
        unsafe {
            for _ in 0..kernel_height {
                for x in 0..W {
                    tap!(row.add(x));
                }
                // Where the tap's inputs begin: in which phase of the row, and how far on.
                let (mut phase, mut x) = (0, 0);
                for _ in 0..if W > 0 { 0 } else { kernel_width } {
                    tap!(row.add(phase * self.pitch + x));
                    if stride == 1 {
                        x += dilations[1];
                    } else {
                        phase += dilations[1];
                        while phase >= stride {
                            (phase, x) = (phase - stride, x + 1);
                        }
                    }
                }
                row = row.wrapping_add(line);
            }
            let mut copy = [0.0; SLACK];
            let mut residual = [0.0; SLACK];
            let whole = self.len == N * V::LANES;
            if let Some(mut finish) = self.finish {
                if !whole && !finish.residual.is_null() {
                    residual.as_mut_ptr().copy_from_nonoverlapping(finish.residual, self.len);
                    finish.residual = residual.as_ptr();
                }
                end::<V, 1, N>(&mut sums, &finish);
            }
            let to = if whole { self.output } else { copy.as_mut_ptr() };
            for v in 0..N {
                sums[0][v].store(to.add(v * V::LANES));
            }
            if !whole {
                self.output.copy_from_nonoverlapping(to, self.len);
            }
        }
    }
}
