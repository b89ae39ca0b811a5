//! Convolutions of small integers.

use super::{bytes_of, centred, per_channel, per_column, small};
use crate::{
    DataType, Fault,
    kernels::{
        conv::{Conv2d, ConvInt8Plan, Requantize, requantize_signed, requantize_unsigned},
        int8::ZeroPoint,
    },
    ops::{
        Constants, Packed,
        call::Call,
        window::{self, Window},
    },
    shape::{self, Shape},
    value::Value,
};

/// Outputs of a group from which on a product pays.
const MIN_OUTPUTS: usize = 4;

/// Constant weights, with their zero points, laid out for the kernel.
pub(super) fn pack(constants: &Constants<'_>, w_at: usize, w_zero: usize) -> Option<Packed> {
    let weight = constants.values.get(w_at).copied().flatten()?;
    let zeros = match constants.node.inputs.get(w_zero).copied().flatten() {
        None => vec![0],
        Some(_) => {
            let zeros = constants.values.get(w_zero).copied().flatten()?;
            if zeros.data_type() != weight.data_type() {
                return None;
            }
            zeros.to_integers().ok()?.iter().map(|&zero| zero as i32).collect()
        }
    };
    let attributes = &constants.node.attributes;
    let spatial = weight.rank().checked_sub(2)?;
    let list = |name: &str| window::numbers(attributes, name, 1, spatial, 1).ok();
    let groups = window::groups(attributes, "group").ok()?;
    let conv = flat(weight.shape(), groups, &list("strides")?, &list("dilations")?)?;
    let plan = ConvInt8Plan::new(constants.cpu, conv, bytes_of(weight)?, zero_point(&zeros, &conv)?);
    Some(Packed::ConvInt8(Box::new(plan), weight.shape().clone()))
}

/// As a convolution of two dimensions that a product is good for.
fn flat(weight: &[usize], groups: usize, strides: &[usize], dilations: &[usize]) -> Option<Conv2d> {
    let two = |list: &[usize]| match *list {
        [width] => Some([1, width]),
        [height, width] => Some([height, width]),
        _ => None,
    };
    let inputs = weight.get(1)?.checked_mul(groups)?;
    let (outputs, kernel) = (weight[0], two(&weight[2..])?);
    let worth = outputs.is_multiple_of(groups) && outputs / groups >= MIN_OUTPUTS && inputs > 0;
    (worth && kernel.iter().all(|size| *size > 0)).then_some(Conv2d {
        inputs,
        outputs,
        groups,
        kernel,
        strides: two(strides)?,
        dilations: two(dilations)?,
        pads: [0; 4],
    })
}

fn zero_point<'a>(zeros: &'a [i32], conv: &Conv2d) -> Option<ZeroPoint<'a>> {
    match zeros {
        [zero] => Some(ZeroPoint::One(*zero)),
        zeros if zeros.len() == conv.outputs => Some(ZeroPoint::PerColumn(zeros)),
        _ => None,
    }
}

/// The sums, made by the kernel, if it can.
fn product(call: &Call<'_>, at: [usize; 4], window: &Window, sums: &mut Value) -> Result<bool, Fault> {
    let [x_at, w_at, x_zero, w_zero] = at;
    let x = small(call, x_at)?;
    let zero = match call.has(x_zero) {
        false => 0,
        true => {
            let zeros = small(call, x_zero)?;
            match (zeros.data_type() == x.data_type(), &zeros.to_integers()?[..]) {
                (true, [zero]) => *zero as i32,
                _ => return Ok(false),
            }
        }
    };
    let (size, pads) = match (&x.shape()[2..], &window.0[..]) {
        (&[width], [across]) => ([1, width], [0, across.before, 0, across.after]),
        (&[height, width], [down, across]) => ([height, width], [down.before, across.before, down.after, across.after]),
        _ => return Ok(false),
    };
    let made;
    let plan = match call.packed {
        Some(Packed::ConvInt8(plan, _)) => plan,
        _ => {
            let weight = small(call, w_at)?;
            let zeros = if call.has(w_zero) { small(call, w_zero)?.to_integers()? } else { vec![0] };
            let zeros: Vec<i32> = zeros.iter().map(|&zero| zero as i32).collect();
            let groups = window::groups(call.attributes(), "group")?;
            let strides: Shape = window.0.iter().map(|axis| axis.stride).collect();
            let dilations: Shape = window.0.iter().map(|axis| axis.dilation).collect();
            let same_type = !call.has(w_zero) || call.data_type(w_zero)? == weight.data_type();
            let conv = flat(weight.shape(), groups, &strides, &dilations);
            let Some((conv, bytes)) = conv.zip(bytes_of(weight)).filter(|_| same_type) else {
                return Ok(false);
            };
            let Some(zeros) = zero_point(&zeros, &conv) else {
                return Ok(false);
            };
            call.memory.check(2 * weight.bytes())?;
            made = ConvInt8Plan::new(call.cpu, conv, bytes, zeros);
            &made
        }
    };
    let pixels = window.output().iter().product();
    let Some(bytes) = bytes_of(x) else {
        return Ok(false);
    };
    let mut scratch = call.scratch(plan.scratch(call.cpu, pixels))?;
    plan.run(call.cpu, pads, x.shape()[0], bytes, zero, size, sums.raw_mut(), scratch.slice_mut());
    Ok(true)
}

/// The sums plus bias as bytes, if there is one factor and one zero point for all or for each channel.
pub(super) fn requantized(
    call: &Call<'_>,
    sums: &Value,
    bias: Option<&[i32]>,
    factor: &Value,
    zeros: &Value,
    to: DataType,
) -> Result<Option<Value>, Fault> {
    let (channels, positions) = (sums.shape()[1], sums.shape()[2..].iter().product::<usize>());
    let lies =
        |value: &Value| value.len() == 1 || (value.len() == channels && value.shape().first() == Some(&channels));
    if !lies(factor) || !lies(zeros) || zeros.data_type() != to || positions == 0 {
        return Ok(None);
    }
    let (factors, zeros) = (factor.raw::<f32>(), zeros.to_integers()?);
    let mut result = call.make(to, sums.shape().clone())?;
    for (index, sums) in sums.raw::<i32>().chunks_exact(positions).enumerate() {
        let channel = index % channels;
        let of = |len: usize| if len == 1 { 0 } else { channel };
        let bias = bias.map_or(0, |bias| bias[channel]);
        let how = Requantize { bias, factor: factors[of(factors.len())], zero: zeros[of(zeros.len())] as i32 };
        let place = index * positions..(index + 1) * positions;
        match to {
            DataType::U8 => requantize_unsigned(call.cpu, sums, &mut result.raw_mut()[place], how),
            _ => requantize_signed(call.cpu, sums, &mut result.raw_mut()[place], how),
        }
    }
    Ok(Some(result))
}

/// Sums of `(x - zero point) * (w - zero point)` in 32 bits; padding counts as the zero point.
pub(super) fn convolution(
    call: &Call<'_>,
    x_at: usize,
    w_at: usize,
    x_zero: usize,
    w_zero: usize,
) -> Result<Value, Fault> {
    let x_shape = call.shape(x_at)?;
    let w_shape = match call.packed {
        Some(Packed::ConvInt8(_, shape)) => shape.clone(),
        _ => call.shape(w_at)?,
    };
    if x_shape.len() != w_shape.len() || x_shape.len() < 3 {
        return Err(Fault::Shape(format!("{x_shape:?} cannot be convolved with {w_shape:?}")));
    }
    let groups = window::groups(call.attributes(), "group")?;
    let (outputs, channels) = (w_shape[0], w_shape[1]);
    if channels.checked_mul(groups) != Some(x_shape[1]) || !outputs.is_multiple_of(groups) {
        return Err(Fault::Shape(format!("{x_shape:?} does not fit the weights {w_shape:?} in {groups} groups")));
    }
    let spatial = x_shape.len() - 2;
    let kernel = window::kernel_shape(call.attributes(), spatial, Some(&w_shape[2..]))?;
    let window = Window::new(call.attributes(), &x_shape[2..], &kernel, false)?;
    let mut target = Shape::from_slice(&[x_shape[0], outputs]);
    target.extend(window.output());
    let elements = shape::checked(&target)?;
    call.memory.check_work(&[elements, channels, window.taps()])?;
    let mut sums = call.make(DataType::I32, target)?;
    if elements > 0 && product(call, [x_at, w_at, x_zero, w_zero], &window, &mut sums)? {
        return Ok(sums);
    }
    if call.packed.is_some() {
        return Err(Fault::Unsupported(format!("a list of zero points for {x_shape:?}")));
    }
    let x = centred(call, x_at, x_zero, &x_shape, &per_column)?;
    let w = centred(call, w_at, w_zero, &w_shape, &|shape: &[usize]| per_channel(shape, spatial + 1))?;
    let out = sums.raw_mut::<i32>();
    out.fill(0);
    if elements == 0 {
        return Ok(sums);
    }
    let (x, w) = (x.raw::<i32>(), w.raw::<i32>());
    let plane: usize = x_shape[2..].iter().product();
    let (taps, positions) = (window.taps(), window.output().iter().product::<usize>());
    for (at, out) in out.chunks_exact_mut(positions).enumerate() {
        let (image, output) = (at / outputs, at % outputs);
        let first = (image * groups + output / (outputs / groups)) * channels;
        for channel in 0..channels {
            let x = &x[(first + channel) * plane..][..plane];
            accumulate(&window, x, &w[(output * channels + channel) * taps..][..taps], out);
        }
    }
    Ok(sums)
}

/// Adds what one channel of the input contributes to one of the output.
fn accumulate(window: &Window, x: &[i32], w: &[i32], out: &mut [i32]) {
    let (last, outer) = window.0.split_last().expect("a window has a dimension");
    let kernel: Shape = window.0.iter().map(|axis| axis.kernel).collect();
    let mut weights = w.iter();
    Window::positions(&kernel, |tap| {
        let weight = *weights.next().expect("a weight for each tap");
        let columns = last.outputs(tap[outer.len()]);
        if columns.is_empty() || outer.iter().zip(tap).any(|(axis, &tap)| axis.outputs(tap).is_empty()) {
            return;
        }
        let rows: Shape = outer.iter().zip(tap).map(|(axis, &tap)| axis.outputs(tap).len()).collect();
        Window::positions(&rows, |row| {
            let (mut from, mut to) = (0, 0);
            for ((axis, &row), &tap) in outer.iter().zip(row).zip(tap) {
                let output = axis.outputs(tap).start + row;
                from = from * axis.size + axis.at(output, tap);
                to = to * axis.output + output;
            }
            let from = from * last.size + last.at(columns.start, tap[outer.len()]);
            let out = &mut out[to * last.output..][columns.clone()];
            let x = x[from..].iter().step_by(last.stride);
            out.iter_mut().zip(x).for_each(|(sum, &x)| *sum = sum.wrapping_add(x.wrapping_mul(weight)));
        });
    });
}
