//! Convolutions of small integers.

use super::{centred, per_channel, per_column};
use crate::{
    DataType, Fault,
    ops::{
        call::Call,
        window::{self, Window},
    },
    shape::{self, Shape},
    value::Value,
};

/// Sums of `(x - zero point) * (w - zero point)` in 32 bits; padding counts as the zero point.
pub(super) fn convolution(
    call: &Call<'_>,
    x_at: usize,
    w_at: usize,
    x_zero: usize,
    w_zero: usize,
) -> Result<Value, Fault> {
    let (x_shape, w_shape) = (call.shape(x_at)?, call.shape(w_at)?);
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
    let x = centred(call, x_at, x_zero, &x_shape, &per_column)?;
    let w = centred(call, w_at, w_zero, &w_shape, &|shape: &[usize]| per_channel(shape, spatial + 1))?;
    let mut sums = call.make(DataType::I32, target)?;
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
