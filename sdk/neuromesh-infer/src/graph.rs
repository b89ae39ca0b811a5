//! The engine's own graph: values are numbers, nodes are in order, everything in it has been checked.

mod build;
mod function;
pub(crate) mod weights;

use std::{collections::BTreeMap, fmt};

use crate::{DataType, attribute::Attributes, ops::OpId, value::Value};

pub(crate) use build::{full_name, read, same_domain};

/// A model, or the body of a node, as read: nodes in executable order over numbered values.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// The name of each value, by its number.
    pub values: Vec<String>,
    /// What the caller gives; a body's captured values come last.
    pub inputs: Vec<(ValueId, IoSpec)>,
    pub outputs: Vec<(ValueId, IoSpec)>,
    /// Weights and other constants.
    pub constants: BTreeMap<ValueId, Value>,
    pub nodes: Vec<Node>,
}

/// A value's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ValueId(pub usize);

/// One operator with its operands.
#[derive(Debug)]
pub(crate) struct Node {
    /// The file's name for it, or `#` and its position.
    pub name: String,
    pub op: OpId,
    /// The version of the operator set whose rules apply.
    pub opset: i64,
    /// The operator's own operands, then what each body captures, body by body.
    pub inputs: Vec<Option<ValueId>>,
    pub outputs: Vec<Option<ValueId>>,
    pub attributes: Attributes,
    /// The subgraphs of `If`, `Loop` and `Scan`.
    pub bodies: Vec<Body>,
}

/// A subgraph of a node.
#[derive(Debug)]
pub(crate) struct Body {
    /// The attribute that holds it.
    pub name: String,
    pub graph: Graph,
    /// How many of the graph's last inputs are values of the graph outside.
    pub captured: usize,
}

impl Node {
    /// The operands that are the operator's own.
    pub fn operands(&self) -> usize {
        self.inputs.len() - self.bodies.iter().map(|body| body.captured).sum::<usize>()
    }
}

/// What a model takes or gives under one name.
#[derive(Debug, Clone, PartialEq)]
pub struct IoSpec {
    /// The name.
    pub name: String,
    /// The type of the elements.
    pub data_type: DataType,
    /// The dimensions, if the file tells how many there are.
    pub shape: Option<Vec<Dim>>,
    /// Whether the model has its own value for it (old files list weights among the inputs).
    pub optional: bool,
}

/// The size of one dimension of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Always this.
    Fixed(usize),
    /// Free, and named by the file, such as `batch`.
    Named(String),
    /// Free.
    Unknown,
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(size) => write!(f, "{size}"),
            Dim::Named(name) => f.write_str(name),
            Dim::Unknown => f.write_str("?"),
        }
    }
}
