//! A kernel that moves over the spatial dimensions: which elements it touches at which position.

use std::ops::Range;

use smallvec::SmallVec;

use crate::{
    Fault,
    attribute::{Attributes, wrong},
    shape::Shape,
};

/// Largest stride, dilation, padding and declared kernel size: beyond any model, and small enough that sums cannot overflow.
pub(crate) const MAX_WINDOW: i64 = 1 << 24;

/// Elements from the first to the last that the kernel touches, at most.
const MAX_REACH: u64 = 1 << 30;

/// How the kernel moves along one dimension: tap `t` of output `o` touches input `o * stride + t * dilation - before`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axis {
    /// Elements of the input.
    pub size: usize,
    /// Taps.
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    /// Padding.
    pub before: usize,
    pub after: usize,
    /// Positions.
    pub output: usize,
}

impl Axis {
    /// Taps of an output that lie inside of the input.
    pub fn taps(&self, output: usize) -> Range<usize> {
        let start = output * self.stride;
        let first = self.before.saturating_sub(start).div_ceil(self.dilation);
        let end = (self.before + self.size).saturating_sub(start).div_ceil(self.dilation).min(self.kernel);
        first.min(end)..end
    }

    /// Taps of an output that lie inside of the input or its padding.
    pub fn padded_taps(&self, output: usize) -> usize {
        let end = (self.before + self.size + self.after).saturating_sub(output * self.stride);
        end.div_ceil(self.dilation).min(self.kernel)
    }

    /// Outputs whose tap lies inside of the input.
    pub fn outputs(&self, tap: usize) -> Range<usize> {
        let start = tap * self.dilation;
        let first = self.before.saturating_sub(start).div_ceil(self.stride);
        let end = (self.before + self.size).saturating_sub(start).div_ceil(self.stride).min(self.output);
        first.min(end)..end
    }

    /// The input that a tap of an output touches; only for pairs that lie inside of it.
    pub fn at(&self, output: usize, tap: usize) -> usize {
        output * self.stride + tap * self.dilation - self.before
    }

    /// Elements from the first to the last that the kernel touches.
    pub fn reach(kernel: usize, dilation: usize) -> Result<usize, Fault> {
        let reach = dilation as u64 * (kernel as u64).saturating_sub(1) + 1;
        match kernel as u64 <= MAX_REACH && reach <= MAX_REACH {
            true => Ok(reach as usize),
            false => Err(Fault::Shape(format!("a kernel of {kernel} taps with dilation {dilation} is too large"))),
        }
    }
}

/// Strides, dilations and the like, one for each dimension.
pub(crate) type Numbers = SmallVec<[usize; 6]>;

/// An attribute with `length` numbers of at least `least`.
pub(crate) fn numbers(
    attributes: &Attributes,
    name: &str,
    least: i64,
    length: usize,
    default: usize,
) -> Result<Numbers, Fault> {
    match attributes.ints(name)? {
        None => Ok(Numbers::from_elem(default, length)),
        Some(list) if list.len() == length && list.iter().all(|value| (least..=MAX_WINDOW).contains(value)) => {
            Ok(list.iter().map(|&value| value as usize).collect())
        }
        Some(list) => Err(wrong(name, &format!("{list:?} is not {length} numbers from {least} to {MAX_WINDOW}"))),
    }
}

/// `kernel_shape`, which pooling needs and which must agree with a convolution's weights.
pub(crate) fn kernel_shape(attributes: &Attributes, rank: usize, weights: Option<&[usize]>) -> Result<Numbers, Fault> {
    match (attributes.ints("kernel_shape")?, weights) {
        (None, Some(weights)) => Ok(weights.into()),
        (None, None) => Err(wrong("kernel_shape", "it is missing")),
        (Some(_), None) => numbers(attributes, "kernel_shape", 1, rank, 1),
        (Some(declared), Some(weights)) => {
            match declared.iter().map(|&size| usize::try_from(size).ok()).eq(weights.iter().map(|&size| Some(size))) {
                true => Ok(weights.into()),
                false => Err(wrong("kernel_shape", &format!("{declared:?} differs from the weights' {weights:?}"))),
            }
        }
    }
}

/// The positive number of groups of a convolution.
pub(crate) fn groups(attributes: &Attributes, name: &str) -> Result<usize, Fault> {
    let groups = usize::try_from(attributes.int(name)?.unwrap_or(1)).ok().filter(|&groups| groups > 0);
    groups.ok_or_else(|| wrong(name, "it must be positive"))
}

/// How the kernel moves.
#[derive(Debug, Clone)]
pub(crate) struct Window(pub SmallVec<[Axis; 4]>);

impl Window {
    /// From the attributes that convolutions and pooling share. With `ceil`, a last window may hang over the padding, if it
    /// does not begin in it.
    pub fn new(attributes: &Attributes, input: &[usize], kernel: &[usize], ceil: bool) -> Result<Self, Fault> {
        let rank = input.len();
        if rank == 0 || kernel.len() != rank {
            return Err(Fault::Shape(format!("a kernel {kernel:?} cannot move over {input:?}")));
        }
        let strides = numbers(attributes, "strides", 1, rank, 1)?;
        let dilations = numbers(attributes, "dilations", 1, rank, 1)?;
        let pads = numbers(attributes, "pads", 0, 2 * rank, 0)?;
        let auto = attributes.text("auto_pad")?.unwrap_or("NOTSET");
        let mut axes = SmallVec::new();
        for index in 0..rank {
            let (size, stride, dilation) = (input[index], strides[index], dilations[index]);
            let reach = Axis::reach(kernel[index], dilation)?;
            let same = |low_first: bool| {
                let total = (size.div_ceil(stride).saturating_sub(1) * stride + reach).saturating_sub(size);
                let (small, large) = (total / 2, total.div_ceil(2));
                if low_first { (large, small) } else { (small, large) }
            };
            let (before, after) = match auto {
                "NOTSET" | "" => (pads[index], pads[rank + index]),
                "VALID" => (0, 0),
                "SAME_UPPER" => same(false),
                "SAME_LOWER" => same(true),
                other => return Err(wrong("auto_pad", &format!("{other:?} is unknown"))),
            };
            let room = (size + before + after) as i64 - reach as i64;
            let refuse =
                || Fault::Shape(format!("the kernel reaches over {reach} elements of {input:?} with {pads:?}"));
            let signed = stride as i64;
            let output = match ceil && matches!(auto, "NOTSET" | "") {
                false if room < 0 => return Err(refuse()),
                false => room / signed + 1,
                true => {
                    let output = (room + signed - 1).div_euclid(signed) + 1;
                    let hangs = (output - 1) * signed >= (size + before) as i64;
                    output - i64::from(hangs)
                }
            };
            if size == 0 || kernel[index] == 0 || output < 1 {
                return Err(refuse());
            }
            let output = output as usize;
            axes.push(Axis { size, kernel: kernel[index], stride, dilation, before, after, output });
        }
        Ok(Self(axes))
    }

    /// Positions along each dimension.
    pub fn output(&self) -> Shape {
        self.0.iter().map(|axis| axis.output).collect()
    }

    /// Taps of the whole kernel, saturating.
    pub fn taps(&self) -> usize {
        self.0.iter().fold(1, |product: usize, axis| product.saturating_mul(axis.kernel))
    }

    /// Calls `visit` with each position of these counts in turn.
    pub fn positions(counts: &[usize], mut visit: impl FnMut(&[usize])) {
        let mut index = Shape::from_elem(0, counts.len());
        for _ in 0..counts.iter().product() {
            visit(&index);
            for axis in (0..counts.len()).rev() {
                index[axis] += 1;
                if index[axis] < counts[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
    }
}
