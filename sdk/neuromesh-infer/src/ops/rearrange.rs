//! Operators that repeat, reorder and blank out elements.

use bytemuck::Pod;

use super::{
    Operator,
    call::{self, Call, Outputs},
    movement::{self, Steps},
    moves, scatter,
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    shape::{self, Shape},
    value::by_size,
};

pub(super) const TABLE: &[Operator] = &[
    moves("DepthToSpace", 1, 1..=1, depth_to_space),
    moves("EyeLike", 9, 1..=1, eye_like),
    moves("ReverseSequence", 10, 2..=2, reverse_sequence),
    moves("SpaceToDepth", 1, 1..=1, space_to_depth),
    moves("Tile", 6, 2..=2, tile),
    moves("Trilu", 14, 1..=2, trilu),
];

fn tile(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let repeats = shape::sizes(&call.list(1)?).map_err(|reason| Fault::Value(reason.into()))?;
    if repeats.len() != sizes.len() {
        return Err(Fault::Value(format!("{} repeats for {} dimensions", repeats.len(), sizes.len())));
    }
    let target = sizes.iter().zip(&repeats).map(|(size, repeat)| size.checked_mul(*repeat));
    let target = target.collect::<Option<Shape>>().ok_or_else(|| Fault::Shape("the result is too large".into()))?;
    shape::checked(&target)?;
    // A repeated dimension is two: one that stands still and one that goes on. What is not repeated joins the one before.
    let (mut pairs, mut steps) = (Shape::new(), Steps::new());
    for ((&size, &repeat), &stride) in sizes.iter().zip(&repeats).zip(&shape::strides(&sizes)) {
        if repeat != 1 {
            pairs.push(repeat);
            steps.push(0);
        }
        match (pairs.last_mut(), steps.last_mut()) {
            _ if size == 1 => {}
            (Some(last), Some(step)) if *step == stride * size as isize => {
                *last *= size;
                *step = stride;
            }
            _ => {
                pairs.push(size);
                steps.push(stride);
            }
        }
    }
    let value = call.take(0)?;
    call::one(movement::strided(call.memory, &value, 0, &steps, pairs)?.reshape(target))
}

fn depth_to_space(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let (sizes, block) = image_and_block(call)?;
    let [batch, channels, height, width] = sizes;
    let order = match call.attributes().text("mode")?.unwrap_or("DCR") {
        "DCR" => [0, 3, 4, 1, 5, 2],
        "CRD" => [0, 1, 4, 2, 5, 3],
        _ => return Err(wrong("mode", "DCR or CRD is expected")),
    };
    let square = block.checked_mul(block).filter(|square| channels % square == 0);
    let depth = match square {
        Some(square) => channels / square,
        None => return Err(Fault::Shape(format!("{channels} channels do not make blocks of {block} by {block}"))),
    };
    let split: &[usize] = match order[1] {
        3 => &[batch, block, block, depth, height, width],
        _ => &[batch, depth, block, block, height, width],
    };
    rearrange(call, split, &order, &[Some(batch), Some(depth), height.checked_mul(block), width.checked_mul(block)])
}

fn space_to_depth(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let (sizes, block) = image_and_block(call)?;
    let [batch, channels, height, width] = sizes;
    if height % block != 0 || width % block != 0 {
        return Err(Fault::Shape(format!("{height} by {width} does not divide into blocks of {block}")));
    }
    let (rows, columns) = (height / block, width / block);
    let depth = channels.checked_mul(block).and_then(|depth| depth.checked_mul(block));
    let split = [batch, channels, rows, block, columns, block];
    rearrange(call, &split, &[0, 3, 5, 1, 2, 4], &[Some(batch), depth, Some(rows), Some(columns)])
}

fn image_and_block(call: &Call<'_>) -> Result<([usize; 4], usize), Fault> {
    let sizes = call.shape(0)?;
    let image = <[usize; 4]>::try_from(&sizes[..]);
    let image = image.map_err(|_| Fault::Shape(format!("{sizes:?} is not a batch of images")))?;
    let block = call.attributes().int("blocksize")?.and_then(|size| usize::try_from(size).ok());
    let block = block.filter(|&block| block > 0);
    Ok((image, block.ok_or_else(|| wrong("blocksize", "a positive number is expected"))?))
}

/// The first operand, seen in the shape `split`, with its dimensions in this order, in the shape `target`.
fn rearrange(
    call: &mut Call<'_>,
    split: &[usize],
    order: &[usize],
    target: &[Option<usize>],
) -> Result<Outputs, Fault> {
    let target: Option<Shape> = target.iter().copied().collect();
    let target = target.ok_or_else(|| Fault::Shape("the result is too large".into()))?;
    shape::checked(&target)?;
    shape::checked(split)?;
    let value = call.take(0)?.reshape(Shape::from_slice(split));
    call::one(movement::permute(call.memory, &value, order)?.reshape(target))
}

fn reverse_sequence(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let axis = |name: &str, default: i64| match call.attributes().int(name)?.unwrap_or(default) {
        axis @ (0 | 1) => Ok(axis as usize),
        _ => Err(wrong(name, "0 or 1 is expected")),
    };
    let (batch_axis, time_axis) = (axis("batch_axis", 1)?, axis("time_axis", 0)?);
    if sizes.len() < 2 || batch_axis == time_axis {
        return Err(Fault::Shape(format!("{sizes:?} has no sequences along dimension {time_axis}")));
    }
    let (batch, time) = (sizes[batch_axis], sizes[time_axis]);
    let lengths = call.list(1)?.into_iter().map(|length| usize::try_from(length).ok().filter(|&length| length <= time));
    let lengths = lengths.collect::<Option<Vec<usize>>>().filter(|lengths| lengths.len() == batch);
    let lengths = lengths.ok_or_else(|| Fault::Value(format!("lengths of {batch} sequences of up to {time}")))?;
    let value = call.peek(0)?;
    let mut result = call.make(value.data_type(), sizes.clone())?;
    if result.len() > 0 {
        let inner: usize = sizes[2..].iter().product();
        by_size!(value.data_type(), T => {
            let from = value.raw::<T>();
            for (index, to) in result.raw_mut::<T>().chunks_exact_mut(inner).enumerate() {
                let (first, second) = (index / sizes[1], index % sizes[1]);
                let (at, sequence) = if time_axis == 0 { (first, second) } else { (second, first) };
                let length = lengths[sequence];
                let at = if at < length { length - 1 - at } else { at };
                let row = if time_axis == 0 { at * sizes[1] + second } else { first * sizes[1] + at };
                to.copy_from_slice(&from[row * inner..][..inner]);
            }
        });
    }
    call::one(result)
}

fn eye_like(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let &[rows, columns] = &sizes[..] else {
        return Err(Fault::Shape(format!("{sizes:?} is not a matrix")));
    };
    let data_type = match call.attributes().int("dtype")? {
        None => call.data_type(0)?,
        Some(code) => {
            let known = i32::try_from(code).ok().and_then(DataType::from_onnx);
            known.ok_or_else(|| Fault::Unsupported(format!("element type {code}")))?
        }
    };
    let diagonal = call.attributes().int("k")?.unwrap_or(0);
    let mut result = call.make(data_type, sizes.clone())?;
    result.fill(0.0);
    let mut one = call.make(data_type, Shape::new())?;
    one.fill(1.0);
    // Below the main diagonal it begins further down, above it further right.
    let first = usize::try_from(diagonal.unsigned_abs()).unwrap_or(usize::MAX);
    let (row, column) = if diagonal < 0 { (first, 0) } else { (0, first) };
    by_size!(data_type, T => {
        let (to, one) = (result.raw_mut::<T>(), one.raw::<T>()[0]);
        for index in 0..rows.saturating_sub(row).min(columns.saturating_sub(column)) {
            to[(row + index) * columns + column + index] = one;
        }
    });
    call::one(result)
}

fn trilu(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let &[.., rows, columns] = &sizes[..] else {
        return Err(Fault::Shape(format!("{sizes:?} is not a matrix")));
    };
    let diagonal = if call.has(1) { call.integer(1)? } else { 0 };
    let upper = call.attributes().flag("upper", true)?;
    let mut result = scatter::own(call, 0)?;
    if result.len() > 0 {
        by_size!(result.data_type(), T => blank(result.raw_mut::<T>(), rows, columns, diagonal, upper));
    }
    call::one(result)
}

fn blank<T: Pod>(matrices: &mut [T], rows: usize, columns: usize, diagonal: i64, upper: bool) {
    for (index, row) in matrices.chunks_exact_mut(columns).enumerate() {
        let kept = diagonal.saturating_add((index % rows) as i64);
        let kept = |past: i64| kept.saturating_add(past).clamp(0, columns as i64) as usize;
        let blank = if upper { &mut row[..kept(0)] } else { &mut row[kept(1)..] };
        blank.fill(T::zeroed());
    }
}
