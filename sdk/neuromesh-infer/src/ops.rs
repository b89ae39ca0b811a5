//! The operators: one function each, in families with a table each.
//!
//! An operator's function checks its operands completely, charges the memory of its result and the work it takes, and only
//! then computes. Whoever adds one adds a line to its family's table, and its cases to `tests/make_fixtures.py`.

mod accumulate;
mod attention;
mod bits;
mod broadcast;
mod call;
mod cast;
mod compare;
mod control;
mod conv;
mod deform;
mod detection;
mod einsum;
mod elementwise;
mod grid;
#[cfg(test)]
mod hostile;
pub(crate) mod index;
mod loss;
mod make;
mod matrix;
pub(crate) mod movement;
mod ngrams;
mod normalize;
mod number;
mod optional;
mod pad;
mod pool;
mod products;
mod qlinear;
mod quantize;
mod random;
mod rearrange;
mod recurrent;
mod reduce;
mod resize;
mod roi;
mod scatter;
mod select;
pub(crate) mod shape;
mod signal;
mod sort;
mod statistics;
mod sums;
mod transpose_conv;
mod unary;
pub(crate) mod window;

use std::{fmt, ops::RangeInclusive};

pub(crate) use call::{Call, Outputs};
pub(crate) use control::Control;

use crate::{
    DataType, Fault,
    graph::{Body, Node},
    kernels::{conv::ConvPlan, cpu::Cpu, gemm::PackedB, int8::PackedInt8},
    memory::Memory,
    value::Value,
};

/// An operator: its family, and its position in the family's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OpId(u8, u8);

impl OpId {
    pub fn name(self) -> &'static str {
        self.operator().name
    }

    pub fn kind(self) -> Kind {
        self.operator().kind
    }

    fn operator(self) -> &'static Operator {
        &FAMILIES[usize::from(self.0)][usize::from(self.1)]
    }
}

/// How an operator is executed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A function. Halves are widened to single precision before it and its floats rounded to halves after it.
    Computes(fn(&mut Call<'_>) -> Result<Outputs, Fault>),
    /// A function that takes halves as they are, because it only moves elements or says itself what becomes of them.
    Moves(fn(&mut Call<'_>) -> Result<Outputs, Fault>),
    /// Bodies, executed node by node.
    Control(Control),
}

/// What an operator makes of a constant operand, once, at load; it does without the operand then.
pub(crate) enum Packed {
    /// The right-hand matrix of a product.
    Matrix(PackedB),
    /// The weights of a convolution, and their shape.
    Conv(Box<ConvPlan>, crate::shape::Shape),
    /// The right-hand matrix of a product of small integers.
    Int8(Box<PackedInt8>),
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({} bytes)", self.bytes())
    }
}

impl Packed {
    pub fn bytes(&self) -> u64 {
        match self {
            Packed::Matrix(matrix) => matrix.bytes() as u64,
            Packed::Conv(plan, _) => plan.bytes() as u64,
            Packed::Int8(matrix) => matrix.bytes() as u64,
        }
    }
}

/// A node's constant operands, as [`prepare`] sees them.
pub(crate) struct Constants<'a> {
    pub node: &'a Node,
    /// Beside each operand its value, if that is known.
    pub values: Vec<Option<&'a Value>>,
    pub cpu: &'a Cpu,
}

impl Constants<'_> {
    pub fn floats(&self, input: usize) -> Option<&Value> {
        self.values.get(input).copied().flatten().filter(|value| value.data_type() == DataType::F32)
    }
}

type Prepare = fn(&Constants<'_>) -> Option<Packed>;

struct Operator {
    /// ONNX's name; our own operators, which only rewriting makes, start with `*`.
    name: &'static str,
    /// The first operator set that has it.
    since: i64,
    inputs: RangeInclusive<usize>,
    outputs: RangeInclusive<usize>,
    kind: Kind,
    /// Packs one operand, its position, if it is constant.
    prepare: Option<(usize, Prepare)>,
}

/// Operands of operators that take any number.
const MANY: usize = 4096;

type Function = fn(&mut Call<'_>) -> Result<Outputs, Fault>;

const fn op(name: &'static str, since: i64, inputs: RangeInclusive<usize>, run: Function) -> Operator {
    Operator { name, since, inputs, outputs: 1..=1, kind: Kind::Computes(run), prepare: None }
}

const fn moves(name: &'static str, since: i64, inputs: RangeInclusive<usize>, run: Function) -> Operator {
    Operator { name, since, inputs, outputs: 1..=1, kind: Kind::Moves(run), prepare: None }
}

impl Operator {
    const fn outputs(self, outputs: RangeInclusive<usize>) -> Self {
        Self { outputs, ..self }
    }

    const fn packs(self, operand: usize, prepare: Prepare) -> Self {
        Self { prepare: Some((operand, prepare)), ..self }
    }
}

/// The operators of each family: whoever adds one adds a line to the table at the head of its file.
const FAMILIES: &[&[Operator]] = &[
    accumulate::TABLE,
    attention::TABLE,
    bits::TABLE,
    cast::TABLE,
    compare::TABLE,
    control::TABLE,
    conv::TABLE,
    deform::TABLE,
    detection::TABLE,
    einsum::TABLE,
    elementwise::TABLE,
    grid::TABLE,
    index::TABLE,
    loss::TABLE,
    make::TABLE,
    matrix::TABLE,
    ngrams::TABLE,
    normalize::TABLE,
    optional::TABLE,
    pad::TABLE,
    pool::TABLE,
    qlinear::TABLE,
    quantize::TABLE,
    random::TABLE,
    rearrange::TABLE,
    recurrent::TABLE,
    reduce::TABLE,
    resize::TABLE,
    roi::TABLE,
    scatter::TABLE,
    select::TABLE,
    shape::TABLE,
    signal::TABLE,
    sort::TABLE,
    statistics::TABLE,
    transpose_conv::TABLE,
    unary::TABLE,
];

/// Halves as single precision.
pub(crate) fn widen(memory: &Memory, value: &Value) -> Result<Value, Fault> {
    cast::convert(memory, value.clone(), DataType::F32)
}

/// Single precision rounded to halves.
pub(crate) fn narrow(memory: &Memory, value: &Value) -> Result<Value, Fault> {
    cast::convert(memory, value.clone(), DataType::F16)
}

/// What the node's operator makes of its constants, and which of them it does without then.
pub(crate) fn prepare(constants: &Constants<'_>) -> Option<(usize, Packed)> {
    let (operand, prepare) = constants.node.op.operator().prepare?;
    Some((operand, prepare(constants)?))
}

/// ONNX's operators that the engine has, by name, each with the first operator set that has it.
pub fn operators() -> Vec<(&'static str, i64)> {
    let all = FAMILIES.iter().flat_map(|table| table.iter());
    let mut all: Vec<_> = all.map(|operator| (operator.name, operator.since)).collect();
    all.retain(|(name, _)| !name.starts_with('*'));
    all.sort_unstable();
    all
}

/// Finds an operator that a file may name.
pub(crate) fn find(name: &str) -> Option<OpId> {
    if name.starts_with('*') { None } else { position(name) }
}

/// Whether an operator set has an operator that the engine has.
pub(crate) fn is_known(name: &str, opset: i64) -> bool {
    find(name).is_some_and(|id| id.operator().since <= opset)
}

/// One of our own operators.
pub(crate) fn own(name: &'static str) -> OpId {
    position(name).expect("rewriting names operators of the table")
}

fn position(name: &str) -> Option<OpId> {
    FAMILIES.iter().enumerate().find_map(|(family, table)| {
        let index = table.iter().position(|operator| operator.name == name)?;
        Some(OpId(family as u8, index as u8))
    })
}

/// Checks, at load, that the operator set has the operator and that it takes and gives so many values.
pub(crate) fn check_use(id: OpId, opset: i64, inputs: usize, outputs: usize) -> Result<(), String> {
    let operator = id.operator();
    if opset < operator.since {
        return Err(format!("operator set {opset} does not have it; it came with {}", operator.since));
    }
    for (what, count, range) in [("inputs", inputs, &operator.inputs), ("outputs", outputs, &operator.outputs)] {
        if !range.contains(&count) {
            return Err(format!("{count} {what}; it takes {} to {}", range.start(), range.end()));
        }
    }
    Ok(())
}

/// Checks, at load, that a node has the subgraphs that its operator needs, and no others.
pub(crate) fn check_bodies(id: OpId, bodies: &[Body]) -> Result<(), String> {
    let wanted: &[&str] = match id.kind() {
        Kind::Control(control) => control.bodies(),
        _ => &[],
    };
    for name in wanted {
        match bodies.iter().filter(|body| body.name == *name).count() {
            1 => {}
            0 => return Err(format!("its subgraph {name:?} is missing")),
            _ => return Err(format!("its subgraph {name:?} stands twice")),
        }
    }
    match bodies.iter().find(|body| !wanted.contains(&body.name.as_str())) {
        Some(body) => Err(format!("the kind of its attribute {:?} is not supported", body.name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operator_stands_once_and_is_found() {
        let names: Vec<_> = FAMILIES.iter().flat_map(|table| table.iter()).map(|operator| operator.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), names.len());
        assert!(FAMILIES.len() < 256 && FAMILIES.iter().all(|table| table.len() < 256));
        assert!(names.iter().all(|name| position(name).is_some_and(|id| id.name() == *name)));
    }
}
