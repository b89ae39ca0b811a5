//! Softmax and normalizations.

use burn_backend::{Backend, tensor::FloatTensor};

use super::{View, Work, elementwise::both, shaped};
use crate::shape::{self, Shape, broadcast};

/// `Softmax` and `LogSoftmax`.
pub(super) fn along_axis<B: Backend>(
    view: &View<'_>,
    apply: fn(FloatTensor<B>, usize) -> FloatTensor<B>,
) -> Option<Work<B>> {
    let sizes = Shape::from(view.tensor(0)?);
    let flattens = view.node.opset < 13;
    let axis = shape::axis(view.int("axis", if flattens { 1 } else { -1 })?, sizes.len()).ok()?;
    let elements = shape::elements(&sizes)?;
    // Before operator set 13 everything from the axis on is one row.
    let row: usize = sizes[axis..].iter().product();
    let (working, axis) = match flattens {
        true => (Shape::from_slice(&[elements / row, row]), 1),
        false => (sizes.clone(), axis),
    };
    Some(Work::new([0], sizes, move |[x]| apply(shaped::<B>(x, &working), axis)).scratch(2 * elements))
}

/// `softmax(scores * scale + mask)` over the last dimension.
pub(super) fn scaled_softmax<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let scale = view.float("scale", 1.0)?;
    let scores = Shape::from(view.tensor(0)?);
    let last = |shape: &[usize]| shape.len() - 1;
    if !view.has(1) {
        let elements = shape::elements(&scores)?;
        let axis = last(&scores);
        let work = Work::new([0], scores, move |[x]| B::softmax(B::float_mul_scalar(x, scale.into()), axis));
        return Some(work.scratch(2 * elements));
    }
    let mask = Shape::from(view.floats(1)?);
    let result = broadcast(&scores, &mask).ok()?;
    let (axis, elements) = (last(&result), shape::elements(&result)?);
    let work = Work::new([0, 1], result, move |[x, addend]| {
        let scaled = B::float_mul_scalar(x, scale.into());
        B::softmax(both::<B>((scaled, &scores), (addend, &mask), B::float_add), axis)
    });
    Some(work.scratch(2 * elements))
}

pub(super) fn layer_normalization<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let axis = shape::axis(view.int("axis", -1)?, view.tensor(0)?.len()).ok()?;
    normalized(view, axis)
}

/// The same over the last dimension, as rewriting makes it.
pub(super) fn layer_norm<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    normalized(view, view.tensor(0)?.len() - 1)
}

fn normalized<B: Backend>(view: &View<'_>, axis: usize) -> Option<Work<B>> {
    // Nobody wants the moments on a device.
    if view.node.outputs.len() != 1 {
        return None;
    }
    let sizes = Shape::from(view.tensor(0)?);
    let epsilon = view.float("epsilon", 1e-5)?;
    let row: usize = sizes[axis..].iter().product();
    let fits = |input: usize| {
        let own = view.floats(input)?;
        let leading = own.len().checked_sub(sizes.len() - axis)?;
        (own[..leading].iter().all(|&size| size == 1) && own[leading..] == sizes[axis..]).then_some(())
    };
    fits(1)?;
    let elements = shape::elements(&sizes)?;
    let rows = [elements / row, row];
    let run = move |x, scale, bias: Option<FloatTensor<B>>| {
        let flat = |tensor| shaped::<B>(tensor, &[row]);
        B::layer_norm(shaped::<B>(x, &rows), flat(scale), bias.map(flat), f64::from(epsilon))
    };
    let work = match view.has(2) {
        true => {
            fits(2)?;
            Work::new([0, 1, 2], sizes, move |[x, scale, bias]| run(x, scale, Some(bias)))
        }
        false => Work::new([0, 1], sizes, move |[x, scale]| run(x, scale, None)),
    };
    Some(work.scratch(2 * elements))
}

/// As it is used for inference: `(x - mean) / sqrt(variance + epsilon) * scale + bias` for each channel.
pub(super) fn batch_normalization<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    // Before operator set 9, each element of an image could have statistics of its own.
    let declines = view.int("training_mode", 0)? != 0 || view.int("spatial", 1)? == 0;
    let sizes = Shape::from(view.tensor(0)?);
    let &[_, channels, ..] = &sizes[..] else {
        return None;
    };
    if declines || view.node.outputs.len() != 1 || (1..5).any(|input| view.floats(input) != Some(&[channels])) {
        return None;
    }
    let epsilon = view.float("epsilon", 1e-5)?;
    let mut broadcast = Shape::from_elem(1, sizes.len());
    broadcast[1] = channels;
    let elements = shape::elements(&sizes)?;
    let work = Work::new([0, 1, 2, 3, 4], sizes, move |[x, scale, bias, mean, variance]| {
        let deviation = B::float_sqrt(B::float_add_scalar(variance, epsilon.into()));
        let scale = B::float_div(scale, deviation);
        let shift = B::float_sub(bias, B::float_mul(mean, scale.clone()));
        let product = B::float_mul(x, shaped::<B>(scale, &broadcast));
        B::float_add(product, shaped::<B>(shift, &broadcast))
    });
    Some(work.scratch(elements))
}
