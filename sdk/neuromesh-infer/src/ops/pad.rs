//! Operators that add to the borders of a tensor or cut them off.

use bytemuck::Pod;

use super::{
    Operator,
    call::{self, Call, Outputs},
    movement, moves,
};
use crate::{
    Fault,
    attribute::wrong,
    shape::{self, Shape},
    value::{Value, by_size},
};

pub(super) const TABLE: &[Operator] =
    &[moves("CenterCropPad", 18, 2..=2, center_crop_pad), moves("Pad", 2, 1..=4, pad)];

/// What stands beyond the borders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Constant,
    Reflect,
    Edge,
    Wrap,
}

/// How much is added before and behind along one dimension; what is negative is cut off.
#[derive(Debug, Clone, Copy, Default)]
struct Borders {
    before: i64,
    after: i64,
}

fn pad(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let rank = call.shape(0)?.len();
    let pads = call.list_since(11, 1, "pads")?.ok_or(Fault::Missing(1))?;
    let axes: Vec<usize> = match call.optional_list(3)? {
        None => (0..rank).collect(),
        Some(list) => {
            shape::axes(&list, rank)?;
            list.iter().map(|&axis| shape::axis(axis, rank)).collect::<Result<_, _>>()?
        }
    };
    if pads.len() != 2 * axes.len() {
        return Err(Fault::Value(format!("{} pads for {} dimensions", pads.len(), axes.len())));
    }
    let mut borders = vec![Borders::default(); rank];
    for (index, &axis) in axes.iter().enumerate() {
        borders[axis] = Borders { before: pads[index], after: pads[axes.len() + index] };
    }
    let mode = match call.attributes().text("mode")?.unwrap_or("constant") {
        "constant" => Mode::Constant,
        "reflect" => Mode::Reflect,
        "edge" => Mode::Edge,
        "wrap" => Mode::Wrap,
        _ => return Err(wrong("mode", "it is none of those that ONNX knows")),
    };
    call::one(bordered(call, &borders, mode, &constant(call)?)?)
}

/// What is added in the mode `constant`: zero, unless the model says something else.
fn constant(call: &Call<'_>) -> Result<Value, Fault> {
    let data_type = call.data_type(0)?;
    if call.opset() >= 11 && call.has(2) {
        let given = call.expect(2, data_type)?;
        return match given.len() {
            1 => Ok(given.clone()),
            count => Err(Fault::Shape(format!("the constant must be one number; it has {count} elements"))),
        };
    }
    let given = if call.opset() < 11 { call.attributes().float("value")? } else { None };
    let mut value = call.make(data_type, Shape::new())?;
    value.fill(given.unwrap_or(0.0).into());
    Ok(value)
}

fn center_crop_pad(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let wanted = call.list(1)?;
    let all: Vec<i64> = (0..sizes.len() as i64).collect();
    let axes = call.attributes().ints("axes")?.unwrap_or(&all);
    shape::axes(axes, sizes.len())?;
    if axes.len() != wanted.len() {
        return Err(Fault::Value(format!("{} sizes for {} dimensions", wanted.len(), axes.len())));
    }
    let mut borders = vec![Borders::default(); sizes.len()];
    for (&axis, &size) in axes.iter().zip(&wanted) {
        let axis = shape::axis(axis, sizes.len())?;
        let size = shape::size(size).map_err(|reason| Fault::Value(reason.into()))?;
        let more = size as i64 - sizes[axis] as i64;
        // Rounded towards zero: what cannot be halved comes to or goes from the end.
        borders[axis] = Borders { before: more / 2, after: more - more / 2 };
    }
    let mut zero = call.make(call.data_type(0)?, Shape::new())?;
    zero.fill(0.0);
    call::one(bordered(call, &borders, Mode::Constant, &zero)?)
}

/// The first operand with other borders.
fn bordered(call: &Call<'_>, borders: &[Borders], mode: Mode, constant: &Value) -> Result<Value, Fault> {
    let value = call.peek(0)?;
    let target = borders.iter().zip(value.shape()).map(|(borders, &size)| borders.length(size));
    let target = target.collect::<Result<Shape, _>>()?;
    let mut result = call.make(value.data_type(), target.clone())?;
    if result.len() == 0 {
        return Ok(result);
    }
    // No dimension is longer than the result has elements.
    call.memory.check(target.iter().map(|&size| size as u64 * 8).sum())?;
    let lines = borders.iter().zip(value.shape()).zip(&target);
    let lines = lines.map(|((borders, &size), &length)| Line::new(*borders, size, length, mode));
    let lines = lines.collect::<Result<Vec<_>, _>>()?;
    by_size!(value.data_type(), T => {
        copy::<T>(value.raw(), value.shape(), &lines, constant.raw::<T>()[0], result.raw_mut());
    });
    Ok(result)
}

impl Borders {
    /// The length of a dimension of `size` elements between these borders.
    fn length(self, size: usize) -> Result<usize, Fault> {
        let length = size as i128 + i128::from(self.before) + i128::from(self.after);
        let cut = i128::from(self.before.min(0)) + i128::from(self.after.min(0));
        match usize::try_from(length) {
            Ok(length) if size as i128 + cut >= 0 => Ok(length),
            _ => Err(Fault::Shape(format!("a dimension of {size} cannot have the borders {self:?}"))),
        }
    }
}

/// Where the elements along one dimension of the result come from.
struct Line {
    /// Positions in the operand; `OUTSIDE` where the constant stands.
    from: Vec<usize>,
    /// The part that is copied as it is: where it begins and ends in the result.
    inner: std::ops::Range<usize>,
}

const OUTSIDE: usize = usize::MAX;

impl Line {
    /// What is cut off is cut off first: it is not reflected or repeated.
    fn new(borders: Borders, size: usize, length: usize, mode: Mode) -> Result<Self, Fault> {
        let cut = |border: i64| border.min(0).unsigned_abs() as usize;
        let first = cut(borders.before);
        let kept = size - first - cut(borders.after);
        if kept == 0 && mode != Mode::Constant {
            return Err(Fault::Shape(format!("nothing of a dimension of {size} is left to be repeated")));
        }
        let before = borders.before.max(0) as usize;
        let place = |index: usize| {
            let (at, kept) = (index as i64 - before as i64, kept as i64);
            let inner = match mode {
                _ if (0..kept).contains(&at) => at,
                Mode::Constant => return OUTSIDE,
                Mode::Edge => at.clamp(0, kept - 1),
                Mode::Wrap => at.rem_euclid(kept),
                Mode::Reflect if kept == 1 => 0,
                Mode::Reflect => {
                    let period = 2 * (kept - 1);
                    let at = at.rem_euclid(period);
                    at.min(period - at)
                }
            };
            first + inner as usize
        };
        Ok(Self { from: (0..length).map(place).collect(), inner: before..before + kept })
    }
}

fn copy<T: Pod>(from: &[T], sizes: &[usize], lines: &[Line], constant: T, to: &mut [T]) {
    let Some((last, outer)) = lines.split_last() else {
        to.copy_from_slice(from);
        return;
    };
    let strides = shape::strides(sizes);
    let counts: Shape = outer.iter().map(|line| line.from.len()).collect();
    let none = movement::Steps::from_elem(0, outer.len());
    let mut rows = to.chunks_exact_mut(last.from.len());
    movement::walk(&counts, &none, 0, |index, _| {
        let Some(row) = rows.next() else {
            return;
        };
        let mut start = 0;
        for ((line, &index), &stride) in outer.iter().zip(index).zip(&strides) {
            match line.from[index] {
                OUTSIDE => return row.fill(constant),
                at => start += at * stride as usize,
            }
        }
        let whole = last.inner.clone();
        if !whole.is_empty() {
            let begin = start + last.from[whole.start];
            row[whole.clone()].copy_from_slice(&from[begin..begin + whole.len()]);
        }
        for index in (0..whole.start).chain(whole.end..row.len()) {
            row[index] = match last.from[index] {
                OUTSIDE => constant,
                at => from[start + at],
            };
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(before: i64, after: i64, size: usize, mode: Mode) -> Vec<usize> {
        let borders = Borders { before, after };
        Line::new(borders, size, borders.length(size).unwrap(), mode).unwrap().from
    }

    #[test]
    fn lines_go_on_beyond_their_borders() {
        assert_eq!(line(2, 1, 3, Mode::Constant), [OUTSIDE, OUTSIDE, 0, 1, 2, OUTSIDE]);
        assert_eq!(line(5, 5, 3, Mode::Reflect), [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]);
        assert_eq!(line(2, 2, 1, Mode::Reflect), [0; 5]);
        assert_eq!(line(4, 1, 3, Mode::Wrap), [2, 0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(line(2, 2, 3, Mode::Edge), [0, 0, 0, 1, 2, 2, 2]);
        assert_eq!(line(-1, 2, 4, Mode::Reflect), [1, 2, 3, 2, 1]);
        assert!(line(-2, -2, 4, Mode::Constant).is_empty());
    }

    #[test]
    fn borders_that_cannot_be_are_refused() {
        let length = |before, after, size| Borders { before, after }.length(size);
        assert!(length(-3, 0, 2).is_err());
        assert!(length(-3, 5, 2).is_err());
        assert!(length(i64::MIN, i64::MAX, 2).is_err());
        assert!(length(i64::MAX, i64::MAX, 2).is_err());
        assert!(Line::new(Borders { before: 1, after: 0 }, 0, 1, Mode::Edge).is_err());
    }
}
