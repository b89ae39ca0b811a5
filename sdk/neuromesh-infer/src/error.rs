//! Why a model cannot be loaded, or a run cannot go on.

use crate::DataType;

/// Why [`Model::load`](crate::Model::load) refused a file. Nothing was kept.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are not an ONNX protobuf.
    #[error("this is not an ONNX model: {reason}")]
    Malformed {
        /// What the decoder stumbled over.
        reason: String,
    },
    /// The file uses a version of the operator set, or a set, that the engine does not have.
    #[error(
        "the model needs operator set {domain:?} version {version}; supported is the default set from {oldest} to {newest}"
    )]
    Opset {
        /// The set's domain; empty is ONNX's own.
        domain: String,
        /// The version that the file asks for.
        version: i64,
        /// Oldest version supported.
        oldest: i64,
        /// Newest version supported.
        newest: i64,
    },
    /// A graph with no outputs, an output that nothing makes, a value made twice …
    #[error("the graph is invalid: {reason}")]
    Graph {
        /// What is wrong, with the names concerned.
        reason: String,
    },
    /// A node that cannot be executed.
    #[error("node {node:?} ({op}): {reason}")]
    Node {
        /// The node's name, or its position in the graph.
        node: String,
        /// Its operator.
        op: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A weight or a constant that cannot be read.
    #[error("tensor {name:?}: {reason}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// More weights than [`Limits::memory`](crate::Limits::memory) allows.
    #[error("the model needs {needed} bytes for its weights; the limit is {limit}")]
    TooLarge {
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A result that every run makes does not fit beside the weights.
    #[error("node {node:?} ({op}): {needed} bytes are needed; the limit is {limit}")]
    ResultTooLarge {
        /// The node's name, or its position in the graph.
        node: String,
        /// Its operator.
        op: String,
        /// Bytes needed: weights and the result.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The machine or the tab has no memory left for a part of the model, within the limit.
    #[error("{needed} more bytes are needed for a part of the model; there is no memory for them")]
    NoMemory {
        /// Bytes needed beside what was held.
        needed: u64,
    },
    /// The device did not take the weights.
    #[error("the device did not take the model: {reason}")]
    Device {
        /// What it said.
        reason: String,
    },
    /// More nodes than [`Limits::nodes`](crate::Limits::nodes) allows, or a file of very many tiny parts.
    #[error("the model has {count} or more {what}; the limit is {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many were seen.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
}

/// Why a run was refused or ended. A run that failed stays failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// An input is missing, unknown, or not what the model declares.
    #[error("input {name:?}: {reason}")]
    Input {
        /// The input's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The inputs alone, beside the weights, do not fit into the limit.
    #[error("the inputs need {needed} bytes beside the weights; the limit is {limit}")]
    InputsTooLarge {
        /// Bytes needed, weights included.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// An operator refused its operands.
    #[error("node {node:?} ({op}): {fault}")]
    Operator {
        /// The node's name, or its position in the graph.
        node: String,
        /// Its operator.
        op: String,
        /// The reason.
        fault: Fault,
    },
    /// An operator's result does not fit beside what is live.
    #[error("node {node:?} ({op}): {needed} bytes are needed; the limit is {limit}")]
    OutOfMemory {
        /// The node's name, or its position in the graph.
        node: String,
        /// Its operator.
        op: String,
        /// Bytes needed: weights, live activations and the result.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// One operator would compute for too long.
    #[error("node {node:?} ({op}): {needed} multiply-adds in one operator; the limit is {limit}")]
    TooMuchWork {
        /// The node's name, or its position in the graph.
        node: String,
        /// Its operator.
        op: String,
        /// Multiply-adds needed.
        needed: u64,
        /// Multiply-adds allowed.
        limit: u64,
    },
    /// More operators were executed than [`Limits::steps`](crate::Limits::steps) allows: a loop that does not end.
    #[error("the run has executed {limit} operators, which is the limit")]
    TooLong {
        /// Operators allowed.
        limit: u64,
    },
    /// The run has already given its outputs, or has failed.
    #[error("the run is over")]
    Finished,
}

impl RunError {
    pub(crate) fn new(node: &str, op: &str, fault: Fault) -> Self {
        let (node, op) = (node.to_owned(), op.to_owned());
        match fault {
            Fault::Memory { needed, limit } => RunError::OutOfMemory { node, op, needed, limit },
            Fault::Work { needed, limit } => RunError::TooMuchWork { node, op, needed, limit },
            fault => RunError::Operator { node, op, fault },
        }
    }
}

/// Why an operator refused its operands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Shapes, axes or sizes do not fit together.
    #[error("{0}")]
    Shape(String),
    /// An operand's elements have a type that the operator does not take.
    #[error("input {input} is {found}, which this operator does not take")]
    Type {
        /// Position of the operand.
        input: usize,
        /// Its type.
        found: DataType,
    },
    /// A required operand is absent.
    #[error("input {0} is missing")]
    Missing(usize),
    /// An operand's or an attribute's value is outside of what the operator allows.
    #[error("{0}")]
    Value(String),
    /// An attribute is absent or has the wrong type.
    #[error("attribute {name:?}: {reason}")]
    Attribute {
        /// The attribute's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A use of the operator that the engine does not have.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// Becomes [`RunError::OutOfMemory`].
    #[error("{needed} bytes are needed; the limit is {limit}")]
    Memory {
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// Becomes [`RunError::TooMuchWork`].
    #[error("{needed} multiply-adds are needed; the limit is {limit}")]
    Work {
        /// Multiply-adds needed.
        needed: u64,
        /// Multiply-adds allowed.
        limit: u64,
    },
    /// The tensor backend failed.
    #[error("backend: {0}")]
    Backend(String),
}
