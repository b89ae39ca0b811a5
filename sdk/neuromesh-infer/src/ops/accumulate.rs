//! Running sums, overlapping sums, determinants.

use bytemuck::Zeroable;

use super::{
    Operator,
    call::{self, Call, Outputs},
    movement,
    number::Number,
    op,
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    shape::{self, Shape},
    value::by_type,
};

pub(super) const TABLE: &[Operator] =
    &[op("Col2Im", 18, 3..=3, col2im), op("CumSum", 11, 2..=2, cum_sum), op("Det", 11, 1..=1, det)];

/// Sums along an axis up to each element, in the order of the elements, or from the end.
fn cum_sum(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let axis = shape::axis(call.integer(1)?, sizes.len())?;
    let exclusive = call.attributes().flag("exclusive", false)?;
    let reverse = call.attributes().flag("reverse", false)?;
    let (_, size, inner) = shape::split_at(&sizes, axis);
    let value = call.peek(0)?;
    if value.data_type() == DataType::Bool {
        return Err(Fault::Type { input: 0, found: DataType::Bool });
    }
    let mut result = call.make(value.data_type(), sizes.clone())?;
    if result.len() > 0 {
        by_type!(value.data_type(), T => {
            let blocks = value.raw::<T>().chunks_exact(size * inner);
            for (from, to) in blocks.zip(result.raw_mut::<T>().chunks_exact_mut(size * inner)) {
                let place = |index: usize| (if reverse { size - 1 - index } else { index }) * inner;
                for offset in 0..inner {
                    let mut sum = T::zeroed();
                    for index in 0..size {
                        let at = place(index) + offset;
                        let more = if index == 0 { from[at] } else { sum.plus(from[at]) };
                        to[at] = if exclusive { sum } else { more };
                        sum = more;
                    }
                }
            }
        });
    }
    call::one(result)
}

/// Determinants by elimination with the largest pivot of each column, in double precision.
fn det(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let (target, size) = match &sizes[..] {
        [outer @ .., rows, columns] if rows == columns => (Shape::from_slice(outer), *rows),
        _ => return Err(Fault::Shape(format!("{sizes:?} is not square"))),
    };
    let mut result = call.make(DataType::F32, target)?;
    call.memory.check_work(&[result.len(), size, size, size])?;
    let mut scratch = call.memory.buffer(shape::checked(&[size, size])? * 8)?;
    let matrix = scratch.slice_mut::<f64>();
    let value = call.floats(0)?;
    for (index, to) in result.raw_mut::<f32>().iter_mut().enumerate() {
        let from = &value[index * size * size..][..size * size];
        matrix.iter_mut().zip(from).for_each(|(to, &from)| *to = from.into());
        *to = eliminate(matrix, size) as f32;
    }
    call::one(result)
}

fn eliminate(matrix: &mut [f64], size: usize) -> f64 {
    let mut product = 1.0;
    for column in 0..size {
        let at = |row: usize| row * size + column;
        let larger = |best: usize, row: usize| if matrix[at(row)].abs() > matrix[at(best)].abs() { row } else { best };
        let pivot = (column..size).fold(column, larger);
        if pivot != column {
            (0..size).for_each(|index| matrix.swap(pivot * size + index, column * size + index));
            product = -product;
        }
        let (top, rest) = matrix.split_at_mut((column + 1) * size);
        let top = &top[column * size..];
        product *= top[column];
        if top[column] == 0.0 {
            return product;
        }
        for row in rest.chunks_exact_mut(size) {
            let factor = row[column] / top[column];
            row[column..].iter_mut().zip(&top[column..]).for_each(|(to, &from)| *to -= factor * from);
        }
    }
    product
}

/// Blocks laid over an image, one per column, added up where they overlap: block positions in order.
fn col2im(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let &[batch, rows, columns] = &sizes[..] else {
        return Err(Fault::Shape(format!("{sizes:?} is not a batch of columns")));
    };
    let image = shape::sizes(&call.list(1)?).map_err(|reason| Fault::Value(reason.into()))?;
    let block = shape::sizes(&call.list(2)?).map_err(|reason| Fault::Value(reason.into()))?;
    let rank = image.len();
    let given = |name: &str, default: i64, count: usize| match call.attributes().ints(name)? {
        None => Ok(vec![default; count]),
        Some(list) if list.len() == count && list.iter().all(|&number| number >= default) => Ok(list.to_vec()),
        Some(_) => Err(wrong(name, "one number per dimension is expected, and none too small")),
    };
    shape::checked(&image)?;
    let (strides, dilations) = (given("strides", 1, rank)?, given("dilations", 1, rank)?);
    let pads = given("pads", 0, 2 * rank)?;
    let block_size = shape::checked(&block)?;
    if block.len() != rank || block_size == 0 || rows % block_size != 0 {
        return Err(Fault::Shape(format!("{rows} rows do not make blocks of {block:?} for an image of {image:?}")));
    }
    let counts = (0..rank).map(|axis| {
        let reach = i128::from(dilations[axis]) * (block[axis] as i128 - 1) + 1;
        let room = image[axis] as i128 + i128::from(pads[axis]) + i128::from(pads[rank + axis]) - reach;
        usize::try_from(room.div_euclid(strides[axis].into()) + 1).ok()
    });
    let counts = counts.collect::<Option<Shape>>();
    let fits = |counts: &Shape| shape::elements(counts) == Some(columns);
    let counts =
        counts.filter(fits).ok_or_else(|| Fault::Shape(format!("{columns} columns do not cover the image")))?;

    let mut target = Shape::from_slice(&[batch, rows / block_size]);
    target.extend_from_slice(&image);
    let mut result = call.make(DataType::F32, target)?;
    result.fill(0.0);
    let value = call.floats(0)?;
    if value.is_empty() || result.len() == 0 {
        return call::one(result);
    }
    call.memory.check_work(&[value.len(), rank])?;
    let image_size: usize = image.iter().product();
    let places = shape::strides(&image);
    let none = movement::Steps::from_elem(0, rank);
    let to = result.raw_mut::<f32>();
    for (plane, from) in value.chunks_exact(block_size * columns).enumerate() {
        let to = &mut to[plane * image_size..][..image_size];
        let mut rows = from.chunks_exact(columns);
        movement::walk(&block, &none, 0, |within, _| {
            let mut row = rows.next().into_iter().flatten();
            movement::walk(&counts, &none, 0, |index, _| {
                let Some(&element) = row.next() else {
                    return;
                };
                let place = (0..rank).try_fold(0usize, |place, axis| {
                    let at = i128::from(strides[axis]) * index[axis] as i128
                        + i128::from(dilations[axis]) * within[axis] as i128
                        - i128::from(pads[axis]);
                    let at = usize::try_from(at).ok().filter(|&at| at < image[axis])?;
                    Some(place + at * places[axis] as usize)
                });
                if let Some(place) = place {
                    to[place] += element;
                }
            });
        });
    }
    call::one(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn determinants_of_small_matrices() {
        assert_eq!(eliminate(&mut [], 0), 1.0);
        assert_eq!(eliminate(&mut [0.0, 2.0, 3.0, 4.0], 2), -6.0);
        assert_eq!(eliminate(&mut [1.0, 2.0, 2.0, 4.0], 2), 0.0);
    }
}
