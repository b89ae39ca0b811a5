//! The operators: one table, one function each, in files by family.
//!
//! An operator's function checks its operands completely, charges the memory of its result and the work it takes, and only
//! then computes. Whoever adds one adds a line here and its cases to `tests/make_fixtures.py`.

mod activation;
mod broadcast;
mod call;
mod cast;
mod compare;
mod conv;
mod elementwise;
mod fused;
mod index;
mod make;
mod matrix;
mod meter;
mod normalize;
mod reduce;
mod shape;
mod unary;

use std::ops::RangeInclusive;

use burn_backend::Backend;

pub(crate) use call::{Call, Outputs};
pub(crate) use meter::Meter;

use crate::{Fault, backend::Engine};

/// An operator's position in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OpId(usize);

impl OpId {
    pub fn name(self) -> &'static str {
        operators::<Engine>()[self.0].name
    }
}

struct Operator<B: Backend> {
    /// ONNX's name; our own operators, which only rewriting makes, start with `*`.
    name: &'static str,
    /// The first operator set that has it.
    since: i64,
    inputs: RangeInclusive<usize>,
    outputs: RangeInclusive<usize>,
    run: fn(&mut Call<'_, B>) -> Result<Outputs<B>, Fault>,
}

/// Operands of operators that take any number.
const MANY: usize = 4096;

const fn op<B: Backend>(
    name: &'static str,
    since: i64,
    inputs: RangeInclusive<usize>,
    run: fn(&mut Call<'_, B>) -> Result<Outputs<B>, Fault>,
) -> Operator<B> {
    Operator { name, since, inputs, outputs: 1..=1, run }
}

struct Table<B>(std::marker::PhantomData<B>);

impl<B: Backend> Table<B> {
    /// Sorted by name.
    const OPERATORS: &'static [Operator<B>] = &[
        op("*Gelu", 1, 1..=1, fused::gelu),
        op("*GeluTanh", 1, 1..=1, fused::gelu_tanh),
        op("*LayerNorm", 1, 3..=3, fused::layer_norm),
        op("*Linear", 1, 3..=3, fused::linear),
        op("*ScaledSoftmax", 1, 1..=2, fused::scaled_softmax),
        op("Abs", 1, 1..=1, unary::abs),
        op("Add", 1, 2..=2, elementwise::add),
        op("And", 1, 2..=2, compare::and),
        op("ArgMax", 1, 1..=1, reduce::arg_max),
        op("ArgMin", 1, 1..=1, reduce::arg_min),
        op("Cast", 1, 1..=1, cast::cast),
        op("CastLike", 15, 2..=2, cast::cast_like),
        op("Ceil", 1, 1..=1, unary::ceil),
        op("Clip", 1, 1..=3, unary::clip),
        op("Concat", 1, 1..=MANY, index::concat),
        op("Constant", 1, 0..=0, make::constant),
        op("ConstantOfShape", 9, 1..=1, make::constant_of_shape),
        op("Conv", 1, 2..=3, conv::conv),
        op("Cos", 7, 1..=1, unary::cos),
        op("CumSum", 11, 2..=2, reduce::cumulative_sum),
        op("Div", 1, 2..=2, elementwise::div),
        Operator { name: "Dropout", since: 1, inputs: 1..=3, outputs: 1..=2, run: shape::dropout },
        op("Elu", 1, 1..=1, unary::elu),
        op("Equal", 1, 2..=2, compare::equal),
        op("Erf", 9, 1..=1, unary::erf),
        op("Exp", 1, 1..=1, unary::exp),
        op("Expand", 8, 2..=2, shape::expand),
        op("Flatten", 1, 1..=1, shape::flatten),
        op("Floor", 1, 1..=1, unary::floor),
        op("Gather", 1, 2..=2, index::gather),
        op("Gelu", 20, 1..=1, unary::gelu),
        op("Gemm", 1, 2..=3, matrix::gemm),
        op("GlobalAveragePool", 1, 1..=1, conv::global_average_pool),
        op("GlobalMaxPool", 1, 1..=1, conv::global_max_pool),
        op("Greater", 1, 2..=2, compare::greater),
        op("GreaterOrEqual", 12, 2..=2, compare::greater_or_equal),
        op("HardSigmoid", 1, 1..=1, unary::hard_sigmoid),
        op("Identity", 1, 1..=1, shape::identity),
        op("LayerNormalization", 17, 2..=3, normalize::layer_normalization),
        op("LeakyRelu", 1, 1..=1, unary::leaky_relu),
        op("Less", 1, 2..=2, compare::less),
        op("LessOrEqual", 12, 2..=2, compare::less_or_equal),
        op("Log", 1, 1..=1, unary::log),
        op("LogSoftmax", 1, 1..=1, normalize::log_softmax),
        op("MatMul", 1, 2..=2, matrix::mat_mul),
        op("Max", 1, 1..=MANY, elementwise::max),
        op("Mean", 1, 1..=MANY, elementwise::mean),
        op("Min", 1, 1..=MANY, elementwise::min),
        op("Mod", 10, 2..=2, elementwise::modulo),
        op("Mul", 1, 2..=2, elementwise::mul),
        op("Neg", 1, 1..=1, unary::neg),
        op("Not", 1, 1..=1, compare::not),
        op("Or", 1, 2..=2, compare::or),
        op("Pow", 1, 2..=2, elementwise::pow),
        op("Range", 11, 3..=3, make::range),
        op("Reciprocal", 1, 1..=1, unary::reciprocal),
        op("ReduceL1", 1, 1..=2, reduce::l1),
        op("ReduceL2", 1, 1..=2, reduce::l2),
        op("ReduceMax", 1, 1..=2, reduce::max),
        op("ReduceMean", 1, 1..=2, reduce::mean),
        op("ReduceMin", 1, 1..=2, reduce::min),
        op("ReduceProd", 1, 1..=2, reduce::product),
        op("ReduceSum", 1, 1..=2, reduce::sum),
        op("ReduceSumSquare", 1, 1..=2, reduce::sum_square),
        op("Relu", 1, 1..=1, unary::relu),
        op("Reshape", 5, 2..=2, shape::reshape),
        op("Round", 11, 1..=1, unary::round),
        op("Shape", 1, 1..=1, shape::shape_of),
        op("Sigmoid", 1, 1..=1, unary::sigmoid),
        op("Sign", 9, 1..=1, unary::sign),
        op("Sin", 7, 1..=1, unary::sin),
        op("Size", 1, 1..=1, shape::size),
        op("Slice", 1, 1..=5, index::slice),
        op("Softmax", 1, 1..=1, normalize::softmax),
        op("Softplus", 1, 1..=1, unary::softplus),
        Operator { name: "Split", since: 2, inputs: 1..=2, outputs: 1..=MANY, run: index::split },
        op("Sqrt", 1, 1..=1, unary::sqrt),
        op("Squeeze", 1, 1..=2, shape::squeeze),
        op("Sub", 1, 2..=2, elementwise::sub),
        op("Sum", 1, 1..=MANY, elementwise::sum),
        op("Tanh", 1, 1..=1, unary::tanh),
        op("Transpose", 1, 1..=1, shape::transpose),
        op("Unsqueeze", 1, 1..=2, shape::unsqueeze),
        op("Where", 9, 3..=3, compare::choose),
        op("Xor", 1, 2..=2, compare::xor),
    ];
}

fn operators<B: Backend>() -> &'static [Operator<B>] {
    Table::<B>::OPERATORS
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
    operators::<Engine>().binary_search_by(|operator| operator.name.cmp(name)).ok().map(OpId)
}

/// Checks, at load, that the operator set has the operator and that it takes and gives so many values.
pub(crate) fn check_use(id: OpId, opset: i64, inputs: usize, outputs: usize) -> Result<(), String> {
    let operator = &operators::<Engine>()[id.0];
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

/// Executes one node.
pub(crate) fn run<B: Backend>(mut call: Call<'_, B>) -> Result<Outputs<B>, Fault> {
    (operators::<B>()[call.node.op.0].run)(&mut call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_names_are_found() {
        assert!(operators::<Engine>().is_sorted_by(|a, b| a.name < b.name));
    }
}
