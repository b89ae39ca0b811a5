//! The operators that a device executes: those in which models spend their time, and those that would make values travel
//! between host and device.
//!
//! An operator here looks at its node and at the types and shapes of its operands, **before** the backend sees any of it,
//! and either says what is to be done or declines. Whatever it declines, for being wrong or merely rare, the host's operator
//! of the same name gets; so every refusal is worded in one place, and backends, which panic on mismatches, see none.

mod activation;
mod elementwise;
mod matrix;
mod movement;
mod normalize;
mod reduce;
mod window;

use burn_backend::{
    Backend,
    tensor::{Device, FloatTensor},
};

use crate::{
    DataType,
    graph::Node,
    shape::{self, Shape},
    value::Value,
};

/// An operator of the device.
pub(crate) struct Operator<B: Backend> {
    name: &'static str,
    /// How many of its first operands go to the device; the host reads the others: lists, indices, bounds.
    pub tensors: usize,
    pub accept: fn(&View<'_>) -> Option<Work<B>>,
}

/// Operands of operators that take any number.
const MANY: usize = usize::MAX;

const fn op<B: Backend>(name: &'static str, tensors: usize, accept: fn(&View<'_>) -> Option<Work<B>>) -> Operator<B> {
    Operator { name, tensors, accept }
}

struct Table<B>(std::marker::PhantomData<B>);

impl<B: Backend> Table<B> {
    /// Sorted by name.
    const OPERATORS: &'static [Operator<B>] = &[
        op("*Conv", 4, window::conv),
        op("*Gelu", 1, elementwise::unary),
        op("*GeluTanh", 1, elementwise::unary),
        op("*HardSwish", 1, elementwise::unary),
        op("*LayerNorm", 3, normalize::layer_norm),
        op("*Linear", 3, matrix::linear),
        op("*ScaledSoftmax", 2, normalize::scaled_softmax),
        op("*Silu", 1, elementwise::unary),
        op("Abs", 1, elementwise::unary),
        op("Add", 2, |view| elementwise::binary(view, B::float_add)),
        op("AveragePool", 1, window::average_pool),
        op("BatchNormalization", 5, normalize::batch_normalization),
        op("Ceil", 1, elementwise::unary),
        op("Clip", 1, elementwise::unary),
        op("Concat", MANY, movement::concat),
        op("Conv", 3, window::conv),
        op("Cos", 1, elementwise::unary),
        op("Div", 2, |view| elementwise::binary(view, B::float_div)),
        op("Dropout", 1, movement::dropout),
        op("Elu", 1, elementwise::unary),
        op("Erf", 1, elementwise::unary),
        op("Exp", 1, elementwise::unary),
        op("Expand", 1, movement::expand),
        op("Flatten", 1, movement::flatten),
        op("Floor", 1, elementwise::unary),
        op("Gather", 1, movement::gather),
        op("Gelu", 1, elementwise::unary),
        op("Gemm", 3, matrix::gemm),
        op("GlobalAveragePool", 1, |view| reduce::global_pool(view, B::float_mean_dim)),
        op("GlobalMaxPool", 1, |view| reduce::global_pool(view, B::float_max_dim)),
        op("HardSigmoid", 1, elementwise::unary),
        op("HardSwish", 1, elementwise::unary),
        op("Identity", 1, movement::identity),
        op("LayerNormalization", 3, normalize::layer_normalization),
        op("LeakyRelu", 1, elementwise::unary),
        op("Log", 1, elementwise::unary),
        op("LogSoftmax", 1, |view| normalize::along_axis(view, B::log_softmax)),
        op("MatMul", 2, matrix::mat_mul),
        op("MaxPool", 1, window::max_pool),
        op("Mul", 2, |view| elementwise::binary(view, B::float_mul)),
        op("Neg", 1, elementwise::unary),
        op("Pow", 1, elementwise::unary),
        op("Reciprocal", 1, elementwise::unary),
        op("ReduceMax", 1, |view| reduce::fold(view, 18, B::float_max_dim)),
        op("ReduceMean", 1, |view| reduce::fold(view, 18, B::float_mean_dim)),
        op("ReduceMin", 1, |view| reduce::fold(view, 18, B::float_min_dim)),
        op("ReduceSum", 1, |view| reduce::fold(view, 13, B::float_sum_dim)),
        op("Relu", 1, elementwise::unary),
        op("Reshape", 1, movement::reshape),
        op("Resize", 1, movement::enlarge),
        op("Shape", 0, movement::shape_of),
        op("Sigmoid", 1, elementwise::unary),
        op("Sin", 1, elementwise::unary),
        op("Size", 0, movement::size),
        op("Slice", 1, movement::slice),
        op("Softmax", 1, |view| normalize::along_axis(view, B::softmax)),
        op("Softplus", 1, elementwise::unary),
        op("Split", 1, movement::split),
        op("Sqrt", 1, elementwise::unary),
        op("Squeeze", 1, movement::squeeze),
        op("Sub", 2, |view| elementwise::binary(view, B::float_sub)),
        op("Sum", MANY, elementwise::sum),
        op("Tanh", 1, elementwise::unary),
        op("Transpose", 1, movement::transpose),
        op("Unsqueeze", 1, movement::unsqueeze),
        op("Upsample", 1, movement::enlarge),
    ];
}

/// The device's operator of this name, if it has one.
pub(crate) fn find<B: Backend>(name: &str) -> Option<&'static Operator<B>> {
    let table = Table::<B>::OPERATORS;
    table.binary_search_by(|operator| operator.name.cmp(name)).ok().map(|index| &table[index])
}

/// A node and what is known of its operands without asking the device.
pub(crate) struct View<'a> {
    pub node: &'a Node,
    pub operands: Vec<Option<Operand<'a>>>,
}

/// An operand, wherever it lies.
pub(crate) struct Operand<'a> {
    pub data_type: DataType,
    pub shape: &'a [usize],
    /// The operand itself, if the host has it.
    pub host: Option<&'a Value>,
}

impl View<'_> {
    fn operand(&self, input: usize) -> Option<&Operand<'_>> {
        self.operands.get(input)?.as_ref()
    }

    fn has(&self, input: usize) -> bool {
        self.operand(input).is_some()
    }

    /// The shape of an operand of floats. Backends do not agree about tensors without elements, so the host gets those.
    fn floats(&self, input: usize) -> Option<&[usize]> {
        let operand = self.operand(input)?;
        (operand.data_type == DataType::F32 && !operand.shape.contains(&0)).then_some(operand.shape)
    }

    /// The same of one that is not a scalar.
    fn tensor(&self, input: usize) -> Option<&[usize]> {
        self.floats(input).filter(|shape| !shape.is_empty())
    }

    /// A list of integers.
    fn list(&self, input: usize) -> Option<Vec<i64>> {
        let value = self.operand(input)?.host?;
        if value.rank() <= 1 { value.to_integers().ok() } else { None }
    }

    /// A list that was an attribute before operator set `moved`, and is an input from there on; the outer option is about
    /// whether it can be read.
    fn list_since(&self, moved: i64, input: usize, attribute: &str) -> Option<Option<Vec<i64>>> {
        match self.node.opset >= moved {
            true if !self.has(input) => Some(None),
            true => self.list(input).map(Some),
            false => Some(self.node.attributes.ints(attribute).ok()?.map(<[i64]>::to_vec)),
        }
    }

    /// One number.
    fn number(&self, input: usize) -> Option<f32> {
        let value = self.operand(input)?.host?;
        let single = value.data_type() == DataType::F32 && value.len() == 1;
        single.then(|| value.raw::<f32>()[0])
    }

    fn float(&self, name: &str, default: f32) -> Option<f32> {
        Some(self.node.attributes.float(name).ok()?.unwrap_or(default))
    }

    fn int(&self, name: &str, default: i64) -> Option<i64> {
        Some(self.node.attributes.int(name).ok()?.unwrap_or(default))
    }
}

/// What an operator does with operands that it has accepted.
pub(crate) enum Work<B: Backend> {
    /// The operands' shapes tell everything.
    Known(Vec<Value>),
    Compute(Computation<B>),
}

type Run<B> = Box<dyn FnOnce(Vec<FloatTensor<B>>, &Device<B>) -> Vec<FloatTensor<B>> + Send>;

/// A computation on the device.
pub(crate) struct Computation<B: Backend> {
    /// The operands that it takes.
    pub operands: Vec<usize>,
    /// The shapes of its results; what `run` gives may still be cut into other dimensions.
    pub results: Vec<Shape>,
    /// Elements that it holds meanwhile, beside operands and results.
    pub scratch: usize,
    /// Multiply-adds, or elements where there is no product.
    pub cost: usize,
    /// Tensors on the device have at least one dimension.
    pub run: Run<B>,
}

impl<B: Backend> Work<B> {
    /// One result of operands that are known by their positions.
    fn new<const N: usize>(
        operands: [usize; N],
        result: impl Into<Shape>,
        run: impl FnOnce([FloatTensor<B>; N]) -> FloatTensor<B> + Send + 'static,
    ) -> Self {
        Self::of(operands.to_vec(), result, move |tensors| {
            run(tensors.try_into().unwrap_or_else(|_| unreachable!("a run gets the operands that it asked for")))
        })
    }

    /// One result of any number of operands.
    fn of(
        operands: Vec<usize>,
        result: impl Into<Shape>,
        run: impl FnOnce(Vec<FloatTensor<B>>) -> FloatTensor<B> + Send + 'static,
    ) -> Self {
        let result = result.into();
        let cost = shape::elements(&result).unwrap_or(usize::MAX);
        let run: Run<B> = Box::new(move |tensors, _| vec![run(tensors)]);
        Work::Compute(Computation { operands, results: vec![result], scratch: 0, cost, run })
    }

    /// With so many elements held meanwhile.
    fn scratch(self, elements: usize) -> Self {
        match self {
            Work::Compute(work) => Work::Compute(Computation { scratch: elements, ..work }),
            known => known,
        }
    }

    /// With so many multiply-adds for each element of the result.
    fn each(self, cost: usize) -> Self {
        match self {
            Work::Compute(work) => Work::Compute(Computation { cost: work.cost.saturating_mul(cost), ..work }),
            known => known,
        }
    }
}

/// A tensor's shape on the device, where a scalar has one dimension.
pub(crate) fn on_device(shape: &[usize]) -> burn_backend::Shape {
    burn_backend::Shape::from(shape::pad_rank(shape, 1).to_vec())
}

/// The tensor in this shape of the same size.
pub(crate) fn shaped<B: Backend>(tensor: FloatTensor<B>, shape: &[usize]) -> FloatTensor<B> {
    use burn_backend::TensorMetadata;

    let shape = on_device(shape);
    if tensor.shape() == shape { tensor } else { B::float_reshape(tensor, shape) }
}

/// The tensor, of this shape, with ones in front up to `rank` dimensions.
fn lifted<B: Backend>(tensor: FloatTensor<B>, shape: &[usize], rank: usize) -> FloatTensor<B> {
    shaped::<B>(tensor, &shape::pad_rank(shape, rank))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_names_are_found() {
        assert!(Table::<burn_flex::Flex>::OPERATORS.is_sorted_by(|a, b| a.name < b.name));
    }
}
