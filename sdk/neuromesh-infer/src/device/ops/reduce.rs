//! Operators that fold dimensions.

use burn_backend::{Backend, tensor::FloatTensor};

use super::{View, Work, shaped};
use crate::shape::{self, Shape};

/// Folds one dimension, which stays with size 1.
type Fold<B> = fn(FloatTensor<B>, usize) -> FloatTensor<B>;

/// The axes are an attribute before operator set `moved`, an input from there on.
pub(super) fn fold<B: Backend>(view: &View<'_>, moved: i64, apply: Fold<B>) -> Option<Work<B>> {
    let sizes = Shape::from(view.tensor(0)?);
    let keep = view.int("keepdims", 1)? != 0;
    let list = view.list_since(moved, 1, "axes")?.unwrap_or_default();
    let axes: Vec<usize> = match list.is_empty() {
        false => shape::axes(&list, sizes.len()).ok()?,
        true if view.int("noop_with_empty_axes", 0)? != 0 => Vec::new(),
        true => (0..sizes.len()).collect(),
    };
    let mut target = Shape::new();
    for (axis, &size) in sizes.iter().enumerate() {
        match axes.contains(&axis) {
            false => target.push(size),
            true if keep => target.push(1),
            true => {}
        }
    }
    let elements = shape::elements(&sizes)?;
    Some(Work::new([0], target, move |[x]| axes.into_iter().fold(x, apply)).scratch(elements))
}

/// All spatial dimensions, folded into one number for each channel.
pub(super) fn global_pool<B: Backend>(view: &View<'_>, apply: Fold<B>) -> Option<Work<B>> {
    let mut target = Shape::from(view.tensor(0)?);
    if target.len() < 3 {
        return None;
    }
    let rows = [target[0] * target[1], target[2..].iter().product()];
    target[2..].fill(1);
    Some(Work::new([0], target, move |[x]| apply(shaped::<B>(x, &rows), 1)))
}
