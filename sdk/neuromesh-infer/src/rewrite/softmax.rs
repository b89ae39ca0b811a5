//! The middle of attention: scores scaled, a mask added, softmax over the last dimension.

use super::{Replacement, View, orders, pair};
use crate::{
    attribute::Attribute,
    graph::{Node, ValueId},
};

pub(super) fn find(view: &View<'_>, node: &Node) -> Option<Replacement> {
    // The older softmax flattens.
    if node.op.name() != "Softmax" || node.opset < 13 || node.attributes.int("axis").ok()?.unwrap_or(-1) != -1 {
        return None;
    }
    let &[Some(argument)] = &node.inputs[..] else {
        return None;
    };
    let masked = view.only_by(argument, "Add").and_then(|add| {
        orders(add).find_map(|[scores, mask]| scaled(view, scores).map(|(scores, scale)| (vec![scores, mask], scale)))
    });
    let (inputs, scale) = match masked {
        Some(found) => found,
        None => scaled(view, argument).map(|(scores, scale)| (vec![scores], scale))?,
    };
    let attributes = vec![("scale", Attribute::Float(scale))];
    Some(Replacement { op: "*ScaledSoftmax", inputs, attributes })
}

/// A value that is another one times a constant.
fn scaled(view: &View<'_>, value: ValueId) -> Option<(ValueId, f32)> {
    // One dimension at most, so that the constant cannot add any to the scores.
    let number = |id| view.scalar(id).filter(|(_, rank)| *rank <= 1).map(|(value, _)| value);
    if let Some(node) = view.only_by(value, "Div") {
        let [scores, divisor] = pair(node)?;
        return Some((scores, 1.0 / number(divisor)?));
    }
    orders(view.only_by(value, "Mul")?).find_map(|[scores, factor]| Some((scores, number(factor)?)))
}
