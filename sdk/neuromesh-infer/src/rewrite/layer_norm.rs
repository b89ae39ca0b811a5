//! Layer normalization as exporters wrote it before operator set 17 had it.

use super::{Replacement, View, orders, pair};
use crate::{
    attribute::Attribute,
    graph::{Node, ValueId},
};

/// `(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * gamma + beta`, over the last dimension.
pub(super) fn find(view: &View<'_>, node: &Node) -> Option<Replacement> {
    if node.op.name() != "Add" {
        return None;
    }
    orders(node).find_map(|[scaled, beta]| {
        orders(view.only_by(scaled, "Mul")?).find_map(|[normal, gamma]| {
            let (gamma_shape, beta_shape) = (view.constant_shape(gamma)?, view.constant_shape(beta)?);
            // A single number would be broadcast, which the fused operator does not do.
            if gamma_shape.len() != 1 || gamma_shape != beta_shape || gamma_shape[0] < 2 {
                return None;
            }
            let (x, epsilon) = normalized(view, normal)?;
            let attributes = vec![("epsilon", Attribute::Float(epsilon))];
            Some(Replacement { op: "*LayerNorm", inputs: vec![x, gamma, beta], attributes })
        })
    })
}

fn normalized(view: &View<'_>, normal: ValueId) -> Option<(ValueId, f32)> {
    let [centered, deviation] = pair(view.only_by(normal, "Div")?)?;
    let [shifted] = view.only_by(deviation, "Sqrt")?.inputs[..] else {
        return None;
    };
    let (variance, (epsilon, _)) = orders(view.only_by(shifted?, "Add")?)
        .find_map(|[variance, epsilon]| Some((variance, view.scalar(epsilon).filter(|(_, rank)| *rank <= 1)?)))?;
    let square = mean_of_last(view, variance)?;
    let squared = match view.only_by(square, "Pow") {
        Some(power) => {
            let [base, exponent] = pair(power)?;
            matches!(view.scalar(exponent)?, (2.0, 0 | 1)).then_some(base)?
        }
        None => {
            let [a, b] = pair(view.only_by(square, "Mul")?)?;
            (a == b).then_some(a)?
        }
    };
    let [x, mean] = pair(view.made_by(centered, "Sub")?)?;
    (squared == centered && mean_of_last(view, mean)? == x).then_some((x, epsilon))
}

/// What a mean over the last dimension, which is kept, is taken of.
fn mean_of_last(view: &View<'_>, mean: ValueId) -> Option<ValueId> {
    let node = view.only_by(mean, "ReduceMean")?;
    let axes = match node.inputs[..] {
        [_, Some(axes)] => view.list(axes)?,
        _ => node.attributes.ints("axes").ok()??.to_vec(),
    };
    let keeps = node.attributes.flag("keepdims", true).ok()?;
    (keeps && axes == [-1]).then_some(*node.inputs.first()?)?
}
