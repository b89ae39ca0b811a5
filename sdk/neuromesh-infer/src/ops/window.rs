//! The window that a convolution or a pooling moves over its input.

use smallvec::SmallVec;

use crate::{
    Fault,
    attribute::{Attributes, wrong},
    shape::Shape,
};

/// Largest kernel size, stride, dilation and padding: beyond any model, and small enough that sums cannot overflow.
const MAX_WINDOW: i64 = 1 << 16;

/// How the kernel moves along each spatial dimension.
pub(crate) struct Window {
    pub kernel: Shape,
    pub strides: Shape,
    pub dilations: Shape,
    pub pads: SmallVec<[(usize, usize); 3]>,
    pub output: Shape,
}

impl Window {
    /// From a node's attributes, for spatial dimensions of these sizes.
    pub fn new(attributes: &Attributes, input: &[usize], kernel: &[usize]) -> Result<Self, Fault> {
        let rank = input.len();
        if let Some(declared) = attributes.ints("kernel_shape")?
            && !declared.iter().map(|&size| usize::try_from(size).ok()).eq(kernel.iter().map(|&size| Some(size)))
        {
            return Err(wrong("kernel_shape", &format!("{declared:?} differs from the weights' {kernel:?}")));
        }
        if kernel.iter().chain(input).any(|&size| size as u64 > u64::from(u32::MAX) >> 1) {
            return Err(Fault::Shape(format!("{input:?} with a kernel {kernel:?} is too large")));
        }
        let strides = numbers(attributes, "strides", 1, rank, 1)?;
        let dilations = numbers(attributes, "dilations", 1, rank, 1)?;
        let explicit = numbers(attributes, "pads", 0, 2 * rank, 0)?;
        let auto = attributes.text("auto_pad")?.unwrap_or("NOTSET");
        let (mut pads, mut output) = (SmallVec::new(), Shape::new());
        for axis in 0..rank {
            let (size, stride) = (input[axis] as u64, strides[axis] as u64);
            let reach = dilations[axis] as u64 * (kernel[axis] as u64).saturating_sub(1) + 1;
            let same = |low_first: bool| {
                let total = (size.div_ceil(stride).saturating_sub(1) * stride + reach).saturating_sub(size);
                let (small, large) = ((total / 2) as usize, total.div_ceil(2) as usize);
                if low_first { (large, small) } else { (small, large) }
            };
            let pad = match auto {
                "NOTSET" | "" => (explicit[axis], explicit[rank + axis]),
                "VALID" => (0, 0),
                "SAME_UPPER" => same(false),
                "SAME_LOWER" => same(true),
                other => return Err(wrong("auto_pad", &format!("{other:?} is unknown"))),
            };
            let padded = size + pad.0 as u64 + pad.1 as u64;
            if padded < reach || size == 0 {
                return Err(Fault::Shape(format!("the kernel reaches over {reach} of {padded} elements of {input:?}")));
            }
            output.push(((padded - reach) / stride + 1) as usize);
            pads.push(pad);
        }
        Ok(Self { kernel: kernel.into(), strides, dilations, pads, output })
    }
}

/// A list of numbers, one for each spatial dimension (or two), none less than `least`.
pub(crate) fn numbers(
    attributes: &Attributes,
    name: &str,
    least: i64,
    length: usize,
    default: usize,
) -> Result<Shape, Fault> {
    match attributes.ints(name)? {
        None => Ok(Shape::from_elem(default, length)),
        Some(list) if list.len() == length && list.iter().all(|value| (least..=MAX_WINDOW).contains(value)) => {
            Ok(list.iter().map(|&value| value as usize).collect())
        }
        Some(list) => Err(wrong(name, &format!("{list:?} does not fit {length} numbers from {least} on"))),
    }
}
