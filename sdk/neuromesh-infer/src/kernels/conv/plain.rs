//! Convolutions of up to three dimensions in plain loops: for what is rare, and to test the others against.

use super::ConvEpilogue;
use crate::kernels::cpu::Cpu;
use crate::kernels::gemm::Activation;

/// What a convolution of three dimensions looks like: depth, height, width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv3d {
    /// Channels of the input, of all groups.
    pub inputs: usize,
    /// Channels of the output, of all groups.
    pub outputs: usize,
    /// Parts that know nothing of each other.
    pub groups: usize,
    /// The size of the kernel.
    pub kernel: [usize; 3],
    /// From one output to the next.
    pub strides: [usize; 3],
    /// From one element of the kernel to the next.
    pub dilations: [usize; 3],
    /// Zeros before the first element of each axis.
    pub pads: [usize; 3],
}

/// Writes [batch, outputs, depth, height, width] for an output of the size `out`, which the caller has computed.
///
/// # Panics
/// When a slice is too short, or the groups do not divide the channels.
#[allow(clippy::too_many_arguments)]
pub fn conv_plain(
    cpu: &Cpu,
    conv: &Conv3d,
    weights: &[f32],
    batch: usize,
    input: &[f32],
    size: [usize; 3],
    output: &mut [f32],
    out: [usize; 3],
    epilogue: &ConvEpilogue,
) {
    let groups = conv.groups;
    assert!(groups > 0 && conv.inputs.is_multiple_of(groups) && conv.outputs.is_multiple_of(groups), "uneven groups");
    let (inputs, outputs) = (conv.inputs / groups, conv.outputs / groups);
    let volume = |size: [usize; 3]| size.iter().product::<usize>();
    let (from, to, taps) = (volume(size), volume(out), inputs * volume(conv.kernel));
    assert!(input.len() >= batch * conv.inputs * from, "the input of a convolution is too small");
    assert!(output.len() >= batch * conv.outputs * to, "the output of a convolution is too small");
    assert!(weights.len() >= conv.outputs * taps, "too few weights");
    for (index, output) in output.chunks_exact_mut(to.max(1)).take(batch * conv.outputs).enumerate() {
        let (image, channel) = (index / conv.outputs, index % conv.outputs);
        let input = &input[(image * conv.inputs + channel / outputs * inputs) * from..][..inputs * from];
        let weights = &weights[channel * taps..(channel + 1) * taps];
        for (pixel, value) in output.iter_mut().enumerate() {
            let at = [pixel / out[2] / out[1], pixel / out[2] % out[1], pixel % out[2]];
            let mut x = sum(conv, weights, input, size, at);
            if let Some(bias) = epilogue.bias {
                x += bias[channel];
            }
            if let Some(residual) = epilogue.residual {
                x += residual[index * to + pixel];
            }
            *value = match epilogue.activation {
                Activation::None | Activation::Custom(_) => x,
                Activation::Relu => least(x, 0.0),
                Activation::Clip { min, max } => most(least(x, min), max),
                Activation::LeakyRelu(alpha) => {
                    if x < 0.0 {
                        x * alpha
                    } else {
                        x
                    }
                }
            };
        }
        if let Activation::Custom(activate) = epilogue.activation {
            activate(cpu, output);
        }
    }
}

fn least(x: f32, min: f32) -> f32 {
    if x < min { min } else { x }
}

fn most(x: f32, max: f32) -> f32 {
    if x > max { max } else { x }
}

/// One output before its epilogue.
fn sum(conv: &Conv3d, weights: &[f32], input: &[f32], size: [usize; 3], at: [usize; 3]) -> f32 {
    let [_, height, width] = size;
    let volume: usize = size.iter().product();
    let mut sum = 0.0;
    for (tap, weight) in weights.iter().enumerate() {
        let [_, kernel_height, kernel_width] = conv.kernel;
        let (area, kernel) = (kernel_height * kernel_width, conv.kernel.iter().product::<usize>());
        let offset = [tap % kernel / area, tap % area / kernel_width, tap % kernel_width];
        let place = |axis: usize| {
            let padded = at[axis] * conv.strides[axis] + offset[axis] * conv.dilations[axis];
            padded.checked_sub(conv.pads[axis]).filter(|place| *place < size[axis])
        };
        let x = match (place(0), place(1), place(2)) {
            (Some(z), Some(y), Some(x)) => input[tap / kernel * volume + (z * height + y) * width + x],
            _ => 0.0,
        };
        sum += x * weight;
    }
    sum
}
