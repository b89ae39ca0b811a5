//! Patches as rows, one for each pixel of the output: the left operand of a product whose lanes run across output channels.

use super::Conv2d;
use crate::kernels::cpu::{Cpu, dispatch};
use std::ops::Range;

/// Where the patches of one group of one image come from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, T> {
    pub conv: &'a Conv2d,
    pub input: &'a [T],
    pub size: [usize; 2],
    /// Pixels in a row of the output.
    pub wide: usize,
    /// What lies in the padding.
    pub padding: T,
}

/// Channels whose numbers are moved together.
const TOGETHER: usize = 16;

/// Writes the patches of `pixels`, one after another, each in the order channel, kernel height, kernel width.
pub(super) fn make<T: Copy>(cpu: &Cpu, source: Source<T>, pixels: Range<usize>, to: &mut [T]) {
    match source.conv.kernel {
        [1, 1] if source.conv.pads == [0; 4] => transpose(cpu, source, pixels, to),
        [_, 3] => patches(cpu, source, pixels, to, [(); 3]),
        _ => patches(cpu, source, pixels, to, []),
    }
}

dispatch! {
    /// Of a kernel of one pixel: the channels of each pixel.
    fn transpose[T: Copy](cpu: &Cpu, source: Source<T>, pixels: Range<usize>, to: &mut [T]) {
        let Source { conv, input, size, wide, .. } = source;
        let (channels, plane) = (conv.inputs / conv.groups, size[0] * size[1]);
        for start in (0..channels).step_by(TOGETHER) {
            let end = channels.min(start + TOGETHER);
            for (pixel, to) in pixels.clone().zip(to.chunks_exact_mut(channels)) {
                let from = pixel / wide * conv.strides[0] * size[1] + pixel % wide * conv.strides[1];
                for (channel, to) in (start..end).zip(&mut to[start..end]) {
                    *to = input[channel * plane + from];
                }
            }
        }
    }

    /// Of a kernel that is `W` pixels wide, or of any if that is 0.
    fn patches[T: Copy, const W: usize](cpu: &Cpu, source: Source<T>, pixels: Range<usize>, to: &mut [T], width: [(); W]) {
        let Source { conv, input, size, wide, padding } = source;
        let (plane, [kernel_height, kernel_width]) = (size[0] * size[1], conv.kernel);
        let [dilation, step] = conv.dilations;
        let taps = kernel_height * kernel_width;
        for (pixel, to) in pixels.zip(to.chunks_exact_mut(conv.taps())) {
            let (top, left) = (pixel / wide * conv.strides[0], pixel % wide * conv.strides[1]);
            let within = left >= conv.pads[1] && left - conv.pads[1] + (kernel_width - 1) * step < size[1];
            for row in 0..kernel_height {
                let lines = to.chunks_exact_mut(taps).map(|channel| &mut channel[row * kernel_width..(row + 1) * kernel_width]);
                let y = (top + row * dilation).checked_sub(conv.pads[0]).filter(|y| *y < size[0]);
                let Some(y) = y else {
                    lines.for_each(|line| line.fill(padding));
                    continue;
                };
                let rows = input[y * size[1]..].chunks(plane).map(|from| &from[..size[1]]);
                if within && step == 1 && W > 0 {
                    let x = left - conv.pads[1];
                    for (line, from) in lines.zip(rows) {
                        if let (Some(to), Some(from)) = (line.first_chunk_mut::<W>(), from[x..].first_chunk::<W>()) {
                            *to = *from;
                        }
                    }
                    continue;
                }
                for (line, from) in lines.zip(rows) {
                    for (tap, to) in line.iter_mut().enumerate() {
                        let x = (left + tap * step).checked_sub(conv.pads[1]);
                        *to = x.and_then(|x| from.get(x)).copied().unwrap_or(padding);
                    }
                }
            }
        }
    }
}
