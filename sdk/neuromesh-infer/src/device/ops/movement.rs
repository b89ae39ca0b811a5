//! Operators that move elements, and those that only tell a shape.

use burn_backend::{Backend, Slice, TensorData, get_or_init_device_settings};

use super::{Computation, View, Work, lifted, on_device, shaped};
use crate::{
    ops::{
        index::{self, Cut, Ranges},
        shape as moves,
    },
    shape::{self, Shape},
};

/// The shape is known without asking the device.
pub(super) fn shape_of<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let list = moves::shape_list(&view.node.attributes, view.operand(0)?.shape).ok()?;
    Some(Work::Known(vec![list]))
}

pub(super) fn size<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    Some(Work::Known(vec![moves::element_count(view.operand(0)?.shape).ok()?]))
}

pub(super) fn identity<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    to_shape(Shape::from(view.floats(0)?))
}

/// At inference nothing is dropped; training, and the mask of what was kept, are the host's.
pub(super) fn dropout<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    if view.has(2) || view.node.outputs.len() != 1 {
        return None;
    }
    identity(view)
}

pub(super) fn reshape<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let zero_is_zero = view.int("allowzero", 0)? != 0;
    to_shape(moves::resolve(view.floats(0)?, &view.list(1)?, zero_is_zero).ok()?)
}

pub(super) fn flatten<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    to_shape(moves::flattened(&view.node.attributes, view.floats(0)?).ok()?)
}

pub(super) fn squeeze<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let list = view.list_since(13, 1, "axes")?;
    to_shape(moves::squeezed(view.floats(0)?, list.as_deref()).ok()?)
}

pub(super) fn unsqueeze<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let list = view.list_since(13, 1, "axes")??;
    to_shape(moves::unsqueezed(view.floats(0)?, &list).ok()?)
}

/// The same elements in a shape of the same size, which whoever runs this gives them.
fn to_shape<B: Backend>(target: Shape) -> Option<Work<B>> {
    shape::checked(&target).ok()?;
    Some(Work::new([0], target, |[x]| x))
}

pub(super) fn transpose<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let sizes = view.tensor(0)?;
    let order = moves::permutation(&view.node.attributes, sizes.len()).ok()?;
    let target: Shape = order.iter().map(|&axis| sizes[axis]).collect();
    Some(Work::new([0], target, move |[x]| B::float_permute(x, &order)))
}

pub(super) fn expand<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let sizes = Shape::from(view.floats(0)?);
    let target = moves::expanded(&sizes, &view.list(1)?).ok()?;
    let result = target.clone();
    Some(Work::new([0], result, move |[x]| B::float_expand(lifted::<B>(x, &sizes, target.len()), on_device(&target))))
}

pub(super) fn concat<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let count = view.operands.len();
    let shapes = (0..count).map(|input| view.tensor(input).map(Shape::from)).collect::<Option<Vec<_>>>()?;
    let (axis, target) = index::joined(&view.node.attributes, &shapes).ok()?;
    Some(Work::of((0..count).collect(), target, move |mut tensors| match tensors.len() {
        1 => tensors.remove(0),
        _ => B::float_cat(tensors, axis),
    }))
}

pub(super) fn slice<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let sizes = view.tensor(0)?;
    let ranges = Ranges {
        starts: view.list_since(10, 1, "starts")??,
        ends: view.list_since(10, 2, "ends")??,
        axes: view.list_since(10, 3, "axes")?,
        steps: if view.has(4) { Some(view.list(4)?) } else { None },
    };
    let cuts = ranges.cuts(sizes).ok()?;
    let target: Shape = cuts.iter().map(|cut| cut.count).collect();
    if target.contains(&0) {
        return None;
    }
    // Backwards is: turn the dimension round, then cut forwards.
    let backwards: Vec<usize> = (0..cuts.len()).filter(|&axis| cuts[axis].step < 0).collect();
    let slices: Vec<Slice> = cuts.iter().zip(sizes).map(|(cut, &size)| forwards(*cut, size)).collect();
    let turned = if backwards.is_empty() { 0 } else { shape::elements(sizes)? };
    let work = Work::new([0], target, move |[x]| {
        let x = if backwards.is_empty() { x } else { B::float_flip(x, &backwards) };
        B::float_slice(x, &slices)
    });
    Some(work.scratch(turned))
}

/// A cut that takes something, of the dimension turned round if the step is negative.
fn forwards(cut: Cut, size: usize) -> Slice {
    let start = if cut.step < 0 { size - 1 - cut.start } else { cut.start };
    let step = cut.step.unsigned_abs();
    // The last element taken, and one: never beyond the dimension.
    let end = start + (cut.count - 1) * step + 1;
    Slice::with_step(start as isize, Some(end as isize), step as isize)
}

pub(super) fn split<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let sizes = view.tensor(0)?;
    let list = view.list_since(13, 1, "split")?;
    let (axis, lengths) = index::parts(view.node, sizes, list.as_deref()).ok()?;
    let (mut results, mut parts, mut start) = (Vec::new(), Vec::new(), 0);
    for length in lengths {
        if length == 0 {
            return None;
        }
        let mut target = Shape::from(sizes);
        target[axis] = length;
        let mut slices: Vec<Slice> = sizes.iter().map(|&size| Slice::new(0, Some(size as isize), 1)).collect();
        slices[axis] = Slice::new(start as isize, Some((start + length) as isize), 1);
        results.push(target);
        parts.push(slices);
        start += length;
    }
    let cost = shape::elements(sizes)?;
    Some(Work::Compute(Computation {
        operands: vec![0],
        results,
        scratch: 0,
        cost,
        run: Box::new(move |tensors, _| {
            let slice = |slices: &Vec<Slice>| B::float_slice(tensors[0].clone(), slices);
            parts.iter().map(slice).collect()
        }),
    }))
}

pub(super) fn gather<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let sizes = view.tensor(0)?;
    let axis = shape::axis(view.int("axis", 0)?, sizes.len()).ok()?;
    let indices = view.operand(1)?.host?;
    let positions = index::from_start(indices.to_integers().ok()?, sizes, axis).ok()?;
    let mut target = Shape::from_slice(&sizes[..axis]);
    target.extend_from_slice(indices.shape());
    target.extend_from_slice(&sizes[axis + 1..]);
    let cost = shape::checked(&target).ok().filter(|&elements| elements > 0)?;
    Some(Work::Compute(Computation {
        operands: vec![0],
        results: vec![target],
        scratch: positions.len().checked_mul(2)?,
        cost,
        run: Box::new(move |mut tensors, device| {
            let count = [positions.len()];
            let indices = TensorData::new(positions, count);
            let indices = indices.convert_dtype(get_or_init_device_settings::<B>(device).int_dtype.into());
            vec![B::float_select(tensors.remove(0), axis, B::int_from_data(indices, device))]
        }),
    }))
}

/// `Resize` and `Upsample` where every element is repeated a whole number of times in each dimension.
pub(super) fn enlarge<B: Backend>(view: &View<'_>) -> Option<Work<B>> {
    let sizes = view.tensor(0)?;
    let attributes = &view.node.attributes;
    let text = |name: &str, default: &'static str| Some(attributes.text(name).ok()?.unwrap_or(default).to_owned());
    let resizes = view.node.op.name() == "Resize";
    if text("mode", "nearest")? != "nearest" || attributes.ints("axes").ok()?.is_some() {
        return None;
    }
    if resizes && view.node.opset >= 11 {
        // Both agree with plain repetition when the factors are whole.
        let rule = (text("coordinate_transformation_mode", "half_pixel")?, text("nearest_mode", "round_prefer_floor")?);
        if !matches!(
            (&rule.0[..], &rule.1[..]),
            ("asymmetric", "floor") | ("half_pixel", "round_prefer_floor" | "round_prefer_ceil")
        ) {
            return None;
        }
        if text("keep_aspect_ratio_policy", "stretch")? != "stretch" {
            return None;
        }
    }
    let factors = match (resizes, view.node.opset) {
        (false, ..9) => {
            attributes.floats("scales").ok()??.iter().map(|&factor| whole(factor)).collect::<Option<_>>()?
        }
        (false, _) | (true, ..11) => scales(view, 1)?,
        _ if view.operand(2).is_some_and(|scales| !scales.shape.contains(&0)) => scales(view, 2)?,
        _ => {
            let list = shape::sizes(&view.list(3)?).ok()?;
            let factor = |(&target, &size): (&usize, &usize)| target.is_multiple_of(size).then(|| target / size);
            if list.len() != sizes.len() {
                return None;
            }
            list.iter().zip(sizes).map(factor).collect::<Option<Shape>>()?
        }
    };
    if factors.len() != sizes.len() || factors.contains(&0) {
        return None;
    }
    let mut target = Shape::new();
    for (&size, &factor) in sizes.iter().zip(&factors) {
        target.push(size.checked_mul(factor)?);
    }
    shape::checked(&target).ok()?;
    // Each dimension that grows gets one beside it, along which its elements are repeated.
    let (mut single, mut repeated) = (Shape::new(), Shape::new());
    for (&size, &factor) in sizes.iter().zip(&factors) {
        single.push(size);
        repeated.push(size);
        if factor > 1 {
            single.push(1);
            repeated.push(factor);
        }
    }
    Some(Work::new([0], target, move |[x]| B::float_expand(shaped::<B>(x, &single), on_device(&repeated))))
}

fn scales(view: &View<'_>, input: usize) -> Option<Shape> {
    let value = view.operand(input)?.host.filter(|value| value.data_type() == crate::DataType::F32)?;
    value.raw::<f32>().iter().map(|&factor| whole(factor)).collect()
}

fn whole(factor: f32) -> Option<usize> {
    (factor.fract() == 0.0 && (1.0..=65536.0).contains(&factor)).then_some(factor as usize)
}
