//! Operators that pick, cut and join.

use bytemuck::Pod;

use super::{
    MANY, Operator,
    call::{self, Call, Outputs},
    movement::{self, Steps},
    moves,
};
use crate::{
    Fault,
    attribute::Attributes,
    graph::Node,
    shape::{self, Shape},
    value::{Value, by_size},
};

pub(super) const TABLE: &[Operator] = &[
    moves("Concat", 1, 1..=MANY, concat),
    moves("Gather", 1, 2..=2, gather),
    moves("Slice", 1, 1..=5, slice),
    moves("Split", 2, 1..=2, split).outputs(1..=MANY),
];

fn gather(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let axis = shape::axis(call.attributes().int("axis")?.unwrap_or(0), sizes.len())?;
    let positions = from_start(call.integers(1)?, &sizes, axis)?;
    let mut target = Shape::from_slice(&sizes[..axis]);
    target.extend(call.shape(1)?);
    target.extend_from_slice(&sizes[axis + 1..]);
    let value = call.peek(0)?;
    let mut result = call.make(value.data_type(), target)?;
    let (_, size, inner) = shape::split_at(&sizes, axis);
    by_size!(value.data_type(), T => pick::<T>(value.raw(), size, inner, &positions, result.raw_mut()));
    call::one(result)
}

/// Indices into a dimension, counted from its start, all within it.
pub(crate) fn from_start(mut positions: Vec<i64>, sizes: &[usize], axis: usize) -> Result<Vec<i64>, Fault> {
    let size = sizes[axis] as i64;
    for position in &mut positions {
        match *position {
            index if (0..size).contains(&index) => {}
            index if (-size..0).contains(&index) => *position = index + size,
            index => return Err(Fault::Value(format!("index {index} is outside of dimension {axis} of {sizes:?}"))),
        }
    }
    Ok(positions)
}

/// In each block of `size` rows of `inner` elements, the rows at these positions.
pub(crate) fn pick<T: Pod>(from: &[T], size: usize, inner: usize, positions: &[i64], to: &mut [T]) {
    if to.is_empty() {
        return;
    }
    let rows =
        from.chunks_exact(size * inner).flat_map(|block| positions.iter().map(|&at| &block[at as usize * inner..]));
    for (to, from) in to.chunks_exact_mut(inner).zip(rows) {
        to.copy_from_slice(&from[..inner]);
    }
}

fn slice(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let ranges = Ranges {
        starts: call.list_since(10, 1, "starts")?.ok_or(Fault::Missing(1))?,
        ends: call.list_since(10, 2, "ends")?.ok_or(Fault::Missing(2))?,
        axes: call.list_since(10, 3, "axes")?,
        steps: call.optional_list(4)?,
    };
    let cuts = ranges.cuts(&call.shape(0)?)?;
    call::one(cut(call, call.peek(0)?, &cuts)?)
}

/// What `Slice` is asked for.
pub(crate) struct Ranges {
    pub starts: Vec<i64>,
    pub ends: Vec<i64>,
    pub axes: Option<Vec<i64>>,
    pub steps: Option<Vec<i64>>,
}

impl Ranges {
    /// What that is of each dimension of a tensor of this shape.
    pub fn cuts(self, sizes: &[usize]) -> Result<Vec<Cut>, Fault> {
        let Self { starts, ends, axes, steps } = self;
        let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
        let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
        if [ends.len(), axes.len(), steps.len()].iter().any(|&length| length != starts.len()) {
            return Err(Fault::Value("starts, ends, axes and steps have different lengths".into()));
        }
        shape::axes(&axes, sizes.len())?;
        let mut cuts: Vec<Cut> = sizes.iter().map(|&size| Cut { start: 0, step: 1, count: size }).collect();
        for (index, &axis) in axes.iter().enumerate() {
            let axis = shape::axis(axis, sizes.len())?;
            cuts[axis] = Cut::new(sizes[axis], starts[index], ends[index], steps[index])?;
        }
        Ok(cuts)
    }
}

/// What `Slice` takes from one dimension; all within it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    pub start: usize,
    pub step: isize,
    pub count: usize,
}

impl Cut {
    fn new(size: usize, start: i64, end: i64, step: i64) -> Result<Self, Fault> {
        let signed = size as i64;
        let from_end = |position: i64| if position < 0 { position.saturating_add(signed) } else { position };
        let (start, end) = (from_end(start), from_end(end));
        // A step beyond the dimension takes one element, whatever it is.
        let step = step.clamp(-signed.max(1), signed.max(1));
        let (start, span) = match step {
            0 => return Err(Fault::Value("the step is zero".into())),
            1.. => {
                let start = start.clamp(0, signed);
                (start, end.clamp(0, signed) - start)
            }
            _ => {
                let start = start.clamp(-1, signed - 1);
                (start, start - end.clamp(-1, signed - 1))
            }
        };
        let count = match span {
            span if span > 0 => (span + step.abs() - 1) / step.abs(),
            _ => 0,
        };
        Ok(Self { start: start.max(0) as usize, step: step as isize, count: count as usize })
    }
}

fn cut(call: &Call<'_>, value: &Value, cuts: &[Cut]) -> Result<Value, Fault> {
    let strides = shape::strides(value.shape());
    let target: Shape = cuts.iter().map(|cut| cut.count).collect();
    let steps: Steps = cuts.iter().zip(&strides).map(|(cut, stride)| cut.step * stride).collect();
    let start = match target.contains(&0) {
        true => 0,
        false => cuts.iter().zip(&strides).map(|(cut, stride)| cut.start as isize * stride).sum(),
    };
    movement::strided(call.memory, value, start, &steps, target)
}

fn concat(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let shapes = (0..call.inputs.len()).map(|input| call.shape(input)).collect::<Result<Vec<_>, _>>()?;
    call.same_type()?;
    let (axis, target) = joined(call.attributes(), &shapes)?;
    let parts = (0..call.inputs.len()).map(|input| call.take(input)).collect::<Result<Vec<_>, _>>()?;
    call::one(movement::join(call.memory, &parts, axis, target)?)
}

/// The dimension along which tensors of these shapes are joined, and the shape of the result.
pub(crate) fn joined(attributes: &Attributes, shapes: &[Shape]) -> Result<(usize, Shape), Fault> {
    let first = shapes.first().ok_or(Fault::Missing(0))?;
    let axis = shape::axis(attributes.int("axis")?.unwrap_or(1), first.len())?;
    let mut target = first.clone();
    for other in &shapes[1..] {
        let fits = other.len() == first.len() && (0..first.len()).all(|d| d == axis || other[d] == first[d]);
        if !fits {
            return Err(Fault::Shape(format!("{other:?} cannot be joined to {first:?} along dimension {axis}")));
        }
        let joined = target[axis].checked_add(other[axis]);
        target[axis] = joined.ok_or_else(|| Fault::Shape("the result is too large".into()))?;
    }
    shape::checked(&target)?;
    Ok((axis, target))
}

fn split(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let list = call.list_since(13, 1, "split")?;
    let value = call.take(0)?;
    let (axis, lengths) = parts(call.node, value.shape(), list.as_deref())?;
    let mut results = Vec::with_capacity(lengths.len());
    let mut start = 0;
    for length in lengths {
        results.push(movement::section(call.memory, &value, axis, start, length)?);
        start += length;
    }
    Ok(results)
}

/// The dimension that `Split` cuts, and the lengths of the parts, one for each output.
pub(crate) fn parts(node: &Node, sizes: &[usize], list: Option<&[i64]>) -> Result<(usize, Vec<usize>), Fault> {
    let axis = shape::axis(node.attributes.int("axis")?.unwrap_or(0), sizes.len())?;
    let (size, outputs) = (sizes[axis], node.outputs.len());
    let lengths = match list {
        Some(list) => list.iter().map(|&length| usize::try_from(length)).collect::<Result<Vec<_>, _>>(),
        None => {
            // Equal parts; from operator set 18 on the last may be smaller.
            let part = size.div_ceil(outputs);
            if node.opset < 18 && part * outputs != size {
                return Err(Fault::Shape(format!("a dimension of {size} does not split into {outputs} equal parts")));
            }
            Ok((0..outputs).map(|index| size.saturating_sub(index * part).min(part)).collect())
        }
    };
    let lengths = lengths.map_err(|_| Fault::Value("a part is negative".into()))?;
    let total = lengths.iter().try_fold(0usize, |total, &length| total.checked_add(length));
    match lengths.len() == outputs && total == Some(size) {
        true => Ok((axis, lengths)),
        false => {
            Err(Fault::Shape(format!("a dimension of {size} does not split into {lengths:?} for {outputs} outputs")))
        }
    }
}
