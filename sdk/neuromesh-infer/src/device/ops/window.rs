//! Convolution and pooling.

use burn_backend::{Backend, ops::ConvOptions, tensor::FloatTensor};

use super::{View, Work, activation::Function, elementwise::both, shaped};
use crate::{
    ops::window::{Axis, Window, groups, kernel_shape},
    rewrite::residual::RESIDUAL,
    shape::{self, Shape, broadcast},
};

pub(super) fn conv<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let function = Function::at_the_end(view)?;
    let (x, weight) = (view.tensor(0)?, view.tensor(1)?);
    if x.len() != weight.len() || !(3..=5).contains(&x.len()) {
        return None;
    }
    let attributes = &view.node.attributes;
    let groups = groups(attributes, "group").ok()?;
    let outputs = weight[0];
    if weight[1].checked_mul(groups) != Some(x[1]) || !outputs.is_multiple_of(groups) {
        return None;
    }
    let kernel = kernel_shape(attributes, weight.len() - 2, Some(&weight[2..])).ok()?;
    let window = Window::new(attributes, &x[2..], &kernel, false).ok()?;
    let mut target = Shape::from_slice(&[x[0], outputs]);
    target.extend(window.output());
    let mut operands = vec![0, 1];
    if view.has(2) {
        (view.floats(2)? == [outputs]).then(|| operands.push(2))?;
    }
    let biased = view.has(2);
    let residual = match view.has(RESIDUAL) {
        true => {
            operands.push(RESIDUAL);
            Some(Shape::from(view.floats(RESIDUAL)?))
        }
        false => None,
    };
    let result = match &residual {
        Some(residual) => broadcast(&target, residual).ok()?,
        None => target.clone(),
    };
    let taps: usize = weight[1..].iter().product();
    let scratch =
        window.scratch(x)?.checked_add(shape::checked(&target).ok()?)?.checked_add(shape::elements(weight)?)?;
    let work = Work::of(operands, result, move |tensors| {
        let mut tensors = tensors.into_iter();
        let mut next = || tensors.next().expect("a run gets the operands that it asked for");
        let (x, weight) = (next(), next());
        let bias = biased.then(&mut next);
        let sums = match window.0.len() {
            1 => B::conv1d(x, weight, bias, window.options::<1>(groups)),
            2 => B::conv2d(x, weight, bias, window.options::<2>(groups)),
            _ => B::conv3d(x, weight, bias, window.options::<3>(groups)),
        };
        function.apply::<B>(match residual {
            Some(shape) => both::<B>((sums, &target), (next(), &shape), B::float_add),
            None => sums,
        })
    });
    Some(work.each(taps).scratch(scratch))
}

pub(super) fn max_pool<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    // Nobody wants positions on a device.
    if view.node.outputs.len() != 1 {
        return None;
    }
    pool(
        view,
        |x, Flat { kernel, strides, dilations, pads }, ()| B::max_pool2d(x, kernel, strides, pads, dilations, false),
        (),
    )
}

pub(super) fn average_pool<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let counts_pads = view.int("count_include_pad", 0)? != 0;
    if view.node.attributes.ints("dilations").ok()?.is_some_and(|list| list.iter().any(|&step| step != 1)) {
        return None;
    }
    let run = |x, Flat { kernel, strides, pads, .. }, counts_pads| {
        B::avg_pool2d(x, kernel, strides, pads, counts_pads, false)
    };
    pool(view, run, counts_pads)
}

/// A window of two dimensions, padded by as much on both sides.
struct Flat {
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    pads: [usize; 2],
}

fn pool<B: Backend, O: Send + 'static>(
    view: &View<'_>,
    run: fn(FloatTensor<B>, Flat, O) -> FloatTensor<B>,
    options: O,
) -> Option<Work<B>> {
    let x = view.tensor(0)?;
    let &[batch, channels, ref spatial @ ..] = x else {
        return None;
    };
    if !matches!(spatial.len(), 1 | 2) {
        return None;
    }
    let attributes = &view.node.attributes;
    let kernel = kernel_shape(attributes, spatial.len(), None).ok()?;
    let window = Window::new(attributes, spatial, &kernel, view.int("ceil_mode", 0)? != 0).ok()?;
    // Backends do not agree about windows that hang over the padding, nor about unequal or wide padding.
    let plain = |axis: &Axis| {
        let reach = axis.dilation * (axis.kernel - 1) + 1;
        let room = (axis.size + axis.before + axis.after).checked_sub(reach);
        let is_whole = room.is_some_and(|room| axis.output == room / axis.stride + 1);
        is_whole && axis.before == axis.after && axis.before <= axis.kernel / 2
    };
    if !window.0.iter().all(plain) {
        return None;
    }
    // One dimension is a row of two.
    let two = |list: &[usize], least: usize| match *list {
        [width] => [least, width],
        _ => [list[0], list[1]],
    };
    let along = |what: fn(&Axis) -> usize, least: usize| {
        let list: Shape = window.0.iter().map(what).collect();
        two(&list, least)
    };
    let flat = Flat {
        kernel: along(|axis| axis.kernel, 1),
        strides: along(|axis| axis.stride, 1),
        dilations: along(|axis| axis.dilation, 1),
        pads: along(|axis| axis.before, 0),
    };
    let [height, width] = two(spatial, 1);
    let mut target = Shape::from_slice(&[batch, channels]);
    target.extend(window.output());
    let (taps, scratch) = (window.taps(), window.scratch(x)?);
    let work = Work::new([0], target, move |[x]| run(shaped::<B>(x, &[batch, channels, height, width]), flat, options));
    Some(work.each(taps).scratch(scratch))
}

impl Window {
    /// What a backend may hold for it: the input, padded.
    fn scratch(&self, x: &[usize]) -> Option<usize> {
        let mut padded = Shape::from(x);
        for (size, axis) in padded[2..].iter_mut().zip(&self.0) {
            *size = size.checked_add(axis.before)?.checked_add(axis.after)?;
        }
        shape::checked(&padded).ok()
    }

    fn options<const N: usize>(&self, groups: usize) -> ConvOptions<N> {
        let along = |what: fn(&Axis) -> usize| std::array::from_fn(|index| what(&self.0[index]));
        let pads = std::array::from_fn(|index| (self.0[index].before, self.0[index].after));
        ConvOptions::new_with_padding(along(|axis| axis.stride), pads, along(|axis| axis.dilation), groups)
    }
}
