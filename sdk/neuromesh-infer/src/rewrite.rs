//! Graph rewrites: several of ONNX's operators become one of ours.
//!
//! A pattern is recognized from its last node backwards. Only that node changes: what came before it loses its users and is
//! dropped as dead code when the plan is made. A value that somebody else uses too ends a pattern, so nothing is computed
//! twice.

pub(crate) mod activation;
mod attention;
mod batch_norm;
mod gate;
mod gelu;
mod layer_norm;
mod linear;
mod quantized;
pub(crate) mod residual;
mod softmax;

use std::collections::BTreeSet;

use crate::{
    DataType,
    attribute::{Attribute, Attributes},
    graph::{Graph, Node, ValueId},
    ops::{self, OpId},
    value::Value,
};

/// What a pattern makes of its last node.
struct Replacement {
    op: &'static str,
    inputs: Vec<ValueId>,
    attributes: Vec<(&'static str, Attribute)>,
}

/// The same, ready to be put in its place.
struct Found {
    op: OpId,
    inputs: Vec<Option<ValueId>>,
    attributes: Attributes,
}

/// Applies every pattern wherever it fits: what exporters spelled out first, then what joins operators. `joins_most`: also into
/// operators that only the CPU has.
pub(crate) fn rewrite(graph: &mut Graph, joins_most: bool) {
    batch_norm::fold(graph);
    let spelled_out: [fn(&View<'_>, &Node) -> Option<Replacement>; 5] =
        [gelu::find, gate::find, layer_norm::find, linear::find, softmax::find];
    apply(graph, |view, node| spelled_out.iter().find_map(|pattern| pattern(view, node)).map(Found::from));
    if joins_most {
        apply(graph, quantized::find);
        apply(graph, quantized::find_bias);
        apply(graph, attention::find);
        apply(graph, attention::find_result);
    }
    apply(graph, residual::find);
    apply(graph, activation::find);
    batch_norm::sweep(graph);
}

fn apply(graph: &mut Graph, find: impl Fn(&View<'_>, &Node) -> Option<Found>) {
    let mut view = View::new(graph);
    let mut changed = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        if let Some(found) = find(&view, node) {
            changed.push((index, found));
            // Later patterns must not look into what has just been replaced.
            view.replaced.insert(index);
        }
    }
    for (index, Found { op, inputs, attributes }) in changed {
        let node = &mut graph.nodes[index];
        (node.op, node.inputs, node.attributes) = (op, inputs, attributes);
    }
}

impl From<Replacement> for Found {
    fn from(found: Replacement) -> Self {
        let attributes = found.attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let inputs = found.inputs.into_iter().map(Some).collect();
        Found { op: ops::own(found.op), inputs, attributes: Attributes(attributes) }
    }
}

/// The graph as patterns look at it.
struct View<'a> {
    graph: &'a Graph,
    /// The position of the node that makes each value.
    producers: Vec<Option<usize>>,
    /// How often each value is used, by nodes that are not dead or as an output.
    uses: Vec<usize>,
    /// Constants that a caller may replace, which are not constant then.
    inputs: BTreeSet<ValueId>,
    replaced: BTreeSet<usize>,
}

impl<'a> View<'a> {
    fn new(graph: &'a Graph) -> Self {
        let (mut producers, mut uses) = (vec![None; graph.values.len()], vec![0; graph.values.len()]);
        graph.outputs.iter().for_each(|(id, _)| uses[id.0] += 1);
        // From the end, so that what an earlier pattern has left without users does not count as one.
        for (index, node) in graph.nodes.iter().enumerate().rev() {
            node.outputs.iter().flatten().for_each(|id| producers[id.0] = Some(index));
            if node.outputs.iter().flatten().any(|id| uses[id.0] > 0) {
                node.inputs.iter().flatten().for_each(|id| uses[id.0] += 1);
            }
        }
        let inputs = graph.inputs.iter().map(|(id, _)| *id).collect();
        Self { graph, producers, uses, inputs, replaced: BTreeSet::new() }
    }

    /// The node that makes a value, if it is this operator.
    fn made_by(&self, id: ValueId, op: &str) -> Option<&'a Node> {
        let index = self.producers[id.0].filter(|index| !self.replaced.contains(index))?;
        let node = &self.graph.nodes[index];
        (node.op.name() == op).then_some(node)
    }

    /// The same, if nobody else uses the value.
    fn only_by(&self, id: ValueId, op: &str) -> Option<&'a Node> {
        if self.uses[id.0] == 1 { self.made_by(id, op) } else { None }
    }

    fn constant(&self, id: ValueId) -> Option<&'a Value> {
        self.graph.constants.get(&id).filter(|_| !self.inputs.contains(&id))
    }

    fn constant_shape(&self, id: ValueId) -> Option<&'a [usize]> {
        self.constant(id).filter(|value| value.data_type() == DataType::F32).map(|value| &value.shape()[..])
    }

    /// A constant of one number, and how many dimensions it has.
    fn scalar(&self, id: ValueId) -> Option<(f32, usize)> {
        let value = self.constant(id)?;
        let is_float = value.data_type() == DataType::F32 && value.len() == 1;
        is_float.then(|| (value.raw::<f32>()[0], value.rank()))
    }

    /// A short constant list of integers.
    fn list(&self, id: ValueId) -> Option<Vec<i64>> {
        let value = self.constant(id)?;
        if value.data_type().is_integer() && value.len() <= 16 { value.to_integers().ok() } else { None }
    }
}

/// Both operands of a node that has exactly two.
fn pair(node: &Node) -> Option<[ValueId; 2]> {
    match node.inputs[..] {
        [Some(a), Some(b)] => Some([a, b]),
        _ => None,
    }
}

/// A node's two operands in both orders: most patterns commute.
fn orders(node: &Node) -> impl Iterator<Item = [ValueId; 2]> {
    pair(node).into_iter().flat_map(|[a, b]| [[a, b], [b, a]])
}

/// Whether a constant of the file is the one of a formula, as exporters round it.
fn is_close(value: f32, formula: f32) -> bool {
    (value - formula).abs() <= formula.abs() * 1e-4
}
