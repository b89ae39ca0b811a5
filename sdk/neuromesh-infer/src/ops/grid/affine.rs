//! The grid of an affine movement.

use super::{
    super::call::{self, Call, Outputs},
    MAX_DIMENSIONS,
};
use crate::{
    DataType, Fault,
    shape::{self, Shape},
};

/// The grid that samples an image as a matrix for each of the batch moves it.
pub(super) fn affine_grid(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let theta_shape = call.shape(0)?;
    let size = shape::sizes(&call.list(1)?).map_err(|reason| Fault::Value(reason.into()))?;
    let dimensions = size.len().saturating_sub(2);
    if !(2..=MAX_DIMENSIONS).contains(&dimensions) || theta_shape[..] != [size[0], dimensions, dimensions + 1] {
        return Err(Fault::Shape(format!("matrices of shape {theta_shape:?} do not fit a size of {size:?}")));
    }
    let aligned = call.attributes().flag("align_corners", false)?;
    let mut target = Shape::from_slice(&size[..1]);
    target.extend_from_slice(&size[2..]);
    target.push(dimensions);
    let mut result = call.make(DataType::F32, target)?;
    let matrices = call.floats(0)?.chunks_exact(dimensions * (dimensions + 1));
    let places: usize = size[2..].iter().product();
    if result.len() > 0 {
        let grids = result.raw_mut::<f32>().chunks_exact_mut(places * dimensions);
        for (matrix, grid) in matrices.zip(grids) {
            for (index, point) in grid.chunks_exact_mut(dimensions).enumerate() {
                let mut rest = index;
                let mut base = [0.0; MAX_DIMENSIONS];
                for (at, &length) in base.iter_mut().zip(size[2..].iter().rev()) {
                    *at = centre(rest % length, length, aligned);
                    rest /= length;
                }
                for (to, row) in point.iter_mut().zip(matrix.chunks_exact(dimensions + 1)) {
                    let moved = row.iter().zip(&base[..dimensions]).fold(0.0, |sum, (factor, at)| sum + factor * at);
                    *to = moved + row[dimensions];
                }
            }
        }
    }
    call::one(result)
}

/// The coordinate of an element, where -1 and 1 are the borders of its dimension or the centres of its outermost elements.
fn centre(index: usize, length: usize, aligned: bool) -> f32 {
    let (twice, length) = (2.0 * index as f32, length as f32);
    match aligned {
        true if length == 1.0 => -1.0,
        true => twice / (length - 1.0) - 1.0,
        false => (twice + 1.0) / length - 1.0,
    }
}
