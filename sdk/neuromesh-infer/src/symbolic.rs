//! What is known of a graph's values before anything runs: types, shapes with sizes that have a number, a name or neither, and
//! the elements of the small lists that shapes are made of.
//!
//! What cannot be known stays unknown, and an operator without a rule makes everything unknown. What is known and contradicts
//! itself is an error, in nodes that every run executes; the body of an `If` that is never taken may hold anything.

mod cost;
mod integers;
mod movement;
mod products;
mod rules;
mod size;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use cost::multiply_adds;
pub(crate) use size::Number;

use crate::{
    DataType, Dim, Fault, IoSpec, LoadError,
    graph::{Graph, Node, ValueId},
    value::Value,
};

/// Elements of a list that are followed one by one.
const MAX_ELEMENTS: usize = 64;

/// How deep bodies of bodies are looked into.
const MAX_DEPTH: usize = 8;

/// What is known of a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sketch {
    pub data_type: Option<DataType>,
    pub shape: Option<Vec<Dim>>,
    /// The elements of a list or a single number, if it holds integers.
    pub elements: Option<Vec<Number>>,
}

impl Sketch {
    fn new(data_type: Option<DataType>, shape: Option<Vec<Dim>>) -> Self {
        Self { data_type, shape, elements: None }
    }

    /// Integers of this type, as a list or a single number.
    fn list(data_type: DataType, elements: Vec<Number>, is_single: bool) -> Self {
        let shape = if is_single { Vec::new() } else { vec![Dim::Fixed(elements.len())] };
        let elements = (elements.len() <= MAX_ELEMENTS).then_some(elements);
        Self { data_type: Some(data_type), shape: Some(shape), elements }
    }

    fn of(value: &Value) -> Self {
        let shape = value.shape().iter().map(|&size| Dim::Fixed(size)).collect();
        let is_list = value.rank() <= 1 && value.len() <= MAX_ELEMENTS && value.data_type().is_integer();
        let elements = is_list.then(|| value.to_integers().ok()).flatten();
        let elements = elements.map(|list| list.into_iter().map(Number::Known).collect());
        Self { data_type: Some(value.data_type()), shape: Some(shape), elements }
    }

    fn declared(spec: &IoSpec) -> Self {
        Self::new(Some(spec.data_type), spec.shape.clone())
    }

    /// All sizes, if they are numbers.
    pub fn sizes(&self) -> Option<Vec<usize>> {
        self.shape.as_ref()?.iter().map(size::known).collect()
    }

    /// Bytes of its elements, if type and sizes are known.
    pub fn bytes(&self) -> Option<u64> {
        let size = self.data_type?.size() as u64;
        // Also of what a machine of 32 bits could not address.
        Some(self.sizes()?.into_iter().fold(size, |bytes, size| bytes.saturating_mul(size as u64)))
    }

    /// What holds for both.
    fn merge(&self, other: &Self) -> Self {
        let shape = match (&self.shape, &other.shape) {
            (Some(a), Some(b)) if a.len() == b.len() => {
                Some(a.iter().zip(b).map(|(a, b)| if a == b { a.clone() } else { Dim::Unknown }).collect())
            }
            _ => None,
        };
        let elements = self.elements.clone().filter(|_| self.elements == other.elements);
        Self { data_type: self.data_type.filter(|own| Some(*own) == other.data_type), shape, elements }
    }
}

/// What is known of the values of a graph, by their number.
#[derive(Debug, Default)]
pub(crate) struct Sketches(pub Vec<Sketch>);

impl Sketches {
    pub fn get(&self, id: ValueId) -> &Sketch {
        static NOTHING: Sketch = Sketch { data_type: None, shape: None, elements: None };
        self.0.get(id.0).unwrap_or(&NOTHING)
    }
}

/// Infers a model's graph from what it declares of its inputs, where `sizes` may say more, by name.
///
/// # Errors
/// [`LoadError::Node`] for a node whose operands can never fit, [`LoadError::Graph`] for an output that is not what is declared.
pub(crate) fn infer(graph: &Graph, sizes: &BTreeMap<String, Vec<usize>>) -> Result<Sketches, LoadError> {
    let mut known = Sketches(vec![Sketch::default(); graph.values.len()]);
    let overridable: BTreeSet<ValueId> = graph.inputs.iter().map(|(id, _)| *id).collect();
    for (id, value) in &graph.constants {
        if !overridable.contains(id) {
            known.0[id.0] = Sketch::of(value);
        }
    }
    for (id, spec) in &graph.inputs {
        known.0[id.0] = Sketch::declared(spec);
        if let Some(sizes) = sizes.get(&spec.name) {
            known.0[id.0].shape = Some(sizes.iter().map(|&size| Dim::Fixed(size)).collect());
        }
    }
    let live = live(graph);
    for (node, live) in graph.nodes.iter().zip(live) {
        step(graph, node, &mut known, 0).or_else(|fault| match live {
            true => {
                Err(LoadError::Node { node: node.name.clone(), op: node.op.name().into(), reason: fault.to_string() })
            }
            // Nobody will execute it.
            false => Ok(()),
        })?;
    }
    for (id, spec) in &graph.outputs {
        check(spec, known.get(*id), graph, *id)?;
    }
    Ok(known)
}

/// Bytes of the largest result of a node whose operands are all known.
pub(crate) fn result_bytes(node: &Node, values: &[Option<&Value>]) -> Option<u64> {
    let sketches: Vec<Option<Sketch>> = values.iter().map(|value| value.map(Sketch::of)).collect();
    let inputs = sketches.iter().map(Option::as_ref).collect();
    let results = rules::apply(&rules::Use { node, inputs, values: values.to_vec() }).ok()?;
    results.iter().filter_map(Sketch::bytes).max()
}

/// Beside each node, whether a run executes it.
fn live(graph: &Graph) -> Vec<bool> {
    let mut wanted = vec![false; graph.values.len()];
    graph.outputs.iter().for_each(|(id, _)| wanted[id.0] = true);
    let mut live: Vec<bool> = Vec::with_capacity(graph.nodes.len());
    for node in graph.nodes.iter().rev() {
        let is_live = node.outputs.iter().flatten().any(|id| wanted[id.0]);
        if is_live {
            node.inputs.iter().flatten().for_each(|id| wanted[id.0] = true);
        }
        live.push(is_live);
    }
    live.reverse();
    live
}

fn step(graph: &Graph, node: &Node, known: &mut Sketches, depth: usize) -> Result<(), Fault> {
    let results = {
        let inputs: Vec<Option<&Sketch>> = node.inputs.iter().map(|id| id.map(|id| known.get(id))).collect();
        match node.op.name() {
            "If" => branches(node, &inputs, depth),
            _ => {
                let values = node.inputs.iter().map(|id| id.and_then(|id| graph.constants.get(&id))).collect();
                rules::apply(&rules::Use { node, inputs, values })?
            }
        }
    };
    for (id, sketch) in node.outputs.iter().zip(results) {
        if let Some(id) = id {
            known.0[id.0] = sketch;
        }
    }
    Ok(())
}

/// What both branches of an `If` agree on.
fn branches(node: &Node, inputs: &[Option<&Sketch>], depth: usize) -> Vec<Sketch> {
    if depth == MAX_DEPTH {
        return Vec::new();
    }
    let mut at = node.operands();
    let mut results: Option<Vec<Sketch>> = None;
    for body in &node.bodies {
        let captured = inputs.get(at..at + body.captured).unwrap_or_default();
        at += body.captured;
        let inside = inside(&body.graph, captured, depth + 1);
        let outputs: Vec<Sketch> = body.graph.outputs.iter().map(|(id, _)| inside.get(*id).clone()).collect();
        results = Some(match results {
            None => outputs,
            Some(others) => others.iter().zip(&outputs).map(|(a, b)| a.merge(b)).collect(),
        });
    }
    results.unwrap_or_default()
}

/// A body, from what is known of its captured values; contradictions make what follows from them unknown.
fn inside(graph: &Graph, captured: &[Option<&Sketch>], depth: usize) -> Sketches {
    let mut known = Sketches(vec![Sketch::default(); graph.values.len()]);
    for (id, value) in &graph.constants {
        known.0[id.0] = Sketch::of(value);
    }
    let first = graph.inputs.len().saturating_sub(captured.len());
    for ((id, _), sketch) in graph.inputs[first..].iter().zip(captured) {
        known.0[id.0] = sketch.cloned().unwrap_or_default();
    }
    for node in &graph.nodes {
        let _ = step(graph, node, &mut known, depth);
    }
    known
}

/// An output against what the file declares of it.
fn check(spec: &IoSpec, found: &Sketch, graph: &Graph, id: ValueId) -> Result<(), LoadError> {
    let maker = graph.nodes.iter().find(|node| node.outputs.contains(&Some(id)));
    let refuse = |reason: String| match maker {
        Some(node) => LoadError::Node { node: node.name.clone(), op: node.op.name().into(), reason },
        None => LoadError::Graph { reason },
    };
    if let Some(data_type) = found.data_type
        && data_type != spec.data_type
    {
        let reason = format!("the output {:?} is declared as {}; it is {data_type}", spec.name, spec.data_type);
        return Err(refuse(reason));
    }
    if let (Some(declared), Some(found)) = (&spec.shape, &found.shape) {
        let fits = |(a, b): (&Dim, &Dim)| size::known(a).zip(size::known(b)).is_none_or(|(a, b)| a == b);
        if declared.len() != found.len() || !declared.iter().zip(found).all(fits) {
            let (declared, found) = (size::display(declared), size::display(found));
            return Err(refuse(format!("the output {:?} is declared as {declared}; it is {found}", spec.name)));
        }
    }
    Ok(())
}
