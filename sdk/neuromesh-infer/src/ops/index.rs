//! Operators that pick, cut and join.

use burn_backend::{Backend, Shape, Slice};

use super::{
    broadcast,
    call::{self, Call, Outputs},
};
use crate::{
    DataType, Fault, shape,
    value::{Host, Ints, Value, indices_from},
};

pub(crate) fn gather<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let sizes = call.shape(0)?;
    let axis = shape::axis(call.attributes().int("axis")?.unwrap_or(0), sizes.len())?;
    let indices = call.ints(1)?.tensor;
    let size = sizes[axis] as i64;
    let mut positions = Vec::with_capacity(indices.data.len());
    for &index in indices.data.iter() {
        match index {
            index if (0..size).contains(&index) => positions.push(index),
            index if (-size..0).contains(&index) => positions.push(index + size),
            index => return Err(Fault::Value(format!("index {index} is outside of dimension {axis} of {sizes:?}"))),
        }
    }
    let mut target = sizes[..axis].to_vec();
    target.extend(&indices.shape);
    target.extend(&sizes[axis + 1..]);
    let data_type = call.peek(0)?.data_type();
    let elements = call.charge(&target, data_type)?;
    call::one(match call.take(0)? {
        Value::Float(_) if elements == 0 => Value::Float(call::empty::<B>(target, call.device)),
        Value::Float(tensor) => {
            let picked = B::float_select(tensor, axis, indices_from::<B>(positions, call.device));
            Value::Float(B::float_reshape(picked, Shape::from(target)))
        }
        Value::Int(ints) => Value::Int(Ints { tensor: pick(&ints.tensor, axis, &positions, target), ..ints }),
        Value::Bool(bools) => Value::Bool(pick(&bools, axis, &positions, target)),
    })
}

fn pick<T: Copy>(host: &Host<T>, axis: usize, positions: &[i64], target: Vec<usize>) -> Host<T> {
    let (outer, size, inner) = shape::split_at(&host.shape, axis);
    let mut data = Vec::with_capacity(outer * positions.len() * inner);
    for block in 0..outer {
        for &position in positions {
            let start = (block * size + position as usize) * inner;
            data.extend_from_slice(&host.data[start..start + inner]);
        }
    }
    Host::new(target, data)
}

pub(crate) fn slice<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let sizes = call.shape(0)?;
    let starts = call.list_since(10, 1, "starts")?.ok_or(Fault::Missing(1))?;
    let ends = call.list_since(10, 2, "ends")?.ok_or(Fault::Missing(2))?;
    let axes = call.list_since(10, 3, "axes")?;
    let steps = call.optional_list(4)?.unwrap_or_else(|| vec![1; starts.len()]);
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
    let target: Vec<usize> = cuts.iter().map(|cut| cut.count).collect();
    let data_type = call.peek(0)?.data_type();
    let elements = call.charge(&target, data_type)?;
    call::one(match call.take(0)? {
        Value::Float(_) if elements == 0 => Value::Float(call::empty::<B>(target, call.device)),
        Value::Float(tensor) => {
            // Backwards is: turn the dimension round, then cut forwards.
            let backwards: Vec<usize> = (0..cuts.len()).filter(|&axis| cuts[axis].step < 0).collect();
            let tensor = if backwards.is_empty() { tensor } else { B::float_flip(tensor, &backwards) };
            let slices: Vec<Slice> = cuts.iter().zip(&sizes).map(|(cut, &size)| cut.forwards(size)).collect();
            Value::Float(B::float_slice(tensor, &slices))
        }
        Value::Int(ints) => Value::Int(Ints { tensor: cut(&ints.tensor, &cuts, target), ..ints }),
        Value::Bool(bools) => Value::Bool(cut(&bools, &cuts, target)),
    })
}

/// What `Slice` takes from one dimension; all within it.
struct Cut {
    start: usize,
    step: isize,
    count: usize,
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

    /// The same cut of the dimension turned round if the step is negative.
    fn forwards(&self, size: usize) -> Slice {
        let start = if self.step < 0 { size - 1 - self.start } else { self.start };
        let step = self.step.unsigned_abs();
        // The last element taken, and one: never beyond the dimension.
        let end = start + (self.count - 1) * step + 1;
        Slice::with_step(start as isize, Some(end as isize), step as isize)
    }
}

fn cut<T: Copy>(host: &Host<T>, cuts: &[Cut], target: Vec<usize>) -> Host<T> {
    let mut strides = vec![0isize; cuts.len()];
    let (mut stride, mut start) = (1isize, 0isize);
    for axis in (0..cuts.len()).rev() {
        strides[axis] = stride * cuts[axis].step;
        start += stride * cuts[axis].start as isize;
        stride *= host.shape[axis] as isize;
    }
    let data = broadcast::walk(&host.data, &target, start, &strides);
    Host::new(target, data)
}

pub(crate) fn concat<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let first = call.shape(0)?;
    let axis = shape::axis(call.attributes().int("axis")?.unwrap_or(1), first.len())?;
    let data_type = call.same_type()?;
    let mut target = first.clone();
    for input in 1..call.inputs.len() {
        let other = call.shape(input)?;
        let fits = other.len() == first.len() && (0..first.len()).all(|d| d == axis || other[d] == first[d]);
        if !fits {
            return Err(Fault::Shape(format!("{other:?} cannot be joined to {first:?} along dimension {axis}")));
        }
        let joined = target[axis].checked_add(other[axis]);
        target[axis] = joined.ok_or_else(|| Fault::Shape("the result is too large".into()))?;
    }
    let elements = call.charge(&target, data_type)?;
    let count = call.inputs.len();
    match data_type {
        DataType::F32 => {
            let mut parts = Vec::with_capacity(count);
            for input in 0..count {
                // Backends disagree about parts without elements; they add nothing.
                if call.shape(input)?[axis] > 0 {
                    parts.push(call.float(input)?);
                }
            }
            call::float::<B>(match (elements, parts.len()) {
                (0, _) => call::empty::<B>(target, call.device),
                (_, 1) => parts.remove(0),
                _ => B::float_cat(parts, axis),
            })
        }
        DataType::Bool => {
            let parts = (0..count).map(|input| call.bools(input)).collect::<Result<Vec<_>, _>>()?;
            call::one(Value::Bool(join(&parts, axis, target)))
        }
        data_type => {
            let parts = (0..count).map(|input| Ok(call.ints(input)?.tensor)).collect::<Result<Vec<_>, Fault>>()?;
            call::one(Value::Int(Ints { data_type, tensor: join(&parts, axis, target) }))
        }
    }
}

fn join<T: Copy>(parts: &[Host<T>], axis: usize, target: Vec<usize>) -> Host<T> {
    let (outer, _, inner) = shape::split_at(&target, axis);
    let mut data = Vec::with_capacity(target.iter().product());
    for block in 0..outer {
        for part in parts {
            let length = part.shape[axis] * inner;
            data.extend_from_slice(&part.data[block * length..(block + 1) * length]);
        }
    }
    Host::new(target, data)
}

pub(crate) fn split<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let sizes = call.shape(0)?;
    let axis = shape::axis(call.attributes().int("axis")?.unwrap_or(0), sizes.len())?;
    let size = sizes[axis];
    let outputs = call.node.outputs.len();
    let lengths = match call.list_since(13, 1, "split")? {
        Some(list) => list.iter().map(|&length| usize::try_from(length)).collect::<Result<Vec<_>, _>>(),
        None => {
            // Equal parts; from operator set 18 on the last may be smaller.
            let part = size.div_ceil(outputs);
            if call.opset() < 18 && part * outputs != size {
                return Err(Fault::Shape(format!("a dimension of {size} does not split into {outputs} equal parts")));
            }
            Ok((0..outputs).map(|index| size.saturating_sub(index * part).min(part)).collect())
        }
    };
    let lengths = lengths.map_err(|_| Fault::Value("a part is negative".into()))?;
    let total = lengths.iter().try_fold(0usize, |total, &length| total.checked_add(length));
    if lengths.len() != outputs || total != Some(size) {
        return Err(Fault::Shape(format!(
            "a dimension of {size} does not split into {lengths:?} for {outputs} outputs"
        )));
    }
    let value = call.take(0)?;
    let mut results = Vec::with_capacity(outputs);
    let mut start = 0;
    for length in lengths {
        let mut target = sizes.clone();
        target[axis] = length;
        let elements = call.charge(&target, value.data_type())?;
        let mut cuts: Vec<Cut> = target.iter().map(|&size| Cut { start: 0, step: 1, count: size }).collect();
        cuts[axis].start = start;
        results.push(match &value {
            Value::Float(_) if elements == 0 => Value::Float(call::empty::<B>(target, call.device)),
            Value::Float(tensor) => {
                let slices: Vec<Slice> = cuts.iter().zip(&sizes).map(|(cut, &size)| cut.forwards(size)).collect();
                Value::Float(B::float_slice(tensor.clone(), &slices))
            }
            Value::Int(ints) => {
                Value::Int(Ints { data_type: ints.data_type, tensor: cut(&ints.tensor, &cuts, target) })
            }
            Value::Bool(bools) => Value::Bool(cut(bools, &cuts, target)),
        });
        start += length;
    }
    Ok(results)
}
