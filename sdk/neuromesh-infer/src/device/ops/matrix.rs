//! Matrix products.

use burn_backend::{Backend, tensor::FloatTensor};

use super::{View, Work, activation::Function, elementwise::both, shaped};
use crate::shape::{self, Shape, broadcast, pad_rank};

/// ONNX's `MatMul`, which is numpy's `matmul`.
pub(super) fn mat_mul<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let function = Function::at_the_end(view)?;
    let product = Product::new(view.tensor(0)?, view.tensor(1)?)?;
    let (result, k, scratch) = (product.result.clone(), product.k, product.scratch()?);
    Some(Work::new([0, 1], result, move |[a, b]| function.apply::<B>(product.run::<B>(a, b))).each(k).scratch(scratch))
}

/// `activation(x * weight + bias)`.
pub(super) fn linear<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let function = Function::at_the_end(view)?;
    let product = Product::new(view.tensor(0)?, view.tensor(1)?)?;
    let bias = Shape::from(view.tensor(2)?);
    let (result, k, scratch) = (product.result.clone(), product.k, product.scratch()?);
    if broadcast(&result, &bias).ok()? != result {
        return None;
    }
    let work = Work::new([0, 1, 2], result.clone(), move |[x, weight, addend]| {
        let product = shaped::<B>(product.run::<B>(x, weight), &result);
        function.apply::<B>(both::<B>((product, &result), (addend, &bias), B::float_add))
    });
    Some(work.each(k).scratch(scratch))
}

/// `activation(alpha * A' * B' + beta * C)`, where `'` may transpose.
pub(super) fn gemm<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let function = Function::at_the_end(view)?;
    let (alpha, beta) = (view.float("alpha", 1.0)?, view.float("beta", 1.0)?);
    let flags = [view.int("transA", 0)? != 0, view.int("transB", 0)? != 0];
    let [mut a, mut b] = [<[usize; 2]>::try_from(view.tensor(0)?).ok()?, <[usize; 2]>::try_from(view.tensor(1)?).ok()?];
    [(&mut a, flags[0]), (&mut b, flags[1])]
        .into_iter()
        .filter(|(_, flag)| *flag)
        .for_each(|(sizes, _)| sizes.reverse());
    let product = Product::new(&a, &b)?;
    let (result, k, scratch) = (product.result.clone(), product.k, product.scratch()?);
    let turn = |tensor, flag| if flag { B::float_transpose(tensor) } else { tensor };
    let scaled = |tensor, factor: f32| if factor == 1.0 { tensor } else { B::float_mul_scalar(tensor, factor.into()) };
    let product = move |a, b| scaled(product.run::<B>(turn(a, flags[0]), turn(b, flags[1])), alpha);
    let work = match view.has(2) {
        false => Work::new([0, 1], result, move |[a, b]| function.apply::<B>(product(a, b))),
        true => {
            let c_shape = Shape::from(view.floats(2)?);
            if broadcast(&result, &c_shape).ok()? != result {
                return None;
            }
            Work::new([0, 1, 2], result.clone(), move |[a, b, c]| {
                let sum = both::<B>((product(a, b), &result), (scaled(c, beta), &c_shape), B::float_add);
                function.apply::<B>(sum)
            })
        }
    };
    Some(work.each(k).scratch(scratch))
}

/// A product of two tensors whose shapes fit.
struct Product {
    /// Both operands as the backend gets them: as many dimensions, and batches that broadcast.
    a: Shape,
    b: Shape,
    k: usize,
    result: Shape,
}

impl Product {
    fn new(a: &[usize], b: &[usize]) -> Option<Self> {
        let (mut a, mut b) = (Shape::from(a), Shape::from(b));
        let (&k, &b_last) = (a.last()?, b.last()?);
        if k != b.iter().rev().nth(1).copied().unwrap_or(b_last) {
            return None;
        }
        // A vector is a row on the left and a column on the right; the added dimension leaves again.
        let (row, column) = (a.len() == 1, b.len() == 1);
        if row {
            a.insert(0, 1);
        }
        if column {
            b.push(1);
        }
        let (a_batch, b_batch) = (&a[..a.len() - 2], &b[..b.len() - 2]);
        let (m, n) = (a[a.len() - 2], b[b.len() - 1]);
        let mut result = broadcast(a_batch, b_batch).ok()?;
        let rank = result.len() + 2;
        result.extend((!row).then_some(m));
        result.extend((!column).then_some(n));
        shape::checked(&result).ok()?;
        let (a, b) = if b_batch.iter().all(|&size| size == 1) && b_batch.len() <= a_batch.len() {
            // One matrix on the right: the batch is just more rows.
            let rows = a_batch.iter().product::<usize>() * m;
            (Shape::from_slice(&[rows, k]), Shape::from_slice(&[k, n]))
        } else {
            (pad_rank(&a, rank), pad_rank(&b, rank))
        };
        Some(Self { a, b, k, result })
    }

    /// Backends repack strided operands.
    fn scratch(&self) -> Option<usize> {
        let elements = shape::elements(&self.result)?;
        elements.checked_add(shape::elements(&self.a)?)?.checked_add(shape::elements(&self.b)?)
    }

    fn run<B: Backend>(&self, a: FloatTensor<B>, b: FloatTensor<B>) -> FloatTensor<B> {
        let product = B::float_matmul(shaped::<B>(a, &self.a), shaped::<B>(b, &self.b));
        shaped::<B>(product, &self.result)
    }
}
