//! Functions of single elements, and arithmetic with broadcasting.

use burn_backend::{Backend, tensor::FloatTensor};

use super::{View, Work, activation::Function, lifted};
use crate::shape::{self, Shape, broadcast, pad_rank};

type Binary<B> = fn(FloatTensor<B>, FloatTensor<B>) -> FloatTensor<B>;

pub(super) fn unary<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let shape = view.floats(0)?;
    let function = Function::of_operator(view)?;
    // The constants that were folded into one of our own operators may have had more dimensions than its operand.
    let result = pad_rank(shape, usize::try_from(view.int("rank", 0)?).ok()?);
    let elements = shape::checked(&result).ok()?;
    Some(Work::new([0], result, move |[x]| function.apply::<B>(x)).scratch(elements))
}

pub(super) fn binary<B: Backend>(view: &View<'_>, apply: Binary<B>) -> Option<Work<B>> {
    let (a, b) = (Shape::from(view.floats(0)?), Shape::from(view.floats(1)?));
    let result = broadcast(&a, &b).ok()?;
    Some(Work::new([0, 1], result, move |[x, y]| both::<B>((x, &a), (y, &b), apply)))
}

pub(super) fn sum<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let count = view.operands.len();
    let shapes = (0..count).map(|input| view.floats(input).map(Shape::from)).collect::<Option<Vec<_>>>()?;
    let mut result = shapes.first()?.clone();
    for shape in &shapes[1..] {
        result = broadcast(&result, shape).ok()?;
    }
    let rank = result.len();
    let elements = shape::checked(&result).ok()?;
    let work = Work::of((0..count).collect(), result, move |tensors| {
        let lifted = tensors.into_iter().zip(&shapes).map(|(tensor, shape)| lifted::<B>(tensor, shape, rank));
        lifted.reduce(B::float_add).expect("a sum has an operand")
    });
    Some(work.scratch(elements))
}

/// An operation of two tensors of these shapes, which broadcast; backends want as many dimensions on both sides.
pub(super) fn both<B: Backend>(
    (a, a_shape): (FloatTensor<B>, &[usize]),
    (b, b_shape): (FloatTensor<B>, &[usize]),
    apply: Binary<B>,
) -> FloatTensor<B> {
    let rank = a_shape.len().max(b_shape.len());
    apply(lifted::<B>(a, a_shape, rank), lifted::<B>(b, b_shape, rank))
}
