//! `Resize` and `Upsample`, one dimension after the other.
//!
//! Coordinates are computed in single precision, as ONNX Runtime does: which neighbour is the nearest may hang on it.

mod taps;
mod target;

use bytemuck::Pod;

use super::{
    Operator,
    call::{self, Call, Outputs},
    cast, movement, moves,
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    shape::{self, Shape},
    value::{Value, by_size},
};
use taps::{Rules, Taps};
use target::Axis;

pub(super) const TABLE: &[Operator] = &[moves("Resize", 10, 1..=4, resize), moves("Upsample", 7, 1..=2, resize)];

/// How elements between those of the operand are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

/// `Upsample` is what `Resize` was before operator set 11.
fn resize(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let mode = match call.attributes().text("mode")?.unwrap_or("nearest") {
        "nearest" => Mode::Nearest,
        "linear" => Mode::Linear,
        "cubic" => Mode::Cubic,
        _ => return Err(wrong("mode", "it is none of those that ONNX knows")),
    };
    let rules = Rules::of(call, mode)?;
    let axes = target::axes(call, rules.crops())?;
    let lengths: Shape = axes.iter().map(|axis| axis.length).collect();
    shape::checked(&lengths)?;
    let value = call.take(0)?;
    if lengths.contains(&0) {
        return call::one(call.make(value.data_type(), lengths)?);
    }
    if let Some(empty) = axes.iter().find(|axis| axis.size == 0) {
        return Err(Fault::Shape(format!("an empty dimension cannot become one of {}", empty.length)));
    }
    let data_type = value.data_type();
    let mut result = match mode {
        Mode::Nearest => nearest(call, &value, &axes, &rules)?,
        _ if data_type == DataType::Bool => return Err(Fault::Type { input: 0, found: data_type }),
        _ => {
            let result = weighted(call, cast::convert(call.memory, value, DataType::F32)?, &axes, &rules)?;
            narrow(call, result, data_type, rules.antialias)?
        }
    };
    extrapolate(call, &mut result, &axes, &rules)?;
    call::one(result)
}

fn nearest(call: &Call<'_>, value: &Value, axes: &[Axis], rules: &Rules) -> Result<Value, Fault> {
    let lengths: Shape = axes.iter().map(|axis| axis.length).collect();
    let mut result = call.make(value.data_type(), lengths.clone())?;
    call.memory.check(lengths.iter().map(|&length| length as u64 * 8).sum())?;
    let lines: Vec<Vec<usize>> = axes.iter().map(|axis| rules.nearest(axis)).collect();
    by_size!(value.data_type(), T => pick::<T>(value.raw(), value.shape(), &lines, result.raw_mut()));
    Ok(result)
}

/// The elements at these positions of each dimension.
fn pick<T: Pod>(from: &[T], sizes: &[usize], lines: &[Vec<usize>], to: &mut [T]) {
    let Some((last, outer)) = lines.split_last() else {
        return to.copy_from_slice(from);
    };
    let strides = shape::strides(sizes);
    let counts: Shape = outer.iter().map(Vec::len).collect();
    let mut rows = to.chunks_exact_mut(last.len());
    movement::walk(&counts, &movement::Steps::from_elem(0, outer.len()), 0, |index, _| {
        let places = outer.iter().zip(index).zip(&strides);
        let start: usize = places.map(|((line, &index), &stride)| line[index] * stride as usize).sum();
        let row = rows.next().into_iter().flatten();
        row.zip(last).for_each(|(to, &at)| *to = from[start + at]);
    });
}

/// Single-precision elements, interpolated along one dimension after the other, the last one first.
fn weighted(call: &Call<'_>, mut value: Value, axes: &[Axis], rules: &Rules) -> Result<Value, Fault> {
    for (index, axis) in axes.iter().enumerate().rev().filter(|(_, axis)| !axis.is_same()) {
        let (outer, size, inner) = shape::split_at(value.shape(), index);
        let taps = rules.taps(axis, call.memory)?;
        call.memory.check_work(&[outer, axis.length, inner, taps.count])?;
        let mut target = value.shape().clone();
        target[index] = axis.length;
        let mut result = call.make(DataType::F32, target)?;
        let blocks = value.raw::<f32>().chunks_exact(size * inner);
        for (from, to) in blocks.zip(result.raw_mut::<f32>().chunks_exact_mut(axis.length * inner)) {
            blend(from, &taps, inner, to);
        }
        value = result;
    }
    Ok(value)
}

/// Each row of `inner` elements as the weighted sum of some of `from`, in the order of the taps.
fn blend(from: &[f32], taps: &Taps, inner: usize, to: &mut [f32]) {
    for (row, taps) in to.chunks_exact_mut(inner).zip(taps.pairs.chunks_exact(taps.count)) {
        row.fill(0.0);
        // What weighs nothing adds nothing, even if it is infinite.
        for &(at, weight) in taps.iter().filter(|(_, weight)| *weight != 0.0) {
            let source = &from[at * inner..][..inner];
            row.iter_mut().zip(source).for_each(|(to, &from)| *to += weight * from);
        }
    }
}

/// Floats in the operand's type; integers are kept within their range. ONNX does not say how they are rounded: as in ONNX
/// Runtime, what was smoothed is rounded and everything else cut off after the point.
fn narrow(call: &Call<'_>, value: Value, data_type: DataType, rounds: bool) -> Result<Value, Fault> {
    let (least, most) = match data_type {
        DataType::I8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::U8 => (0, u8::MAX.into()),
        DataType::I32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::I64 => (i64::MIN, i64::MAX),
        _ => return cast::convert(call.memory, value, data_type),
    };
    let mut result = call.make(data_type, value.shape().clone())?;
    let whole = |&element: &f32| if rounds { element.round() } else { element } as i64;
    result.write_integers(value.raw::<f32>().iter().map(|element| whole(element).clamp(least, most)));
    Ok(result)
}

/// Writes the model's constant wherever a coordinate lies outside of the operand, if it may.
fn extrapolate(call: &Call<'_>, result: &mut Value, axes: &[Axis], rules: &Rules) -> Result<(), Fault> {
    if !rules.crops() {
        return Ok(());
    }
    let mut constant = call.make(result.data_type(), Shape::new())?;
    constant.fill(rules.extrapolation.into());
    for (index, axis) in axes.iter().enumerate() {
        let (outer, length, inner) = shape::split_at(result.shape(), index);
        by_size!(result.data_type(), T => {
            let (to, constant) = (result.raw_mut::<T>(), constant.raw::<T>()[0]);
            for place in (0..length).filter(|&place| rules.is_outside(axis, place)) {
                for block in 0..outer {
                    to[(block * length + place) * inner..][..inner].fill(constant);
                }
            }
        });
    }
    Ok(())
}
