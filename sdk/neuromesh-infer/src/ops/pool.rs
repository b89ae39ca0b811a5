//! Pooling: what a window shows, as one number.

mod fast;
mod unpool;

use super::{
    Operator,
    call::{self, Call, Outputs},
    op, sums,
    window::{self, Axis, Window},
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    kernels::{math, pool},
    shape::{self, Shape},
    value::Value,
};

pub(super) const TABLE: &[Operator] = &[
    op("AveragePool", 1, 1..=1, average),
    op("GlobalLpPool", 2, 1..=1, global_lp),
    op("LpPool", 2, 1..=1, lp),
    op("MaxPool", 1, 1..=1, max).outputs(1..=2),
    unpool::OPERATOR,
];

fn average(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let with_padding = call.attributes().flag("count_include_pad", false)?;
    if let Some(result) = fast::pooled(call, |cpu, x, y, window| pool::average_pool(cpu, x, y, window, with_padding))? {
        return call::one(result);
    }
    pooled(call, |plane, out, axis, rows, outer| {
        for (output, out) in out.iter_mut().enumerate() {
            let taps = axis.taps(output);
            let count = match with_padding {
                true => outer.saturating_mul(axis.padded_taps(output)),
                false => rows.len() * taps.len(),
            };
            let mut sum = 0.0;
            each(plane, axis, rows, output, |x| sum += x);
            *out = if count > 0 { sum / count as f32 } else { 0.0 };
        }
    })
}

fn lp(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let p = power(call)?;
    if let Some(result) = fast::pooled(call, |cpu, x, y, window| pool::lp_pool(cpu, x, y, window, p))? {
        return call::one(result);
    }
    pooled(call, |plane, out, axis, rows, _| {
        for (output, out) in out.iter_mut().enumerate() {
            let mut sum = 0.0;
            each(plane, axis, rows, output, |x| sum += math::pow(x.abs(), p));
            *out = math::pow(sum, 1.0 / p);
        }
    })
}

fn global_lp(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let p = power(call)?;
    let sizes = call.shape(0)?;
    if sizes.len() < 3 {
        return Err(Fault::Shape(format!("{sizes:?} has no spatial dimensions")));
    }
    let row: usize = sizes[2..].iter().product();
    let mut target = sizes;
    target[2..].fill(1);
    let mut result = call.make(DataType::F32, target)?;
    let out = result.raw_mut::<f32>();
    match row {
        0 => out.fill(0.0),
        _ => {
            for (out, row) in out.iter_mut().zip(call.floats(0)?.chunks_exact(row)) {
                *out = math::pow(sums::sum_of(row, |x| math::pow(x.abs(), p)), 1.0 / p);
            }
        }
    }
    call::one(result)
}

fn power(call: &Call<'_>) -> Result<f32, Fault> {
    match call.attributes().int("p")?.unwrap_or(2) {
        p if p > 0 => Ok(p as f32),
        _ => Err(wrong("p", "it must be positive")),
    }
}

fn max(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    match call.data_type(0)? {
        DataType::F32 => match fast::max(call)? {
            Some(results) => Ok(results),
            None => max_of(call, f32::NEG_INFINITY),
        },
        DataType::U8 => max_of(call, u8::MIN),
        DataType::I8 => max_of(call, i8::MIN),
        found => Err(Fault::Type { input: 0, found }),
    }
}

/// The greatest element of each window, or the first NaN; `least`, where a window shows nothing but padding.
fn max_of<T: bytemuck::Pod + PartialOrd>(call: &mut Call<'_>, least: T) -> Result<Outputs, Fault> {
    let pool = Pool::new(call)?;
    let by_column = call.attributes().flag("storage_order", false)?;
    let mut result = call.make(call.data_type(0)?, pool.target.clone())?;
    let x = call.peek(0)?.raw::<T>();
    // What is not its own equal is not a number.
    let beats = |x: T, best: T| x > best || (x.partial_cmp(&x).is_none() && best.partial_cmp(&best).is_some());
    if call.node.outputs.len() < 2 {
        pool.lines(call, |plane, axis, rows, _, line| {
            let plane = &x[plane * pool.plane..][..pool.plane];
            for (output, out) in result.raw_mut::<T>()[line].iter_mut().enumerate() {
                let mut best = None;
                each(plane, axis, rows, output, |x| {
                    best = Some(best.map_or(x, |best| if beats(x, best) { x } else { best }))
                });
                *out = best.unwrap_or(least);
            }
        })?;
        return call::one(result);
    }
    let mut indices = call.make(DataType::I64, pool.target.clone())?;
    pool.lines(call, |plane, axis, rows, _, line| {
        let (start, plane) = (plane * pool.plane, &x[plane * pool.plane..][..pool.plane]);
        let found = result.raw_mut::<T>()[line.clone()].iter_mut().zip(&mut indices.raw_mut::<i64>()[line]);
        for (output, (out, index)) in found.enumerate() {
            let mut best: Option<(T, usize)> = None;
            each_at(axis, rows, output, |at| {
                if best.is_none_or(|(best, _)| beats(plane[at], best)) {
                    best = Some((plane[at], at));
                }
            });
            *out = best.map_or(least, |(best, _)| best);
            let at = best.map(|(_, at)| if by_column { pool.by_column(at) } else { at });
            *index = at.map_or(-1, |at| (start + at) as i64);
        }
    })?;
    Ok(vec![result, indices])
}

/// The windows of an operand of images.
struct Pool {
    window: Window,
    /// Elements of one channel of one image.
    plane: usize,
    planes: usize,
    target: Shape,
}

impl Pool {
    fn new(call: &Call<'_>) -> Result<Self, Fault> {
        let sizes = call.shape(0)?;
        if sizes.len() < 3 {
            return Err(Fault::Shape(format!("{sizes:?} has no spatial dimensions")));
        }
        let attributes = call.attributes();
        let kernel = window::kernel_shape(attributes, sizes.len() - 2, None)?;
        let window = Window::new(attributes, &sizes[2..], &kernel, attributes.flag("ceil_mode", false)?)?;
        let mut target = Shape::from_slice(&sizes[..2]);
        target.extend(window.output());
        let elements = shape::checked(&target)?;
        call.memory.check_work(&[elements, window.taps()])?;
        Ok(Self { window, plane: sizes[2..].iter().product(), planes: sizes[0] * sizes[1], target })
    }

    /// Calls `line(plane, last axis, rows, taps, outputs)` for each row of outputs: where the rows of the plane begin that its
    /// windows touch, how many rows of taps lie inside of the padding too, and where the outputs lie.
    fn lines(
        &self,
        call: &Call<'_>,
        mut line: impl FnMut(usize, &Axis, &[usize], usize, std::ops::Range<usize>),
    ) -> Result<(), Fault> {
        let (last, outer) = self.window.0.split_last().expect("a window has a dimension");
        let most = outer.iter().fold(1, |product: usize, axis| product.saturating_mul(axis.kernel.min(axis.size)));
        call.memory.check((most as u64).saturating_mul(size_of::<usize>() as u64))?;
        let counts: Shape = outer.iter().map(|axis| axis.output).collect();
        let (mut rows, mut at) = (Vec::with_capacity(most), 0);
        for plane in 0..self.planes {
            Window::positions(&counts, |position| {
                rows.clear();
                let taps: Shape = outer.iter().zip(position).map(|(axis, &output)| axis.taps(output).len()).collect();
                Window::positions(&taps, |tap| {
                    let inner = outer.iter().zip(position).zip(tap);
                    let row = inner.fold(0, |row, ((axis, &output), &tap)| {
                        row * axis.size + axis.at(output, axis.taps(output).start + tap)
                    });
                    rows.push(row * last.size);
                });
                let padded = outer.iter().zip(position).map(|(axis, &output)| axis.padded_taps(output));
                let padded = padded.fold(1, usize::saturating_mul);
                line(plane, last, &rows, padded, at..at + last.output);
                at += last.output;
            });
        }
        Ok(())
    }

    /// The number of an element in a plane whose first dimension lies together instead of its last.
    fn by_column(&self, at: usize) -> usize {
        let (mut rest, mut index) = (at, 0);
        for (position, axis) in self.window.0.iter().enumerate().rev() {
            let inner: usize = self.window.0[..position].iter().map(|axis| axis.size).product();
            index += rest % axis.size * inner;
            rest /= axis.size;
        }
        index
    }
}

/// Pools floats; `line(plane, outputs, last axis, rows, taps)` fills one row of outputs.
fn pooled(call: &mut Call<'_>, line: impl Fn(&[f32], &mut [f32], &Axis, &[usize], usize)) -> Result<Outputs, Fault> {
    let pool = Pool::new(call)?;
    let x = call.floats(0)?;
    let mut result: Value = call.make(DataType::F32, pool.target.clone())?;
    let out = result.raw_mut::<f32>();
    pool.lines(call, |plane, axis, rows, taps, outputs| {
        line(&x[plane * pool.plane..][..pool.plane], &mut out[outputs], axis, rows, taps);
    })?;
    call::one(result)
}

/// Calls `visit` with where each element of a window lies, row by row.
#[inline]
fn each_at(axis: &Axis, rows: &[usize], output: usize, mut visit: impl FnMut(usize)) {
    let taps = axis.taps(output);
    if taps.is_empty() {
        return;
    }
    let start = axis.at(output, taps.start);
    for &row in rows {
        (0..taps.len()).for_each(|tap| visit(row + start + tap * axis.dilation));
    }
}

/// Calls `visit` with each element of a window.
#[inline]
fn each<T: Copy>(plane: &[T], axis: &Axis, rows: &[usize], output: usize, mut visit: impl FnMut(T)) {
    each_at(axis, rows, output, |at| visit(plane[at]));
}
