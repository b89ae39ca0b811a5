//! One rule per kind of operator. ONNX `Operators.md` says what each gives; an operator without a rule gives the unknown.

use super::{Number, Sketch, integers, movement, products, size};
use crate::{DataType, Dim, Fault, graph::Node, shape, value::Value};

/// A node, and what is known of its operands.
pub(super) struct Use<'a> {
    pub node: &'a Node,
    pub inputs: Vec<Option<&'a Sketch>>,
    pub values: Vec<Option<&'a Value>>,
}

/// What a rule gives: results, as many as it knows of.
pub(super) type Known = Result<Vec<Sketch>, Fault>;

impl<'a> Use<'a> {
    pub fn input(&self, at: usize) -> Option<&'a Sketch> {
        self.inputs.get(at).copied().flatten()
    }

    pub fn has(&self, at: usize) -> bool {
        self.node.inputs.get(at).is_some_and(Option::is_some)
    }

    pub fn shape(&self, at: usize) -> Option<&'a [Dim]> {
        self.input(at)?.shape.as_deref()
    }

    pub fn data_type(&self, at: usize) -> Option<DataType> {
        self.input(at)?.data_type
    }

    pub fn elements(&self, at: usize) -> Option<&'a [Number]> {
        self.input(at)?.elements.as_deref()
    }

    /// The elements of a list, if all are numbers.
    pub fn numbers(&self, at: usize) -> Option<Vec<i64>> {
        self.elements(at)?.iter().map(Number::known).collect()
    }

    /// A list that is an attribute in old operator sets and an operand in new ones; `None` where it cannot be known.
    pub fn list(&self, name: &str, at: usize) -> Result<Option<Vec<i64>>, Fault> {
        match self.node.attributes.ints(name)? {
            Some(list) => Ok(Some(list.to_vec())),
            None => Ok(self.numbers(at)),
        }
    }

    pub fn int(&self, name: &str, default: i64) -> Result<i64, Fault> {
        Ok(self.node.attributes.int(name)?.unwrap_or(default))
    }

    pub fn op(&self) -> &'static str {
        self.node.op.name()
    }
}

/// One result.
pub(super) fn one(data_type: Option<DataType>, shape: Option<Vec<Dim>>) -> Known {
    Ok(vec![Sketch::new(data_type, shape)])
}

pub(super) fn apply(at: &Use<'_>) -> Known {
    let first = at.data_type(0);
    match at.op() {
        "Abs"
        | "Acos"
        | "Acosh"
        | "Asin"
        | "Asinh"
        | "Atan"
        | "Atanh"
        | "BatchNormalization"
        | "BitwiseNot"
        | "Ceil"
        | "Celu"
        | "Clip"
        | "Cos"
        | "Cosh"
        | "CumSum"
        | "Elu"
        | "Erf"
        | "Exp"
        | "Floor"
        | "Gelu"
        | "GroupNormalization"
        | "HardSigmoid"
        | "HardSwish"
        | "Hardmax"
        | "InstanceNormalization"
        | "LRN"
        | "LayerNormalization"
        | "LeakyRelu"
        | "Log"
        | "LogSoftmax"
        | "LpNormalization"
        | "MeanVarianceNormalization"
        | "Mish"
        | "Neg"
        | "Not"
        | "RMSNormalization"
        | "Reciprocal"
        | "Relu"
        | "ReverseSequence"
        | "Round"
        | "Scatter"
        | "ScatterElements"
        | "ScatterND"
        | "Selu"
        | "Shrink"
        | "Sigmoid"
        | "Sign"
        | "Sin"
        | "Sinh"
        | "Softmax"
        | "Softplus"
        | "Softsign"
        | "Sqrt"
        | "Swish"
        | "Tan"
        | "Tanh"
        | "ThresholdedRelu"
        | "Trilu" => one(first, at.shape(0).map(<[Dim]>::to_vec)),
        "Dropout" => {
            let shape = at.shape(0).map(<[Dim]>::to_vec);
            Ok(vec![Sketch::new(first, shape.clone()), Sketch::new(Some(DataType::Bool), shape)])
        }
        "Identity" => Ok(at.input(0).cloned().into_iter().collect()),
        "IsInf" | "IsNaN" => one(Some(DataType::Bool), at.shape(0).map(<[Dim]>::to_vec)),
        "Add" | "Sub" | "Mul" | "Div" | "Mod" => integers::arithmetic(at, broadcast(at, first)?),
        "Pow" | "PRelu" | "BitShift" | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor" | "Max" | "Min" | "Sum" | "Mean" => {
            broadcast(at, first)
        }
        "And" | "Or" | "Xor" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => {
            broadcast(at, Some(DataType::Bool))
        }
        "Equal" => integers::equal(at, broadcast(at, Some(DataType::Bool))?),
        "Where" => integers::choose(at, broadcast(at, at.data_type(1))?),
        "Cast" => integers::cast(at),
        "CastLike" => one(at.data_type(1), at.shape(0).map(<[Dim]>::to_vec)),
        "Shape" => integers::shape_of(at),
        "Size" => {
            let elements = at.shape(0).map(|shape| Number::from(&size::product(shape)));
            Ok(vec![elements.map_or_else(
                || Sketch::new(Some(DataType::I64), Some(Vec::new())),
                |number| Sketch::list(DataType::I64, vec![number], true),
            )])
        }
        "Range" => integers::range(at),
        "ConstantOfShape" => {
            let value = at.node.attributes.tensor("value")?;
            one(Some(value.map_or(DataType::F32, Value::data_type)), dims(at, 0))
        }
        "Reshape" => movement::reshape(at),
        "Flatten" => movement::flatten(at),
        "Squeeze" => movement::squeeze(at),
        "Unsqueeze" => movement::unsqueeze(at),
        "Transpose" => movement::transpose(at),
        "Concat" => movement::concat(at),
        "Split" => movement::split(at),
        "Slice" => movement::slice(at),
        "Gather" => movement::gather(at),
        "GatherElements" => one(first, at.shape(1).map(<[Dim]>::to_vec)),
        "Expand" => movement::expand(at),
        "Tile" => movement::tile(at),
        "Pad" => movement::pad(at),
        "Resize" | "Upsample" => movement::resize(at),
        "DepthToSpace" => movement::depth(at, false),
        "SpaceToDepth" => movement::depth(at, true),
        "TopK" => movement::top(at),
        "NonZero" => one(Some(DataType::I64), at.shape(0).map(|shape| vec![Dim::Fixed(shape.len()), Dim::Unknown])),
        "NonMaxSuppression" => one(Some(DataType::I64), Some(vec![Dim::Unknown, Dim::Fixed(3)])),
        "ArgMax" | "ArgMin" => {
            let axis = at.int("axis", 0)?;
            let kept = at.int("keepdims", 1)? != 0;
            one(Some(DataType::I64), at.shape(0).map(|shape| reduced(shape, Some(&[axis]), kept)).transpose()?)
        }
        name if name.starts_with("Reduce") => reduce(at),
        "QuantizeLinear" => {
            let data_type = match at.has(2) {
                true => at.data_type(2),
                false => match at.node.attributes.int("output_dtype")?.unwrap_or(0) {
                    0 => Some(DataType::U8),
                    code => i32::try_from(code).ok().and_then(DataType::from_onnx),
                },
            };
            one(data_type, at.shape(0).map(<[Dim]>::to_vec))
        }
        "DequantizeLinear" => {
            let declared = at.node.attributes.int("output_dtype")?.is_some_and(|code| code != 0);
            one(at.data_type(1).filter(|_| !declared), at.shape(0).map(<[Dim]>::to_vec))
        }
        "DynamicQuantizeLinear" => Ok(vec![
            Sketch::new(Some(DataType::U8), at.shape(0).map(<[Dim]>::to_vec)),
            Sketch::new(Some(DataType::F32), Some(Vec::new())),
            Sketch::new(Some(DataType::U8), Some(Vec::new())),
        ]),
        _ => products::apply(at),
    }
}

/// An operand's elements as a shape; only the rank may be known.
pub(super) fn dims(at: &Use<'_>, operand: usize) -> Option<Vec<Dim>> {
    if let Some(elements) = at.elements(operand) {
        return Some(elements.iter().map(Number::dim).collect());
    }
    match at.shape(operand) {
        Some([Dim::Fixed(rank)]) if *rank <= crate::limits::MAX_RANK => Some(vec![Dim::Unknown; *rank]),
        _ => None,
    }
}

/// The common shape of all operands.
fn broadcast(at: &Use<'_>, data_type: Option<DataType>) -> Known {
    let mut result: Option<Vec<Dim>> = None;
    for operand in 0..at.node.inputs.len() {
        let Some(shape) = at.shape(operand) else {
            return one(data_type, None);
        };
        result = Some(match result {
            None => shape.to_vec(),
            Some(before) => broadcast_shapes(&before, shape)?,
        });
    }
    one(data_type, result)
}

pub(super) fn broadcast_shapes(a: &[Dim], b: &[Dim]) -> Result<Vec<Dim>, Fault> {
    let rank = a.len().max(b.len());
    let one = Dim::Fixed(1);
    let pick = |shape: &[Dim], at: usize| (at + shape.len()).checked_sub(rank).map(|at| shape[at].clone());
    let sizes = (0..rank).map(|at| {
        let (x, y) = (pick(a, at).unwrap_or(one.clone()), pick(b, at).unwrap_or(one.clone()));
        size::broadcast(&x, &y).ok_or_else(|| {
            Fault::Shape(format!("the shapes {} and {} do not broadcast", size::display(a), size::display(b)))
        })
    });
    sizes.collect()
}

/// A shape without these axes, or with ones there; all axes where none are named.
fn reduced(shape: &[Dim], axes: Option<&[i64]>, kept: bool) -> Result<Vec<Dim>, Fault> {
    let axes = match axes {
        Some(axes) => shape::axes(axes, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    let sizes = shape.iter().enumerate().filter(|(at, _)| kept || !axes.contains(at));
    Ok(sizes.map(|(at, size)| if axes.contains(&at) { Dim::Fixed(1) } else { size.clone() }).collect())
}

fn reduce(at: &Use<'_>) -> Known {
    let kept = at.int("keepdims", 1)? != 0;
    let axes = at.list("axes", 1)?;
    let Some(shape) = at.shape(0) else {
        return one(at.data_type(0), None);
    };
    let shape = match &axes {
        None if at.has(1) => kept.then(|| vec![Dim::Unknown; shape.len()]),
        Some(list) if list.is_empty() && at.int("noop_with_empty_axes", 0)? != 0 => Some(shape.to_vec()),
        Some(list) if !list.is_empty() => Some(reduced(shape, Some(list), kept)?),
        _ if at.int("noop_with_empty_axes", 0)? != 0 => Some(shape.to_vec()),
        _ => Some(reduced(shape, None, kept)?),
    };
    one(at.data_type(0), shape)
}
