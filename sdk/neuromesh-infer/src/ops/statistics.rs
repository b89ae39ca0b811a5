//! Normalization by what the elements themselves are like: their mean, their spread, their length.

mod batch;

use super::{
    Operator,
    broadcast::{self, Operand},
    call::{self, Call, Outputs},
    movement, op,
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    kernels::norm::{self, Length, Lrn},
    shape::{self, Shape},
    value::Value,
};

pub(super) const TABLE: &[Operator] = &[
    batch::OPERATOR,
    op("GroupNormalization", 18, 3..=3, group),
    op("InstanceNormalization", 6, 3..=3, instance),
    op("LRN", 1, 1..=1, local_response),
    op("LpNormalization", 1, 1..=1, length),
    op("MeanVarianceNormalization", 9, 1..=1, mean_variance),
    op("RMSNormalization", 23, 2..=2, root_mean_square),
];

/// What `MeanVarianceNormalization` adds to the standard deviation.
const SMALLEST_DEVIATION: f32 = 1e-9;

fn epsilon(call: &Call<'_>) -> Result<f32, Fault> {
    Ok(call.attributes().float("epsilon")?.unwrap_or(1e-5))
}

/// Images, channels and elements of a channel.
fn planes(sizes: &[usize]) -> Result<[usize; 3], Fault> {
    match sizes {
        [images, channels, spatial @ ..] => Ok([*images, *channels, spatial.iter().product()]),
        _ => Err(Fault::Shape(format!("{sizes:?} has no channels"))),
    }
}

/// An operand with one number for each of so many.
fn list<'a>(call: &'a Call<'_>, input: usize, count: usize) -> Result<&'a [f32], Fault> {
    match call.peek(input)?.shape()[..] {
        [length] if length == count => call.floats(input),
        _ => Err(Fault::Shape(format!("input {input} is {:?}; {count} numbers are needed", call.shape(input)?))),
    }
}

fn instance(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let [_, channels, _] = planes(&call.shape(0)?)?;
    let (scale, bias) = (list(call, 1, channels)?, list(call, 2, channels)?);
    call::one(grouped(call, channels, scale, bias)?)
}

fn group(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let [_, channels, _] = planes(&call.shape(0)?)?;
    let groups = call.attributes().int("num_groups")?.and_then(|groups| usize::try_from(groups).ok());
    let groups = groups.filter(|&groups| groups > 0 && channels.is_multiple_of(groups));
    let groups = groups.ok_or_else(|| wrong("num_groups", &format!("it does not divide {channels} channels")))?;
    if call.opset() >= 21 {
        let (scale, bias) = (list(call, 1, channels)?, list(call, 2, channels)?);
        return call::one(grouped(call, groups, scale, bias)?);
    }
    // One number for each group then; the kernel wants one for each channel.
    let spread = |input: usize| -> Result<Value, Fault> {
        let list = list(call, input, groups)?;
        let mut spread = call.make(DataType::F32, [channels].as_slice())?;
        let each = channels / groups;
        let channels = spread.raw_mut::<f32>().iter_mut().enumerate();
        channels.for_each(|(channel, to)| *to = list[channel / each]);
        Ok(spread)
    };
    let (scale, bias) = (spread(1)?, spread(2)?);
    call::one(grouped(call, groups, scale.raw(), bias.raw())?)
}

fn grouped(call: &Call<'_>, groups: usize, scale: &[f32], bias: &[f32]) -> Result<Value, Fault> {
    let sizes = call.shape(0)?;
    let [_, channels, spatial] = planes(&sizes)?;
    let epsilon = epsilon(call)?;
    let x = call.floats(0)?;
    let mut result = call.make(DataType::F32, sizes)?;
    if !x.is_empty() {
        norm::group_norm(call.cpu, Some(x), result.raw_mut(), [channels, spatial], groups, epsilon, (scale, bias));
    }
    Ok(result)
}

fn local_response(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let [_, channels, spatial] = planes(&sizes)?;
    let attributes = call.attributes();
    let size = attributes.int("size")?.and_then(|size| usize::try_from(size).ok());
    let size = size.filter(|&size| size > 0 && size.checked_mul(spatial).is_some());
    let lrn = Lrn {
        size: size.ok_or_else(|| wrong("size", "it is missing or out of range"))?,
        alpha: attributes.float("alpha")?.unwrap_or(1e-4),
        beta: attributes.float("beta")?.unwrap_or(0.75),
        bias: attributes.float("bias")?.unwrap_or(1.0),
    };
    let x = call.floats(0)?;
    call.memory.check_work(&[x.len(), lrn.size.min(channels).saturating_add(1)])?;
    let mut result = call.make(DataType::F32, sizes)?;
    if !x.is_empty() {
        norm::lrn(call.cpu, x, result.raw_mut(), [channels, spatial], lrn);
    }
    call::one(result)
}

fn length(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let axis = shape::axis(call.attributes().int("axis")?.unwrap_or(-1), sizes.len())?;
    let length = match call.attributes().int("p")?.unwrap_or(2) {
        1 => Length::L1,
        2 => Length::L2,
        p => return Err(wrong("p", &format!("{p} is neither 1 nor 2"))),
    };
    rows_of(call, &[axis], |x, row| {
        // A row of zeros has no length, and stays.
        norm::normalize(call.cpu, length, None, x, row, f32::MIN_POSITIVE);
    })
}

fn mean_variance(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let axes = shape::axes(call.attributes().ints("axes")?.unwrap_or(&[0, 2, 3]), sizes.len())?;
    rows_of(call, &axes, |x, row| {
        let count = row as f32;
        for x in x.chunks_exact_mut(row) {
            let mean = super::sums::sum(x) / count;
            let variance = super::sums::sum_of(x, |x| (x - mean) * (x - mean)) / count;
            let deviation = variance.sqrt() + SMALLEST_DEVIATION;
            x.iter_mut().for_each(|x| *x = (*x - mean) / deviation);
        }
    })
}

/// Works on the first operand as rows over these axes, which are in ascending order.
fn rows_of(call: &Call<'_>, axes: &[usize], f: impl Fn(&mut [f32], usize)) -> Result<Outputs, Fault> {
    let x = call.expect(0, DataType::F32)?;
    let sizes = x.shape();
    let mut order: Shape = (0..sizes.len()).filter(|axis| !axes.contains(axis)).collect();
    order.extend_from_slice(axes);
    let mut rows = movement::permute(call.memory, x, &order)?;
    let row: usize = axes.iter().map(|&axis| sizes[axis]).product();
    if x.len() > 0 {
        f(rows.raw_mut(), row);
    }
    if order.is_sorted() {
        return call::one(rows);
    }
    let mut back = Shape::from_elem(0, order.len());
    order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
    call::one(movement::permute(call.memory, &rows, &back)?)
}

fn root_mean_square(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let axis = shape::axis(call.attributes().int("axis")?.unwrap_or(-1), sizes.len())?;
    let row: usize = sizes[axis..].iter().product();
    let epsilon = epsilon(call)?;
    let (x, scale) = (call.floats(0)?, call.floats(1)?);
    let own = call.shape(1)?;
    if shape::broadcast(&sizes, &own)? != sizes {
        return Err(Fault::Shape(format!("a scale of shape {own:?} for {sizes:?}")));
    }
    let mut result = call.make(DataType::F32, sizes.clone())?;
    if x.is_empty() {
        return call::one(result);
    }
    if own[..] == sizes[axis..] {
        norm::rms_norm(call.cpu, Some(x), result.raw_mut(), row, epsilon, Some(scale));
        return call::one(result);
    }
    norm::rms_norm(call.cpu, Some(x), result.raw_mut(), row, epsilon, None);
    let mut scaled = call.make(DataType::F32, sizes.clone())?;
    let (x, scale) = (Operand { shape: &sizes, data: result.raw() }, Operand { shape: &own, data: scale });
    broadcast::zip(x, scale, &sizes, scaled.raw_mut(), |x: f32, scale: f32| x * scale);
    call::one(scaled)
}
