//! Operators that read or write single elements and slices at indices.

use super::{
    Operator,
    call::{self, Call, Outputs},
    movement, moves,
    number::Number,
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    shape::{self, Shape},
    value::{Value, by_size, by_type},
};

pub(super) const TABLE: &[Operator] = &[
    moves("GatherElements", 11, 2..=2, gather_elements),
    moves("GatherND", 11, 2..=2, gather_nd),
    moves("Scatter", 9, 3..=3, scatter_elements),
    moves("ScatterElements", 11, 3..=3, scatter_elements),
    moves("ScatterND", 11, 3..=3, scatter_nd),
];

fn gather_elements(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let (sizes, places) = (call.shape(0)?, call.shape(1)?);
    let axis = shape::axis(call.attributes().int("axis")?.unwrap_or(0), sizes.len())?;
    let positions = element_positions(call, axis)?;
    let value = call.peek(0)?;
    let mut result = call.make(value.data_type(), places.clone())?;
    by_size!(value.data_type(), T => {
        let (from, to) = (value.raw::<T>(), result.raw_mut::<T>());
        each_element(&sizes, &places, axis, &positions, |index, at| to[index] = from[at]);
    });
    call::one(result)
}

/// `ScatterElements`, and `Scatter`, as it was called before.
fn scatter_elements(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let (sizes, places) = (call.shape(0)?, call.shape(1)?);
    let axis = shape::axis(call.attributes().int("axis")?.unwrap_or(0), sizes.len())?;
    let positions = element_positions(call, axis)?;
    let (data_type, reduction) = (same_type(call)?, Reduction::of(call)?);
    let updates = call.take(2)?;
    if *updates.shape() != places {
        let found = updates.shape();
        return Err(Fault::Shape(format!("updates of shape {found:?} for indices of shape {places:?}")));
    }
    let mut result = own(call, 0)?;
    by_type!(data_type, T => {
        let (from, to) = (updates.raw::<T>(), result.raw_mut::<T>());
        let write = reduction.function();
        each_element(&sizes, &places, axis, &positions, |index, at| to[at] = write(to[at], from[index]));
    });
    call::one(result)
}

/// The indices of an operator that works on elements, checked against the data's axis; the rest of their shape too.
fn element_positions(call: &Call<'_>, axis: usize) -> Result<Vec<i64>, Fault> {
    let (sizes, places) = (call.shape(0)?, call.shape(1)?);
    let fits = places.len() == sizes.len() && (0..sizes.len()).all(|d| d == axis || places[d] <= sizes[d]);
    if !fits {
        return Err(Fault::Shape(format!("indices of shape {places:?} do not fit into {sizes:?}")));
    }
    let mut positions = call.integers(1)?;
    positions.iter_mut().try_for_each(|index| shape::position(*index, sizes[axis]).map(|at| *index = at as i64))?;
    Ok(positions)
}

/// Calls `visit` with the number of each index, and the place in the data that it stands for.
fn each_element(
    sizes: &[usize],
    places: &[usize],
    axis: usize,
    positions: &[i64],
    mut visit: impl FnMut(usize, usize),
) {
    let mut steps = shape::strides(sizes);
    let along = std::mem::replace(&mut steps[axis], 0);
    let mut order = positions.iter().enumerate();
    movement::walk(places, &steps, 0, |_, base| {
        if let Some((index, &position)) = order.next() {
            visit(index, (base + position as isize * along) as usize);
        }
    });
}

fn gather_nd(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let (sizes, places) = (call.shape(0)?, call.shape(1)?);
    let batch = call.attributes().int("batch_dims")?.unwrap_or(0);
    let batch = usize::try_from(batch).ok().filter(|&batch| batch < sizes.len().min(places.len()));
    let batch = batch.ok_or_else(|| wrong("batch_dims", "it is outside of the operands' dimensions"))?;
    if sizes[..batch] != places[..batch] {
        return Err(Fault::Shape(format!("the first {batch} dimensions of {sizes:?} and {places:?} differ")));
    }
    let slices = Slices::new(call, &sizes[batch..], &places)?;
    let mut target = Shape::from_slice(&places[..places.len() - 1]);
    target.extend_from_slice(&sizes[batch + slices.depth..]);
    let value = call.peek(0)?;
    let mut result = call.make(value.data_type(), target)?;
    if result.len() > 0 {
        let blocks: usize = sizes[..batch].iter().product();
        let (per_block, block) = (result.len() / slices.length / blocks, value.len() / blocks);
        by_size!(value.data_type(), T => {
            let from = value.raw::<T>();
            for (index, to) in result.raw_mut::<T>().chunks_exact_mut(slices.length).enumerate() {
                let start = index / per_block * block + slices.start(index);
                to.copy_from_slice(&from[start..start + slices.length]);
            }
        });
    }
    call::one(result)
}

fn scatter_nd(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let (sizes, places) = (call.shape(0)?, call.shape(1)?);
    if places.is_empty() {
        return Err(Fault::Shape("the indices need at least one dimension".into()));
    }
    let slices = Slices::new(call, &sizes, &places)?;
    let (data_type, reduction) = (same_type(call)?, Reduction::of(call)?);
    let updates = call.take(2)?;
    let mut wanted = Shape::from_slice(&places[..places.len() - 1]);
    wanted.extend_from_slice(&sizes[slices.depth..]);
    if *updates.shape() != wanted {
        return Err(Fault::Shape(format!("updates of shape {:?}; {wanted:?} is needed", updates.shape())));
    }
    let mut result = own(call, 0)?;
    if updates.len() > 0 {
        by_type!(data_type, T => {
            let (from, to) = (updates.raw::<T>(), result.raw_mut::<T>());
            let write = reduction.function();
            for (index, from) in from.chunks_exact(slices.length).enumerate() {
                let to = &mut to[slices.start(index)..][..slices.length];
                to.iter_mut().zip(from).for_each(|(to, &from)| *to = write(*to, from));
            }
        });
    }
    call::one(result)
}

/// Slices of the data that tuples of indices stand for.
struct Slices {
    /// Indices of one tuple.
    depth: usize,
    /// Elements of one slice.
    length: usize,
    positions: Vec<i64>,
    strides: movement::Steps,
}

impl Slices {
    fn new(call: &Call<'_>, sizes: &[usize], places: &[usize]) -> Result<Self, Fault> {
        let depth = places.last().copied().unwrap_or(0);
        if depth > sizes.len() {
            return Err(Fault::Shape(format!("{depth} indices for a slice of {sizes:?}")));
        }
        let mut positions = call.integers(1)?;
        if depth > 0 {
            for tuple in positions.chunks_exact_mut(depth) {
                for (index, &size) in tuple.iter_mut().zip(sizes) {
                    *index = shape::position(*index, size)? as i64;
                }
            }
        }
        Ok(Self { depth, length: sizes[depth..].iter().product(), positions, strides: shape::strides(sizes) })
    }

    /// Where the slice of a tuple begins; only asked for if there are elements.
    fn start(&self, tuple: usize) -> usize {
        let tuple = &self.positions[tuple * self.depth..][..self.depth];
        tuple.iter().zip(&self.strides).map(|(&index, &stride)| index as usize * stride as usize).sum()
    }
}

/// What becomes of the element that stands where an update goes.
#[derive(Clone, Copy)]
enum Reduction {
    None,
    Add,
    Mul,
    Max,
    Min,
}

impl Reduction {
    fn of(call: &Call<'_>) -> Result<Self, Fault> {
        let name = call.attributes().text("reduction")?.unwrap_or("none");
        Ok(match (name, call.data_type(0)?) {
            ("none", _) => Reduction::None,
            // The sum of booleans is whether any holds, their product whether all do.
            ("max", _) | ("add", DataType::Bool) => Reduction::Max,
            ("min", _) | ("mul", DataType::Bool) => Reduction::Min,
            ("add", _) => Reduction::Add,
            ("mul", _) => Reduction::Mul,
            _ => return Err(wrong("reduction", "it is none of those that ONNX knows")),
        })
    }

    fn function<T: Number>(self) -> fn(T, T) -> T {
        match self {
            Reduction::None => |_, new| new,
            Reduction::Add => T::plus,
            Reduction::Mul => T::times,
            Reduction::Max => T::larger,
            Reduction::Min => T::smaller,
        }
    }
}

/// The type of the data, which the updates share.
fn same_type(call: &Call<'_>) -> Result<DataType, Fault> {
    match (call.data_type(0)?, call.data_type(2)?) {
        (data, updates) if data == updates => Ok(data),
        (data, updates) => Err(Fault::Value(format!("{updates} is written into {data}"))),
    }
}

/// An operand that may be changed: itself, if nobody else holds it, or a copy.
pub(super) fn own(call: &mut Call<'_>, input: usize) -> Result<Value, Fault> {
    let mut value = call.take(input)?;
    if value.is_unique() {
        return Ok(value);
    }
    let mut copy = call.make(value.data_type(), value.shape().clone())?;
    by_size!(value.data_type(), T => copy.raw_mut::<T>().copy_from_slice(value.raw()));
    Ok(copy)
}
