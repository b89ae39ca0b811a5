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

    /// The taps of a window that lie within the input.
    #[inline(always)]
    pub(super) fn taps(&self, window: usize) -> Range<usize> {
        let first = window * self.stride;
        let until = |end: usize| end.saturating_sub(first).div_ceil(self.dilation).min(self.kernel);
        let end = until(self.pads.0 + self.input);
        until(self.pads.0).min(end)..end
    }

    /// The windows all of whose taps lie within the input.
    #[inline(always)]
    pub(super) fn inner(&self) -> Range<usize> {
        let (first, last) = (self.windows(0), self.windows(self.kernel - 1));
        first.start.min(last.end)..last.end
    }

    /// Where in the input a tap of a window lies that is known to lie there.
    #[inline(always)]
    pub(super) fn place(&self, window: usize, tap: usize) -> usize {
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

    /// A row of outputs, of all depths together.
    #[inline(always)]
    pub(super) fn line(&self, number: usize) -> Line {
        let Window { depth, height, width } = *self;
        let (d, h) = (number / height.output, number % height.output);
        let (depths, heights) = (depth.taps(d), height.taps(h));
        let start = |axis: &Axis, window: usize, taps: &Range<usize>| match taps.is_empty() {
            true => 0,
            false => axis.place(window, taps.start),
        };
        Line {
            start: (start(&depth, d, &depths) * height.input + start(&height, h, &heights)) * width.input,
            counts: [depths.len(), heights.len()],
            steps: [depth.dilation * height.input * width.input, height.dilation * width.input],
        }
    }

    /// The taps that reach outputs, a band of rows after another so that the rows stay in the nearest cache; for each output, in
    /// the order of depth, height, width.
    pub(super) fn taps_in_order(&self) -> impl Iterator<Item = Tap> {
        let Window { depth, height, width } = *self;
        let band = (2048 / width.output.max(1)).max(1);
        let bands = (0..depth.output).flat_map(move |d| (0..height.output).step_by(band).map(move |first| (d, first)));
        bands.flat_map(move |(d, first)| {
            let depths = (0..depth.kernel).filter(move |&tap| depth.windows(tap).contains(&d));
            let planes = depths.flat_map(move |kd| (0..height.kernel).map(move |kh| (kd, kh)));
            planes.flat_map(move |(kd, kh)| {
                let rows = height.windows(kh);
                let rows = rows.start.max(first)..rows.end.min(first + band);
                (0..width.kernel).map(move |kw| {
                    let columns = width.windows(kw);
                    let empty = columns.is_empty();
                    Tap {
                        rows: if empty { 0..0 } else { rows.clone() },
                        outputs: d * height.output * width.output + columns.start,
                        count: columns.len(),
                        line: depth.place(d, kd) * height.input,
                        kh,
                        input: if empty { 0 } else { width.place(columns.start, kw) },
                    }
                })
            })
        })
    }

    /// A tap's stretch of outputs side by side in the row, and the place of the first one's tap in the input.
    #[inline(always)]
    pub(super) fn stretch(&self, tap: &Tap, row: usize) -> (Range<usize>, usize) {
        let first = tap.outputs + row * self.width.output;
        let line = tap.line + self.height.place(row, tap.kh);
        (first..first + tap.count, line * self.width.input + tap.input)
    }
}

/// One place in the window, for the rows of outputs whose windows have that place within the input.
pub(super) struct Tap {
    pub(super) rows: Range<usize>,
    outputs: usize,
    count: usize,
    line: usize,
    kh: usize,
    input: usize,
}

/// The rows of the input that a row of outputs sees.
pub(super) struct Line {
    start: usize,
    counts: [usize; 2],
    steps: [usize; 2],
}

impl Line {
    /// Where they begin, in the order of depth and height.
    #[inline(always)]
    pub(super) fn rows(&self) -> impl Iterator<Item = usize> {
        let Line { start, counts: [depths, heights], steps: [depth, height] } = *self;
        (0..depths).flat_map(move |d| (0..heights).map(move |h| start + d * depth + h * height))
    }
}
