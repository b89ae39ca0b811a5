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
        let (size, out) = if conv.is_pointwise() {
            // One long row: no panel is torn.
            ([1, size[0] * size[1]], [1, out[0] * out[1]])
        } else {
            (size, out)
        };
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
        let pieces = &pieces[..count];
        let [height, wide] = patches.size;
        let [kernel_height, kernel_width] = patches.kernel;
        let stride = patches.strides[1];

        let mut column = rows.start % kernel_width;
        let mut row = rows.start / kernel_width % kernel_height;
        let mut channel = rows.start / kernel_width / kernel_height;
        let mut start = 0;
        for _ in rows {
            let plane = &patches.input[channel * height * wide..(channel + 1) * height * wide];
            for piece in pieces {
                let at = start + piece.at;
                let y = piece.y + row * patches.dilations[0];
                let x = piece.x + column * patches.dilations[1];
                if y < patches.top || y - patches.top >= height {
                    to[at..at + piece.len].fill(0.0);
                    continue;
                }
                // The pixels of the piece that lie beside the padding.
                let begin = patches.left.saturating_sub(x);
                let end = (patches.left + wide).saturating_sub(x);
                let (begin, end) = if stride == 1 {
                    (begin.min(piece.len), end.min(piece.len))
                } else {
                    (begin.div_ceil(stride).min(piece.len), end.div_ceil(stride).min(piece.len))
                };
                let line = (y - patches.top) * wide;
                if begin > 0 {
                    to[at..at + begin].fill(0.0);
                }
                if begin < end {
                    let from = line + x + begin * stride - patches.left;
                    if stride == 1 {
                        copy(&plane[from..], &mut to[at + begin..], end - begin);
                    } else {
                        let from = plane[from..].iter().step_by(stride);
                        to[at + begin..at + end].iter_mut().zip(from).for_each(|(to, x)| *to = *x);
                    }
                }
                if end < piece.len {
                    to[at + end.max(begin)..at + piece.len].fill(0.0);
                }
            }
            if total < width {
                to[start + total..start + width].fill(0.0);
            }
            start += width;
            column += 1;
            if column == kernel_width {
                (column, row) = (0, row + 1);
                if row == kernel_height {
                    (row, channel) = (0, channel + 1);
                }
            }
        }
    }
}

/// Copies `len` numbers, eight at a time: may write up to seven more, which the caller writes afterwards (panels are filled
/// from the left to the right).
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
