//! Batch normalization, and factors and summands of the channels, folded into the weights of the convolution before them; or into
//! those of the normalization before them.

use std::collections::BTreeSet;

use super::{View, orders};
use crate::{
    DataType,
    attribute::Attributes,
    buffer::Buffer,
    graph::{Graph, Node, ValueId},
    kernels::norm,
    ops::OpId,
    shape::Shape,
    value::Value,
};

/// Rounds of folding: each takes in one more operator behind a convolution.
const ROUNDS: usize = 4;

/// Nodes to look back over for the number of dimensions.
const LOOK_BACK: usize = 1000;

/// An operator that takes the one after it over.
struct Fold {
    /// The position of the latter, which becomes the former.
    at: usize,
    op: OpId,
    attributes: Attributes,
    /// The operands: what was there, or a new constant.
    inputs: Vec<Result<Option<ValueId>, Value>>,
}

/// Folds wherever all is constant and nobody else sees what is between the two.
pub(super) fn fold(graph: &mut Graph) {
    for _ in 0..ROUNDS {
        let view = View::new(graph);
        let mut found: Vec<Fold> = Vec::new();
        let mut taken = BTreeSet::new();
        for (at, node) in graph.nodes.iter().enumerate() {
            let Some((fold, before)) = find(&view, at, node) else { continue };
            // What has just become something else is looked at in the next round.
            if !taken.contains(&before) {
                taken.insert(at);
                found.push(fold);
            }
        }
        if found.is_empty() {
            return;
        }
        for Fold { at, op, attributes, inputs } in found {
            let inputs = inputs.into_iter().enumerate().map(|(index, input)| match input {
                Ok(id) => id,
                Err(value) => {
                    let id = ValueId(graph.values.len());
                    graph.values.push(format!("{} folded {index}", graph.nodes[at].name));
                    graph.constants.insert(id, value);
                    Some(id)
                }
            });
            let inputs = inputs.collect();
            let node = &mut graph.nodes[at];
            (node.op, node.attributes, node.inputs) = (op, attributes, inputs);
            node.outputs.truncate(1);
        }
    }
}

/// `x * scale + shift` in each channel; no scale stands for 1.
struct Affine {
    scale: Option<Vec<f32>>,
    shift: Vec<f32>,
}

/// The fold at a node, and the position of what takes it over.
fn find(view: &View<'_>, at: usize, node: &Node) -> Option<(Fold, usize)> {
    match node.op.name() {
        "BatchNormalization" => {
            let unused = |id: &Option<ValueId>| id.is_none_or(|id| view.uses[id.0] == 0);
            if node.attributes.flag("training_mode", false).ok()? || !node.outputs.iter().skip(1).all(unused) {
                return None;
            }
            let convolution = Convolution::before(view, node.inputs[0]?)?;
            let vector = |input: usize| vector(view, node.inputs.get(input).copied().flatten(), convolution.channels);
            let [scale, shift, mean, variance] = [1, 2, 3, 4].map(vector);
            let (mut scale, mut shift) = (scale?.to_vec(), shift?.to_vec());
            let epsilon = node.attributes.float("epsilon").ok()?.unwrap_or(1e-5);
            norm::fold_batch_norm(&mut scale, &mut shift, mean?, variance?, epsilon);
            convolution.fold(at, Affine { scale: Some(scale), shift })
        }
        "Mul" | "Add" => orders(node).find_map(|[x, factor]| {
            let factor = view.constant(factor).filter(|value| value.data_type() == DataType::F32)?;
            let affine = |channels: usize, rank: usize| {
                let each = per_channel(factor, channels, rank)?;
                Some(match node.op.name() {
                    "Mul" => Affine { scale: Some(each), shift: vec![0.0; channels] },
                    _ => Affine { scale: None, shift: each },
                })
            };
            match Convolution::before(view, x) {
                Some(convolution) => convolution.fold(at, affine(convolution.channels, convolution.weight.rank())?),
                None => normalization(view, at, x, affine),
            }
        }),
        _ => None,
    }
}

/// A convolution with constant weights whose result only one node uses.
struct Convolution<'a> {
    view: &'a View<'a>,
    node: &'a Node,
    place: usize,
    weight: &'a Value,
    channels: usize,
}

impl<'a> Convolution<'a> {
    fn before(view: &'a View<'a>, x: ValueId) -> Option<Self> {
        let node = view.only_by(x, "Conv")?;
        let weight = view.constant(node.inputs[1]?).filter(|weight| weight.data_type() == DataType::F32)?;
        let channels = *weight.shape().first().filter(|channels| **channels > 0)?;
        Some(Self { view, node, place: view.producers[x.0]?, weight, channels })
    }

    fn fold(&self, at: usize, Affine { scale, mut shift }: Affine) -> Option<(Fold, usize)> {
        if let Some(bias) = self.node.inputs.get(2).copied().flatten() {
            let bias = vector(self.view, Some(bias), self.channels)?;
            match &scale {
                Some(scale) => {
                    let terms = shift.iter_mut().zip(bias).zip(scale);
                    terms.for_each(|((shift, bias), scale)| *shift += bias * scale);
                }
                None => shift.iter_mut().zip(bias).for_each(|(shift, bias)| *shift += bias),
            }
        }
        let weight = match scale {
            None => Ok(self.node.inputs[1]),
            Some(scale) => {
                let mut buffer = Buffer::from_slice(self.weight.raw::<f32>());
                let row = self.weight.len() / self.channels;
                if row > 0 {
                    let rows = buffer.slice_mut::<f32>().chunks_exact_mut(row).zip(&scale);
                    rows.for_each(|(row, scale)| row.iter_mut().for_each(|weight| *weight *= scale));
                }
                Err(Value::new(DataType::F32, self.weight.shape().clone(), buffer))
            }
        };
        let inputs = vec![Ok(self.node.inputs[0]), weight, Err(constant(&shift))];
        Some((Fold { at, op: self.node.op, attributes: self.node.attributes.clone(), inputs }, self.place))
    }
}

/// A normalization that stays one, with other numbers.
fn normalization(
    view: &View<'_>,
    at: usize,
    x: ValueId,
    affine: impl Fn(usize, usize) -> Option<Affine>,
) -> Option<(Fold, usize)> {
    let node = view.only_by(x, "BatchNormalization")?;
    if node.attributes.flag("training_mode", false).ok()? || node.outputs.len() > 1 {
        return None;
    }
    let channels = *view.constant_shape(node.inputs.get(1).copied().flatten()?)?.first()?;
    let Affine { scale, mut shift } = affine(channels, rank(view, node.inputs[0]?)?)?;
    let own = |input: usize| vector(view, node.inputs.get(input).copied().flatten(), channels);
    let (factors, bias) = (own(1)?, own(2)?);
    let mut inputs: Vec<_> = node.inputs.iter().copied().map(Ok).collect();
    match &scale {
        Some(scale) => {
            shift.iter_mut().zip(bias).zip(scale).for_each(|((shift, bias), scale)| *shift += bias * scale);
            let factors: Vec<f32> = factors.iter().zip(scale).map(|(factor, scale)| factor * scale).collect();
            inputs[1] = Err(constant(&factors));
        }
        None => shift.iter_mut().zip(bias).for_each(|(shift, bias)| *shift += bias),
    }
    inputs[2] = Err(constant(&shift));
    Some((Fold { at, op: node.op, attributes: node.attributes.clone(), inputs }, view.producers[x.0]?))
}

/// How many dimensions a value has, if it comes from a convolution by way of operators that keep them.
fn rank(view: &View<'_>, mut id: ValueId) -> Option<usize> {
    for _ in 0..LOOK_BACK {
        let node = &view.graph.nodes[view.producers[id.0]?];
        match node.op.name() {
            "Conv" => return Some(view.constant_shape(node.inputs[1]?)?.len()),
            "AveragePool" | "BatchNormalization" | "Concat" | "MaxPool" | "Relu" => id = node.inputs[0]?,
            _ => return None,
        }
    }
    None
}

/// The numbers of a constant that has one for each channel, or one for all, of a value of `rank` dimensions.
fn per_channel(value: &Value, channels: usize, rank: usize) -> Option<Vec<f32>> {
    let shape = value.shape();
    if shape.len() > rank {
        return None;
    }
    if value.len() == 1 {
        return Some(vec![value.raw::<f32>()[0]; channels]);
    }
    // The channels are the second dimension; all others must be 1.
    let at = shape.len().checked_sub(rank.checked_sub(1)?)?;
    (shape[at] == channels && value.len() == channels).then(|| value.raw::<f32>().to_vec())
}

/// A constant list of this length.
fn vector<'a>(view: &View<'a>, id: Option<ValueId>, length: usize) -> Option<&'a [f32]> {
    let value = view.constant(id?)?;
    (value.data_type() == DataType::F32 && value.shape()[..] == [length]).then(|| value.raw::<f32>())
}

fn constant(list: &[f32]) -> Value {
    Value::constant(DataType::F32, Shape::from_slice(&[list.len()]), list)
}

/// Constants that nothing uses any more.
pub(super) fn sweep(graph: &mut Graph) {
    let used: BTreeSet<ValueId> = (graph.nodes.iter().flat_map(|node| node.inputs.iter().copied().flatten()))
        .chain(graph.outputs.iter().chain(&graph.inputs).map(|(id, _)| *id))
        .collect();
    graph.constants.retain(|id, _| used.contains(id));
}
