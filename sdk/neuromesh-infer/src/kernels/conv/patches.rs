//! Panels of patches: the right operand of a convolution as a matrix product, made when it is needed.

use super::Conv2d;
use crate::kernels::cpu::{Cpu, dispatch};
use std::ops::Range;

/// The matrix [inputs * kernel, pixels] of one group of one image.
pub(super) struct Patches<'a> {
    input: &'a [f32],
    size: [usize; 2],
    out: [usize; 2],
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    top: usize,
    left: usize,
}

impl<'a> Patches<'a> {
    pub fn new(conv: &Conv2d, input: &'a [f32], size: [usize; 2], out: [usize; 2]) -> Self {
        let Conv2d { kernel, strides, dilations, pads: [top, left, ..], .. } = *conv;
        Patches { input, size, out, kernel, strides, dilations, top, left }
    }

    /// Writes rows `rows` of a panel of `width` columns.
    pub fn make(&self, cpu: &Cpu, rows: Range<usize>, panel: usize, width: usize, to: &mut [f32]) {
        make(cpu, self, rows, panel * width, width, to);
    }

    /// The pixels from `first` on as pieces of rows of the output; returns how many.
    #[inline(always)]
    fn pieces(&self, first: usize, width: usize, pieces: &mut [Piece; MOST]) -> (usize, usize) {
        let total = (self.out[0] * self.out[1] - first).min(width);
        let (mut y, mut x) = (first / self.out[1], first % self.out[1]);
        let (mut at, mut count) = (0, 0);
        while at < total {
            let len = (self.out[1] - x).min(total - at);
            pieces[count] = Piece { at, len, y: y * self.strides[0], x: x * self.strides[1] };
            at += len;
            count += 1;
            (y, x) = (y + 1, 0);
        }
        (count, total)
    }
}

impl Patches<'_> {
    /// Which of `len` pixels, whose inputs begin at `x` of a padded row, lie beside the padding; an empty range is at the end.
    #[inline(always)]
    fn inside(&self, x: usize, len: usize) -> (usize, usize) {
        let (begin, end) = (self.left.saturating_sub(x), (self.left + self.size[1]).saturating_sub(x));
        let (begin, end) = match self.strides[1] {
            1 => (begin, end),
            stride => (begin.div_ceil(stride), end.div_ceil(stride)),
        };
        let begin = begin.min(len);
        (begin, end.min(len).max(begin))
    }
}

/// No panel is wider.
const MOST: usize = 64;

/// Consecutive pixels of one row of the output.
#[derive(Clone, Copy, Default)]
struct Piece {
    at: usize,
    len: usize,
    /// Where the first of them begins in the padded input.
    y: usize,
    x: usize,
}

dispatch! {
    fn make(cpu: &Cpu, patches: &Patches, rows: Range<usize>, first: usize, width: usize, to: &mut [f32]) {
        let mut pieces = [Piece::default(); MOST];
        let (count, total) = patches.pieces(first, width, &mut pieces);
        let [height, wide] = patches.size;
        let taps = patches.kernel[0] * patches.kernel[1];
        let stride = patches.strides[1];
        // What is beside the padding is the same for all channels: they come last.
        for tap in 0..taps {
            let (row, column) = (tap / patches.kernel[1], tap % patches.kernel[1]);
            let channel = |end: usize| end.saturating_sub(tap).div_ceil(taps);
            let channels = channel(rows.start)..channel(rows.end);
            for piece in &pieces[..count] {
                let y = piece.y + row * patches.dilations[0];
                let x = piece.x + column * patches.dilations[1];
                let inside = y >= patches.top && y - patches.top < height;
                let (begin, end) = if inside { patches.inside(x, piece.len) } else { (piece.len, piece.len) };
                let from = if begin < end { (y - patches.top) * wide + x + begin * stride - patches.left } else { 0 };
                for channel in channels.clone() {
                    let start = (channel * taps + tap - rows.start) * width;
                    let line = &mut to[start + piece.at..start + width];
                    if begin > 0 {
                        line[..begin].fill(0.0);
                    }
                    if begin < end {
                        let from = &patches.input[channel * height * wide + from..];
                        if stride == 1 {
                            copy(from, &mut line[begin..], end - begin);
                        } else if stride == 2 {
                            every_second(from, &mut line[begin..end]);
                        } else {
                            let from = from.iter().step_by(stride);
                            line[begin..end].iter_mut().zip(from).for_each(|(to, x)| *to = *x);
                        }
                    }
                    if end < piece.len {
                        line[end..piece.len].fill(0.0);
                    }
                }
            }
            if total < width {
                for channel in channels {
                    let start = (channel * taps + tap - rows.start) * width;
                    to[start + total..start + width].fill(0.0);
                }
            }
        }
    }
}

/// Copies `len` numbers, some at a time: may write more, within `to`, which the caller writes afterwards (a row is filled from
/// the left to the right).
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32], len: usize) {
    let mut at = 0;
    while at < len {
        match (from[at..].first_chunk::<8>(), to[at..].first_chunk_mut::<8>()) {
            (Some(from), Some(to)) => *to = *from,
            _ => {
                to[at..len].iter_mut().zip(&from[at..len]).for_each(|(to, x)| *to = *x);
                break;
            }
        }
        at += 8;
    }
}

/// Copies every second number.
#[inline(always)]
pub(super) fn every_second(from: &[f32], to: &mut [f32]) {
    // The last may stand at the end, without a neighbour.
    if let Some((last, others)) = to.split_last_mut() {
        others.iter_mut().zip(from.as_chunks::<2>().0).for_each(|(to, pair)| *to = pair[0]);
        *last = from[2 * others.len()];
    }
}
