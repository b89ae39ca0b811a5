//! Where the windows lie.

use std::ops::Range;

/// One spatial dimension of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Axis {
    pub input: usize,
    pub output: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    /// The padding in front and behind.
    pub pads: (usize, usize),
}

impl Axis {
    /// The axis of an input that has fewer dimensions.
    pub const NONE: Axis = Axis { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, pads: (0, 0) };

    /// How many windows there are. With `ceil`, one that hangs over the end counts too, if it begins within the input or the
    /// padding in front.
    ///
    /// # Panics
    /// When the kernel, the stride or the dilation is 0, or the kernel is larger than the padded input.
    pub fn output_size(&self, ceil: bool) -> usize {
        assert!(self.kernel > 0 && self.stride > 0 && self.dilation > 0, "a window without size or step");
        let reach = (self.kernel - 1) * self.dilation + 1;
        let padded = self.input + self.pads.0 + self.pads.1;
        assert!(reach <= padded, "a window larger than the padded input");
        let steps = if ceil { (padded - reach).div_ceil(self.stride) } else { (padded - reach) / self.stride };
        let hangs = steps * self.stride >= self.input + self.pads.0;
        steps + usize::from(!(hangs && steps > 0))
    }

    /// The windows whose tap of this number lies within the input.
    #[inline(always)]
    fn windows(&self, tap: usize) -> Range<usize> {
        let (before, ahead) = (self.pads.0, tap * self.dilation);
        let start = before.saturating_sub(ahead).div_ceil(self.stride);
        let end = (self.input + before).saturating_sub(ahead).div_ceil(self.stride);
        start.min(self.output)..end.min(self.output)
    }

    /// Where in the input a tap of a window lies that is known to lie there.
    #[inline(always)]
    fn place(&self, window: usize, tap: usize) -> usize {
        window * self.stride + tap * self.dilation - self.pads.0
    }

    /// How many taps of a window lie within the input, or within the padded input.
    #[inline(always)]
    pub(super) fn count(&self, window: usize, padded: bool) -> usize {
        let (low, high) = match padded {
            true => (0, self.pads.0 + self.input + self.pads.1),
            false => (self.pads.0, self.pads.0 + self.input),
        };
        let first = window * self.stride;
        let until = |end: usize| end.saturating_sub(first).div_ceil(self.dilation).min(self.kernel);
        until(high) - until(low)
    }
}

/// The windows of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Window {
    pub depth: Axis,
    pub height: Axis,
    pub width: Axis,
}

impl Window {
    /// How many elements an input plane has.
    pub fn inputs(&self) -> usize {
        self.depth.input * self.height.input * self.width.input
    }

    /// How many elements an output plane has.
    pub fn outputs(&self) -> usize {
        self.depth.output * self.height.output * self.width.output
    }

    /// How many elements a window has.
    pub fn taps(&self) -> usize {
        self.depth.kernel * self.height.kernel * self.width.kernel
    }

    /// The place of an element when the first of the spatial dimensions that are in use runs fastest.
    pub(super) fn by_column(&self, place: i64) -> i64 {
        let (depth, height, width) = (self.depth.input as i64, self.height.input as i64, self.width.input as i64);
        let (d, h, w) = (place / (height * width), place / width % height, place % width);
        d + depth * (h + height * w)
    }

    /// Calls `f(outputs, input)` for stretches of outputs side by side and the place of the first one's tap in the input; for
    /// each output, the taps come in the order of depth, height, width.
    #[inline(always)]
    pub(super) fn for_taps(&self, mut f: impl FnMut(Range<usize>, usize)) {
        let Window { depth, height, width } = self;
        // All the taps of some rows before the next rows: they stay in the nearest cache.
        let band = (2048 / width.output).max(1);
        for d in 0..depth.output {
            for first in (0..height.output).step_by(band) {
                for kd in (0..depth.kernel).filter(|&tap| depth.windows(tap).contains(&d)) {
                    for kh in 0..height.kernel {
                        let rows = height.windows(kh);
                        let rows = rows.start.max(first)..rows.end.min(first + band);
                        for kw in 0..width.kernel {
                            let windows = width.windows(kw);
                            if windows.is_empty() {
                                continue;
                            }
                            for h in rows.clone() {
                                let row = (d * height.output + h) * width.output;
                                let line = (depth.place(d, kd) * height.input + height.place(h, kh)) * width.input;
                                let input = line + width.place(windows.start, kw);
                                f(row + windows.start..row + windows.end, input);
                            }
                        }
                    }
                }
            }
        }
    }
}
