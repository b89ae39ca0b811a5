//! Shapes: sizes, axes and broadcasting, with every overflow and range checked.

use smallvec::SmallVec;

use crate::{Fault, limits::MAX_RANK};

/// The sizes of a tensor's dimensions; those of real models need no memory of their own.
pub(crate) type Shape = SmallVec<[usize; 6]>;

/// The number of elements, unless it overflows.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    // A zero makes the product zero whatever the rest is, but the rest must still be representable: later code multiplies
    // the sizes of parts of a shape.
    let product =
        shape.iter().filter(|&&size| size != 0).try_fold(1usize, |product, &size| product.checked_mul(size))?;
    // Byte counts and signed offsets must fit too.
    (product <= isize::MAX as usize / 16).then_some(if shape.contains(&0) { 0 } else { product })
}

/// The shape as the caller may use it: rank and size within bounds.
pub(crate) fn checked(shape: &[usize]) -> Result<usize, Fault> {
    if shape.len() > MAX_RANK {
        return Err(Fault::Shape(format!("{} dimensions; at most {MAX_RANK} are supported", shape.len())));
    }
    elements(shape).ok_or_else(|| Fault::Shape(format!("the shape {shape:?} is too large")))
}

/// Sizes as ONNX writes them; on 32 bits, sizes that natively are only absurd cannot even be written down.
pub(crate) fn sizes(list: &[i64]) -> Result<Shape, &'static str> {
    list.iter().map(|&size| self::size(size)).collect()
}

/// One size as ONNX writes it.
pub(crate) fn size(size: i64) -> Result<usize, &'static str> {
    usize::try_from(size).map_err(|_| if size < 0 { "a size is negative" } else { "a size is too large" })
}

/// ONNX's axis, negative from the end, as an index below `rank`.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, Fault> {
    let signed = rank as i64;
    match axis {
        a if (0..signed).contains(&a) => Ok(a as usize),
        a if (-signed..0).contains(&a) => Ok((a + signed) as usize),
        a => Err(Fault::Value(format!("axis {a} is outside of a tensor of {rank} dimensions"))),
    }
}

/// ONNX's index, negative from the end, as a position below `size`.
pub(crate) fn position(index: i64, size: usize) -> Result<usize, Fault> {
    let signed = size as i64;
    match index {
        i if (0..signed).contains(&i) => Ok(i as usize),
        i if (-signed..0).contains(&i) => Ok((i + signed) as usize),
        i => Err(Fault::Value(format!("index {i} is outside of a dimension of {size}"))),
    }
}

/// Several axes, each named once, in ascending order.
pub(crate) fn axes(list: &[i64], rank: usize) -> Result<Vec<usize>, Fault> {
    if list.len() > rank {
        return Err(Fault::Value(format!("{} axes for a tensor of {rank} dimensions", list.len())));
    }
    let mut axes = list.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    match axes.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Fault::Value(format!("axis {} is named twice", pair[0]))),
        None => Ok(axes),
    }
}

/// The shape of an operation between two tensors (numpy's rules, which are ONNX's).
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Result<Shape, Fault> {
    let rank = a.len().max(b.len());
    let mut shape = Shape::from_elem(0, rank);
    for (index, size) in shape.iter_mut().enumerate() {
        let of = |shape: &[usize]| (index + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
        *size = match (of(a), of(b)) {
            (x, y) if x == y => x,
            (1, y) => y,
            (x, 1) => x,
            _ => return Err(Fault::Shape(format!("the shapes {a:?} and {b:?} do not broadcast"))),
        };
    }
    checked(&shape)?;
    Ok(shape)
}

/// `shape` with ones in front, up to `rank` dimensions.
pub(crate) fn pad_rank(shape: &[usize], rank: usize) -> Shape {
    let mut padded = Shape::from_elem(1, rank.saturating_sub(shape.len()));
    padded.extend_from_slice(shape);
    padded
}

/// A tensor cut at an axis: the product of what is before it, its size, the product of what is behind.
pub(crate) fn split_at(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product())
}

/// Distances between neighbours along each dimension of a row-major tensor, zero where `shape` is broadcast to `target`.
pub(crate) fn broadcast_strides(shape: &[usize], target: &[usize]) -> Shape {
    let padded = pad_rank(shape, target.len());
    let mut strides = Shape::from_elem(0, target.len());
    let mut stride = 1;
    for index in (0..target.len()).rev() {
        strides[index] = if padded[index] == 1 { 0 } else { stride };
        stride *= padded[index];
    }
    strides
}

/// Distances between neighbours along each dimension of a row-major tensor.
pub(crate) fn strides(shape: &[usize]) -> SmallVec<[isize; 6]> {
    let mut strides = SmallVec::from_elem(1isize, shape.len());
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1) as isize;
    }
    strides
}
