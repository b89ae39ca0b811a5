//! Batch normalization after a convolution, folded into the convolution's weights.

use std::collections::BTreeSet;

use super::View;
use crate::{
    DataType,
    buffer::Buffer,
    graph::{Graph, Node, ValueId},
    kernels::norm,
    shape::Shape,
    value::Value,
};

/// A convolution that takes the normalization over.
struct Fold {
    /// The position of the normalization, which becomes the convolution.
    at: usize,
    convolution: usize,
    weight: Value,
    bias: Value,
}

/// Folds wherever all is constant and nobody else sees what is between the two.
pub(super) fn fold(graph: &mut Graph) {
    let view = View::new(graph);
    let found: Vec<Fold> = (graph.nodes.iter().enumerate()).filter_map(|(at, node)| find(&view, at, node)).collect();
    for Fold { at, convolution, weight, bias } in found {
        let mut add = |what: &str, value: Value| {
            let id = ValueId(graph.values.len());
            graph.values.push(format!("{} folded {what}", graph.nodes[at].name));
            graph.constants.insert(id, value);
            id
        };
        let (weight, bias) = (add("weight", weight), add("bias", bias));
        let (x, op, attributes) = {
            let node = &graph.nodes[convolution];
            (node.inputs[0], node.op, node.attributes.clone())
        };
        let node = &mut graph.nodes[at];
        node.op = op;
        node.attributes = attributes;
        node.inputs = vec![x, Some(weight), Some(bias)];
        node.outputs.truncate(1);
    }
}

fn find(view: &View<'_>, at: usize, node: &Node) -> Option<Fold> {
    if node.op.name() != "BatchNormalization" || node.attributes.flag("training_mode", false).ok()? {
        return None;
    }
    let unused = |id: &Option<ValueId>| id.is_none_or(|id| view.uses[id.0] == 0);
    if !node.outputs.iter().skip(1).all(unused) {
        return None;
    }
    let x = node.inputs[0]?;
    let convolution = view.only_by(x, "Conv")?;
    let weight = view.constant(convolution.inputs[1]?)?;
    let channels = *weight.shape().first()?;
    let vector = |id: Option<ValueId>| {
        let value = view.constant(id?)?;
        (value.data_type() == DataType::F32 && value.shape()[..] == [channels]).then(|| value.raw::<f32>())
    };
    let [scale, shift, mean, variance] = [1, 2, 3, 4].map(|input| vector(node.inputs.get(input).copied().flatten()));
    let (mut scale, mut shift) = (scale?.to_vec(), shift?.to_vec());
    let epsilon = node.attributes.float("epsilon").ok()?.unwrap_or(1e-5);
    norm::fold_batch_norm(&mut scale, &mut shift, mean?, variance?, epsilon);
    if let Some(bias) = convolution.inputs.get(2).copied().flatten() {
        shift.iter_mut().zip(vector(Some(bias))?).zip(&scale).for_each(|((shift, bias), scale)| *shift += bias * scale);
    }
    if weight.data_type() != DataType::F32 || channels == 0 {
        return None;
    }
    let mut buffer = Buffer::from_slice(weight.raw::<f32>());
    let row = weight.len() / channels;
    if row > 0 {
        let rows = buffer.slice_mut::<f32>().chunks_exact_mut(row).zip(&scale);
        rows.for_each(|(row, scale)| row.iter_mut().for_each(|weight| *weight *= scale));
    }
    Some(Fold {
        at,
        convolution: view.producers[x.0]?,
        weight: Value::new(DataType::F32, weight.shape().clone(), buffer),
        bias: Value::constant(DataType::F32, Shape::from_slice(&[channels]), &shift),
    })
}

/// Constants that nothing uses any more.
pub(super) fn sweep(graph: &mut Graph) {
    let used: BTreeSet<ValueId> = (graph.nodes.iter().flat_map(|node| node.inputs.iter().copied().flatten()))
        .chain(graph.outputs.iter().chain(&graph.inputs).map(|(id, _)| *id))
        .collect();
    graph.constants.retain(|id, _| used.contains(id));
}
