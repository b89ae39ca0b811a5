//! Attention: scores, their softmax and the weighted values, with the transpositions of the operands.

use super::{Found, View, pair};
use crate::{
    attribute::Attribute,
    graph::{Node, ValueId},
    ops::{
        self,
        attention::{HEADS_FIRST, KEY, LENGTH_FIRST, PLAIN, QUERY, RESULT, VALUE},
    },
};

const ATTENTION: &str = "*Attention";

/// `ScaledSoftmax(Q · K) · V`; operands that are only transposed for it are read where they lie.
pub(super) fn find(view: &View<'_>, node: &Node) -> Option<Found> {
    if node.op.name() != "MatMul" {
        return None;
    }
    let [weights, value] = pair(node)?;
    let softmax = view.only_by(weights, "*ScaledSoftmax")?;
    let [query, key] = pair(view.only_by(softmax.inputs[0]?, "MatMul")?)?;
    // Constants are packed at load.
    if [key, value].iter().any(|id| view.constant(*id).is_some()) {
        return None;
    }
    let length_first = |id: ValueId| match turned(view, id, &[0, 2, 1, 3]) {
        Some(id) => (id, LENGTH_FIRST),
        None => (id, PLAIN),
    };
    let (query, value) = (length_first(query), length_first(value));
    let key = match (turned(view, key, &[0, 2, 3, 1]), turned(view, key, &[0, 1, 3, 2])) {
        (Some(id), _) => (id, LENGTH_FIRST),
        (_, Some(id)) => (id, HEADS_FIRST),
        _ => (key, PLAIN),
    };
    let mut inputs = vec![Some(query.0), Some(key.0), Some(value.0)];
    inputs.extend(softmax.inputs.get(1).copied());
    let mut attributes = softmax.attributes.clone();
    let layouts = [(QUERY, query.1), (KEY, key.1), (VALUE, value.1)];
    attributes.0.extend(layouts.map(|(name, layout)| (name.to_owned(), Attribute::Int(layout))));
    Some(Found { op: ops::own(ATTENTION), inputs, attributes })
}

/// The same, whose result is transposed.
pub(super) fn find_result(view: &View<'_>, node: &Node) -> Option<Found> {
    if node.op.name() != "Transpose" || node.attributes.ints("perm").ok()?? != [0, 2, 1, 3] {
        return None;
    }
    let attention = view.only_by(node.inputs[0]?, ATTENTION).filter(|node| node.attributes.get(RESULT).is_none())?;
    let mut attributes = attention.attributes.clone();
    attributes.0.push((RESULT.to_owned(), Attribute::Int(LENGTH_FIRST)));
    Some(Found { op: attention.op, inputs: attention.inputs.clone(), attributes })
}

/// What a value is the transpose of.
fn turned(view: &View<'_>, id: ValueId, order: &[i64]) -> Option<ValueId> {
    let node = view.made_by(id, "Transpose")?;
    if node.attributes.ints("perm").ok()?? == order { *node.inputs.first()? } else { None }
}
