//! Operators that move elements or change the shape alone.

use super::{
    Number, Sketch, integers,
    rules::{Known, Use, broadcast_shapes, dims, one},
    size::{self, Term},
};
use crate::{
    Dim, Fault,
    ops::index::{Ranges, parts},
    shape,
};

/// The elements stay; the shape is another one.
fn as_shape(at: &Use<'_>, shape: Option<Vec<Dim>>) -> Known {
    let mut result = Sketch::new(at.data_type(0), shape);
    if result.shape.as_ref().is_some_and(|shape| shape.len() <= 1) {
        result.elements = at.elements(0).map(<[Number]>::to_vec);
    }
    Ok(vec![result])
}

pub(super) fn reshape(at: &Use<'_>) -> Known {
    let Some(mut target) = dims(at, 1) else {
        return one(at.data_type(0), None);
    };
    let old = at.shape(0);
    let zero_is_zero = at.int("allowzero", 0)? != 0;
    let wanted = at.elements(1).unwrap_or_default();
    if let (Some(sizes), Some(numbers)) = (at.input(0).and_then(Sketch::sizes), at.numbers(1)) {
        let sizes = crate::ops::shape::resolve(&sizes, &numbers, zero_is_zero)?;
        return as_shape(at, Some(sizes.into_iter().map(Dim::Fixed).collect()));
    }
    let mut free = None;
    for (index, number) in wanted.iter().enumerate() {
        match number {
            Number::Known(0) if !zero_is_zero => {
                target[index] = old.and_then(|old| old.get(index)).cloned().unwrap_or(Dim::Unknown);
            }
            Number::Known(-1) => free = Some(index),
            _ => {}
        }
    }
    if let (Some(free), Some(old)) = (free, old) {
        let rest: Vec<Dim> =
            target.iter().enumerate().filter(|(at, _)| *at != free).map(|(_, dim)| dim.clone()).collect();
        // What stands on both sides, unknown or not, cancels where it was copied.
        let quotient = Term::product(old).zip(Term::product(&rest)).and_then(|(all, rest)| all.divide(&rest));
        target[free] = quotient.map_or(Dim::Unknown, |term| term.dim());
    }
    as_shape(at, Some(target))
}

pub(super) fn flatten(at: &Use<'_>) -> Known {
    let Some(old) = at.shape(0) else {
        return one(at.data_type(0), Some(vec![Dim::Unknown; 2]));
    };
    let axis = match at.int("axis", 1)? {
        axis if axis == old.len() as i64 => old.len(),
        axis => shape::axis(axis, old.len())?,
    };
    one(at.data_type(0), Some(vec![size::product(&old[..axis]), size::product(&old[axis..])]))
}

pub(super) fn squeeze(at: &Use<'_>) -> Known {
    let list = at.list("axes", 1)?;
    let Some(old) = at.shape(0) else {
        return one(at.data_type(0), None);
    };
    let axes: Vec<usize> = match &list {
        Some(list) => shape::axes(list, old.len())?,
        None if at.has(1) || old.iter().any(|dim| size::known(dim).is_none()) => return one(at.data_type(0), None),
        None => (0..old.len()).filter(|&axis| old[axis] == Dim::Fixed(1)).collect(),
    };
    if let Some(axis) = axes.iter().find(|&&axis| size::known(&old[axis]).is_some_and(|size| size != 1)) {
        return Err(Fault::Shape(format!("dimension {axis} of {} is not 1", size::display(old))));
    }
    let kept = old.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, dim)| dim.clone());
    as_shape(at, Some(kept.collect()))
}

pub(super) fn unsqueeze(at: &Use<'_>) -> Known {
    let (Some(list), Some(old)) = (at.list("axes", 1)?, at.shape(0)) else {
        return one(at.data_type(0), None);
    };
    let rank = old.len() + list.len();
    let axes = shape::axes(&list, rank)?;
    let mut rest = old.iter().cloned();
    let sizes = (0..rank).map(|axis| match axes.contains(&axis) {
        true => Dim::Fixed(1),
        false => rest.next().unwrap_or(Dim::Unknown),
    });
    as_shape(at, Some(sizes.collect()))
}

pub(super) fn transpose(at: &Use<'_>) -> Known {
    let Some(old) = at.shape(0) else {
        return one(at.data_type(0), None);
    };
    let order = crate::ops::shape::permutation(&at.node.attributes, old.len())?;
    one(at.data_type(0), Some(order.into_iter().map(|axis| old[axis].clone()).collect()))
}

pub(super) fn concat(at: &Use<'_>) -> Known {
    let count = at.node.inputs.len();
    let known: Option<Vec<&[Dim]>> = (0..count).map(|operand| at.shape(operand)).collect();
    let Some(shapes) = known.filter(|shapes| !shapes.is_empty()) else {
        return one(at.data_type(0), None);
    };
    let mut result = shapes[0].to_vec();
    let axis = shape::axis(at.int("axis", 0)?, result.len())?;
    for shape in &shapes[1..] {
        let misfit = || Fault::Shape(format!("{} and {} do not join", size::display(shapes[0]), size::display(shape)));
        if shape.len() != result.len() {
            return Err(misfit());
        }
        for (index, (own, dim)) in result.iter_mut().zip(*shape).enumerate() {
            match (&*own, dim) {
                _ if index == axis => *own = size::sum(own, dim),
                (Dim::Fixed(a), Dim::Fixed(b)) if a != b => return Err(misfit()),
                (Dim::Fixed(_), _) => {}
                _ => *own = dim.clone(),
            }
        }
    }
    let mut sketch = Sketch::new(at.data_type(0), Some(result));
    let lists: Option<Vec<&[Number]>> = (0..count).map(|operand| at.elements(operand)).collect();
    sketch.elements = lists.map(|lists| lists.concat()).filter(|list| list.len() <= super::MAX_ELEMENTS);
    Ok(vec![sketch])
}

pub(super) fn split(at: &Use<'_>) -> Known {
    let outputs = at.node.outputs.len();
    let Some(old) = at.shape(0) else {
        return Ok(vec![Sketch::new(at.data_type(0), None); outputs]);
    };
    let axis = shape::axis(at.int("axis", 0)?, old.len())?;
    let list = at.list("split", 1)?;
    let lengths: Vec<Dim> = match (size::known(&old[axis]), &list) {
        (Some(_), None) if at.has(1) => vec![Dim::Unknown; outputs],
        (Some(size), _) => {
            let mut sizes = vec![1; old.len()];
            sizes[axis] = size;
            parts(at.node, &sizes, list.as_deref())?.1.into_iter().map(Dim::Fixed).collect()
        }
        (None, Some(list)) if list.len() == outputs => list.iter().map(|&length| Number::Known(length).dim()).collect(),
        (None, _) => vec![Dim::Unknown; outputs],
    };
    let sketch = |length: Dim| {
        let mut shape = old.to_vec();
        shape[axis] = length;
        Sketch::new(at.data_type(0), Some(shape))
    };
    Ok(lengths.into_iter().map(sketch).collect())
}

pub(super) fn slice(at: &Use<'_>) -> Known {
    let Some(old) = at.shape(0) else {
        return one(at.data_type(0), None);
    };
    let starts = at.list("starts", 1)?;
    let ends = at.list("ends", 2)?;
    let axes = at.list("axes", 3)?;
    let is_guess = (axes.is_none() && at.has(3)) || (at.has(4) && at.numbers(4).is_none());
    let (Some(starts), Some(ends), false) = (starts, ends, is_guess) else {
        return one(at.data_type(0), Some(vec![Dim::Unknown; old.len()]));
    };
    let touched: Vec<usize> = match &axes {
        Some(axes) => shape::axes(axes, old.len())?,
        None => (0..starts.len().min(old.len())).collect(),
    };
    // Sizes without a number stand in for themselves; what is cut of them is unknown, unless nothing is.
    let sizes: Vec<usize> = old.iter().map(|dim| size::known(dim).unwrap_or(1 << 20)).collect();
    let cuts = Ranges { starts: starts.clone(), ends: ends.clone(), axes, steps: at.numbers(4) }.cuts(&sizes)?;
    let mut shape = old.to_vec();
    for (axis, cut) in cuts.iter().enumerate() {
        let is_known = size::known(&old[axis]).is_some();
        let is_whole = starts == [0] && ends.first().is_some_and(|end| *end >= i64::from(i32::MAX)) && cut.step == 1;
        if is_known {
            shape[axis] = Dim::Fixed(cut.count);
        } else if touched.contains(&axis) && !is_whole {
            shape[axis] = Dim::Unknown;
        }
    }
    let mut result = Sketch::new(at.data_type(0), Some(shape));
    if let (Some(list), [cut]) = (at.elements(0), &cuts[..])
        && let [Dim::Fixed(_)] = old
    {
        result.elements = Some(integers::strided(list, cut.start as i64, cut.step as i64, cut.count)?);
    }
    Ok(vec![result])
}

pub(super) fn gather(at: &Use<'_>) -> Known {
    let (Some(old), Some(positions)) = (at.shape(0), at.shape(1)) else {
        return one(at.data_type(0), None);
    };
    let axis = shape::axis(at.int("axis", 0)?, old.len())?;
    let shape = [&old[..axis], positions, &old[axis + 1..]].concat();
    let mut result = Sketch::new(at.data_type(0), Some(shape));
    if let (Some(list), Some(indices), [_]) = (at.elements(0), at.numbers(1), old) {
        let pick = |index: &i64| shape::position(*index, list.len()).map(|at| list[at].clone());
        result.elements = Some(indices.iter().map(pick).collect::<Result<_, _>>()?);
    }
    Ok(vec![result])
}

pub(super) fn expand(at: &Use<'_>) -> Known {
    match (at.shape(0), dims(at, 1)) {
        (Some(old), Some(target)) => one(at.data_type(0), Some(broadcast_shapes(old, &target)?)),
        _ => one(at.data_type(0), None),
    }
}

pub(super) fn tile(at: &Use<'_>) -> Known {
    let Some(old) = at.shape(0) else {
        return one(at.data_type(0), None);
    };
    let times = at.elements(1).filter(|times| times.len() == old.len());
    let sizes = match times {
        Some(times) => old.iter().zip(times).map(|(dim, times)| size::product(&[dim.clone(), times.dim()])).collect(),
        None => vec![Dim::Unknown; old.len()],
    };
    one(at.data_type(0), Some(sizes))
}

pub(super) fn pad(at: &Use<'_>) -> Known {
    let Some(old) = at.shape(0) else {
        return one(at.data_type(0), None);
    };
    let pads = at.list("pads", 1)?;
    let sizes = match pads.filter(|pads| !at.has(3) && pads.len() == 2 * old.len()) {
        Some(pads) => (0..old.len())
            .map(|axis| match (&old[axis], pads[axis].checked_add(pads[old.len() + axis])) {
                (dim, Some(0)) => dim.clone(),
                (Dim::Fixed(size), Some(more)) => Number::Known((*size as i64).saturating_add(more)).dim(),
                _ => Dim::Unknown,
            })
            .collect(),
        None => vec![Dim::Unknown; old.len()],
    };
    one(at.data_type(0), Some(sizes))
}

pub(super) fn resize(at: &Use<'_>) -> Known {
    let Some(old) = at.shape(0) else {
        return one(at.data_type(0), None);
    };
    let unknown = vec![Dim::Unknown; old.len()];
    if at.node.attributes.get("axes").is_some()
        || at.node.attributes.text("keep_aspect_ratio_policy")?.is_some_and(|policy| policy != "stretch")
    {
        return one(at.data_type(0), Some(unknown));
    }
    if let Some(sizes) = at.elements(3).filter(|sizes| sizes.len() == old.len()) {
        return one(at.data_type(0), Some(sizes.iter().map(Number::dim).collect()));
    }
    let operand = if at.op() == "Upsample" || at.node.opset < 11 { 1 } else { 2 };
    let scales = match at.node.attributes.floats("scales")? {
        Some(scales) => Some(scales.to_vec()),
        None => at
            .values
            .get(operand)
            .copied()
            .flatten()
            .and_then(|value| (value.data_type() == crate::DataType::F32).then(|| value.raw::<f32>().to_vec())),
    };
    let crops = at.node.attributes.text("coordinate_transformation_mode")? == Some("tf_crop_and_resize");
    let sizes = match scales.filter(|scales| scales.len() == old.len() && !crops) {
        Some(scales) => old
            .iter()
            .zip(scales)
            .map(|(dim, scale)| match dim {
                dim if scale == 1.0 => dim.clone(),
                // As the engine computes it.
                Dim::Fixed(size) if scale.is_finite() && scale > 0.0 => {
                    Dim::Fixed((*size as f32 * scale).floor() as usize)
                }
                _ => Dim::Unknown,
            })
            .collect(),
        None => unknown,
    };
    one(at.data_type(0), Some(sizes))
}

/// `DepthToSpace`, or the way back.
pub(super) fn depth(at: &Use<'_>, back: bool) -> Known {
    let (Some([batch, channels, height, width]), Some(block)) = (at.shape(0), at.node.attributes.int("blocksize")?)
    else {
        return one(at.data_type(0), at.shape(0).map(|shape| vec![Dim::Unknown; shape.len()]));
    };
    let Some(block) = usize::try_from(block).ok().filter(|block| (1..1 << 16).contains(block)) else {
        return one(at.data_type(0), None);
    };
    let grown = |dim: &Dim, by: usize| size::product(&[dim.clone(), Dim::Fixed(by)]);
    let shrunk = |dim: &Dim, by: usize| match dim {
        Dim::Fixed(size) => Dim::Fixed(size / by),
        _ => Dim::Unknown,
    };
    let shape = match back {
        true => vec![batch.clone(), grown(channels, block * block), shrunk(height, block), shrunk(width, block)],
        false => vec![batch.clone(), shrunk(channels, block * block), grown(height, block), grown(width, block)],
    };
    one(at.data_type(0), Some(shape))
}

pub(super) fn top(at: &Use<'_>) -> Known {
    let shape = match at.shape(0) {
        None => None,
        Some(old) => {
            let axis = shape::axis(at.int("axis", -1)?, old.len())?;
            let count = match at.node.attributes.int("k")? {
                Some(count) => Number::Known(count).dim(),
                None => at.elements(1).and_then(|list| list.first()).map_or(Dim::Unknown, Number::dim),
            };
            let mut shape = old.to_vec();
            shape[axis] = count;
            Some(shape)
        }
    };
    Ok(vec![Sketch::new(at.data_type(0), shape.clone()), Sketch::new(Some(crate::DataType::I64), shape)])
}
