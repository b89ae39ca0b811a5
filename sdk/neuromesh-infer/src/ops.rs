//! The operators: one function each, in families with a table each.
//!
//! An operator's function checks its operands completely, charges the memory of its result and the work it takes, and only
//! then computes. Whoever adds one adds a line to its family's table, and its cases to `tests/make_fixtures.py`.

mod accumulate;
mod bits;
mod broadcast;
mod call;
mod cast;
mod compare;
mod control;
mod detection;
mod einsum;
mod grid;
#[cfg(test)]
mod hostile;
mod index;
mod make;
pub(crate) mod movement;
mod ngrams;
mod number;
mod optional;
mod pad;
mod random;
mod rearrange;
mod resize;
mod roi;
mod scatter;
mod select;
mod shape;
mod sort;

use std::ops::RangeInclusive;

pub(crate) use call::{Call, Outputs};
pub(crate) use control::Control;

use crate::{DataType, Fault, graph::Body, memory::Memory, value::Value};

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

struct Operator {
    /// ONNX's name; our own operators, which only rewriting makes, start with `*`.
    name: &'static str,
    /// The first operator set that has it.
    since: i64,
    inputs: RangeInclusive<usize>,
    outputs: RangeInclusive<usize>,
    kind: Kind,
}

/// Operands of operators that take any number.
const MANY: usize = 4096;

type Function = fn(&mut Call<'_>) -> Result<Outputs, Fault>;

const fn op(name: &'static str, since: i64, inputs: RangeInclusive<usize>, run: Function) -> Operator {
    Operator { name, since, inputs, outputs: 1..=1, kind: Kind::Computes(run) }
}

const fn moves(name: &'static str, since: i64, inputs: RangeInclusive<usize>, run: Function) -> Operator {
    Operator { name, since, inputs, outputs: 1..=1, kind: Kind::Moves(run) }
}

impl Operator {
    const fn outputs(self, outputs: RangeInclusive<usize>) -> Self {
        Self { outputs, ..self }
    }
}

/// The operators of each family: whoever adds one adds a line to the table at the head of its file.
const FAMILIES: &[&[Operator]] = &[
    accumulate::TABLE,
    bits::TABLE,
    cast::TABLE,
    compare::TABLE,
    control::TABLE,
    detection::TABLE,
    einsum::TABLE,
    grid::TABLE,
    index::TABLE,
    make::TABLE,
    ngrams::TABLE,
    optional::TABLE,
    pad::TABLE,
    random::TABLE,
    rearrange::TABLE,
    resize::TABLE,
    roi::TABLE,
    scatter::TABLE,
    select::TABLE,
    shape::TABLE,
    sort::TABLE,
];

/// Halves as single precision.
pub(crate) fn widen(memory: &Memory, value: &Value) -> Result<Value, Fault> {
    cast::convert(memory, value.clone(), DataType::F32)
}

/// Single precision rounded to halves.
pub(crate) fn narrow(memory: &Memory, value: &Value) -> Result<Value, Fault> {
    cast::convert(memory, value.clone(), DataType::F16)
}

/// Finds an operator that a file may name.
pub(crate) fn find(name: &str) -> Option<OpId> {
    if name.starts_with('*') { None } else { position(name) }
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
