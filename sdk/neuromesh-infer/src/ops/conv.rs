//! Convolution and global pooling.

use burn_backend::{Backend, Shape, ops::ConvOptions};

use super::{
    Meter,
    call::{self, Call, Outputs},
};
use crate::{
    DataType, Fault,
    attribute::{Attributes, wrong},
    shape,
};

/// Largest kernel size, stride, dilation and padding: beyond any model, and small enough that sums cannot overflow.
const MAX_WINDOW: i64 = 1 << 16;

/// Output positions that the CPU backend unrolls at once into scratch memory.
const UNROLLED: usize = 512;

/// How the kernel moves along each spatial dimension.
struct Window {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    pads: Vec<(usize, usize)>,
    output: Vec<usize>,
}

pub(crate) fn conv<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let (x, weight) = (call.shape(0)?, call.shape(1)?);
    if x.len() != weight.len() || !(3..=5).contains(&x.len()) {
        return Err(Fault::Unsupported(format!("convolution of {x:?} with {weight:?}")));
    }
    let groups = call.attributes().int("group")?.unwrap_or(1);
    let groups = usize::try_from(groups).ok().filter(|&groups| groups > 0);
    let groups = groups.ok_or_else(|| wrong("group", "it must be positive"))?;
    let outputs = weight[0];
    if weight[1].checked_mul(groups) != Some(x[1]) || !outputs.is_multiple_of(groups) {
        return Err(Fault::Shape(format!("{x:?} does not fit the weights {weight:?} in {groups} groups")));
    }
    if call.has(2) && call.shape(2)? != [outputs] {
        return Err(Fault::Shape(format!("the bias {:?} does not fit {outputs} channels", call.shape(2)?)));
    }
    let window = Window::new(call.attributes(), &x[2..], &weight[2..])?;
    let mut target = vec![x[0], outputs];
    target.extend(&window.output);
    let elements = call.charge(&target, DataType::F32)?;
    window.charge_scratch(call.meter, &x, &weight)?;
    let taps: usize = weight[1..].iter().product();
    call.meter.check_work(&[elements, taps])?;
    if elements == 0 {
        return call::float::<B>(call::empty::<B>(target, call.device));
    }
    if taps == 0 {
        return Err(Fault::Shape(format!("the weights {weight:?} have no elements")));
    }
    let (x, weight) = (call.float(0)?, call.float(1)?);
    let bias = match call.has(2) {
        true => Some(call.float(2)?),
        false => None,
    };
    call::float::<B>(match window.kernel.len() {
        1 => B::conv1d(x, weight, bias, window.options::<1>(groups)),
        2 => B::conv2d(x, weight, bias, window.options::<2>(groups)),
        _ => B::conv3d(x, weight, bias, window.options::<3>(groups)),
    })
}

impl Window {
    fn new(attributes: &Attributes, input: &[usize], kernel: &[usize]) -> Result<Self, Fault> {
        let rank = input.len();
        let list = |name: &str, least: i64, length: usize, default: i64| match attributes.ints(name)? {
            None => Ok(vec![default as usize; length]),
            Some(list) if list.len() == length && list.iter().all(|value| (least..=MAX_WINDOW).contains(value)) => {
                Ok(list.iter().map(|&value| value as usize).collect())
            }
            Some(list) => Err(wrong(name, &format!("{list:?} does not fit {rank} spatial dimensions"))),
        };
        if let Some(declared) = attributes.ints("kernel_shape")?
            && !declared.iter().map(|&size| usize::try_from(size).ok()).eq(kernel.iter().map(|&size| Some(size)))
        {
            return Err(wrong("kernel_shape", &format!("{declared:?} differs from the weights' {kernel:?}")));
        }
        if kernel.iter().chain(input).any(|&size| size as u64 > u64::from(u32::MAX) >> 1) {
            return Err(Fault::Shape(format!("{input:?} with a kernel {kernel:?} is too large")));
        }
        let strides = list("strides", 1, rank, 1)?;
        let dilations = list("dilations", 1, rank, 1)?;
        let explicit = list("pads", 0, 2 * rank, 0)?;
        let auto = attributes.text("auto_pad")?.unwrap_or("NOTSET");
        let (mut pads, mut output) = (Vec::with_capacity(rank), Vec::with_capacity(rank));
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
        Ok(Self { kernel: kernel.to_vec(), strides, dilations, pads, output })
    }

    /// What the kernel holds beside its result: the input padded and reordered, the weights reordered, unrolled rows.
    fn charge_scratch(&self, meter: &mut Meter, x: &[usize], weight: &[usize]) -> Result<(), Fault> {
        let mut padded = x.to_vec();
        for (size, (before, after)) in padded[2..].iter_mut().zip(&self.pads) {
            *size = size.saturating_add(*before).saturating_add(*after);
        }
        meter.charge(&padded, DataType::F32)?;
        meter.charge(&padded, DataType::F32)?;
        meter.charge(weight, DataType::F32)?;
        let mut unrolled = vec![UNROLLED];
        unrolled.extend(&weight[1..]);
        let unrolled = meter.charge(&unrolled, DataType::F32)?;
        meter.charge_packing(unrolled, weight.iter().product())
    }

    fn options<const N: usize>(&self, groups: usize) -> ConvOptions<N> {
        let strides = std::array::from_fn(|axis| self.strides[axis]);
        let dilations = std::array::from_fn(|axis| self.dilations[axis]);
        ConvOptions::new_with_padding(strides, std::array::from_fn(|axis| self.pads[axis]), dilations, groups)
    }
}

pub(crate) fn global_max_pool<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    global_pool(call, |tensor| B::float_max_dim(tensor, 1))
}

pub(crate) fn global_average_pool<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    global_pool(call, |tensor| B::float_mean_dim(tensor, 1))
}

fn global_pool<B: Backend>(
    call: &mut Call<'_, B>,
    fold: fn(burn_backend::tensor::FloatTensor<B>) -> burn_backend::tensor::FloatTensor<B>,
) -> Result<Outputs<B>, Fault> {
    let sizes = call.shape(0)?;
    if sizes.len() < 3 {
        return Err(Fault::Shape(format!("{sizes:?} has no spatial dimensions")));
    }
    let rows = sizes[0] * sizes[1];
    let mut target = sizes.clone();
    target[2..].fill(1);
    call.charge(&target, DataType::F32)?;
    let elements = shape::checked(&sizes)?;
    call.charge(&sizes, DataType::F32)?;
    let tensor = call.float(0)?;
    if rows == 0 {
        return call::float::<B>(call::empty::<B>(target, call.device));
    }
    if elements == 0 {
        return Err(Fault::Shape(format!("{sizes:?} has nothing to pool")));
    }
    let pooled = fold(B::float_reshape(tensor, Shape::from(vec![rows, elements / rows])));
    call::float::<B>(B::float_reshape(pooled, Shape::from(target)))
}
