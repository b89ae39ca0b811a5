//! An operator's view of its node while it is executed.

use burn_backend::{
    Backend, TensorData,
    tensor::{Device, FloatTensor},
};

use super::Meter;
use crate::{
    DataType, Fault,
    attribute::Attributes,
    graph::Node,
    value::{Host, Ints, Value, float_into},
};

/// The results of an operator, in order; those that nobody uses may be left out at the end.
pub(crate) type Outputs<B> = Vec<Value<B>>;

/// A node, its operands and what it may use.
pub(crate) struct Call<'a, B: Backend> {
    pub node: &'a Node,
    /// Taken one by one; an operand that nobody else holds can be worked on in place.
    pub inputs: Vec<Option<Value<B>>>,
    pub device: &'a Device<B>,
    pub meter: &'a mut Meter,
}

impl<B: Backend> Call<'_, B> {
    pub fn attributes(&self) -> &Attributes {
        &self.node.attributes
    }

    pub fn opset(&self) -> i64 {
        self.node.opset
    }

    pub fn has(&self, input: usize) -> bool {
        matches!(self.inputs.get(input), Some(Some(_)))
    }

    pub fn peek(&self, input: usize) -> Result<&Value<B>, Fault> {
        self.inputs.get(input).and_then(Option::as_ref).ok_or(Fault::Missing(input))
    }

    pub fn shape(&self, input: usize) -> Result<Vec<usize>, Fault> {
        Ok(self.peek(input)?.shape())
    }

    pub fn take(&mut self, input: usize) -> Result<Value<B>, Fault> {
        self.inputs.get_mut(input).and_then(Option::take).ok_or(Fault::Missing(input))
    }

    pub fn float(&mut self, input: usize) -> Result<FloatTensor<B>, Fault> {
        match self.take(input)? {
            Value::Float(tensor) => Ok(tensor),
            other => Err(Fault::Type { input, found: other.data_type() }),
        }
    }

    /// Floats on the host, for operators that are not worth a backend's kernel.
    pub fn host_floats(&mut self, input: usize) -> Result<Host<f32>, Fault> {
        // The backend copies if the tensor is shared or strided.
        let shape = self.shape(input)?;
        self.charge(&shape, DataType::F32)?;
        let tensor = self.float(input)?;
        float_into::<B>(tensor)
    }

    pub fn ints(&mut self, input: usize) -> Result<Ints, Fault> {
        match self.take(input)? {
            Value::Int(ints) => Ok(ints),
            other => Err(Fault::Type { input, found: other.data_type() }),
        }
    }

    pub fn bools(&mut self, input: usize) -> Result<Host<bool>, Fault> {
        match self.take(input)? {
            Value::Bool(bools) => Ok(bools),
            other => Err(Fault::Type { input, found: other.data_type() }),
        }
    }

    /// A list of integers: a shape, axes, sizes.
    pub fn list(&mut self, input: usize) -> Result<Vec<i64>, Fault> {
        let ints = self.ints(input)?;
        match ints.tensor.shape.len() {
            0 | 1 => Ok(ints.tensor.data.to_vec()),
            rank => Err(Fault::Shape(format!("input {input} is a list; a tensor of {rank} dimensions was given"))),
        }
    }

    pub fn optional_list(&mut self, input: usize) -> Result<Option<Vec<i64>>, Fault> {
        match self.has(input) {
            true => self.list(input).map(Some),
            false => Ok(None),
        }
    }

    /// A list that was an attribute before operator set `moved`, and is an input from there on.
    pub fn list_since(&mut self, moved: i64, input: usize, attribute: &str) -> Result<Option<Vec<i64>>, Fault> {
        match self.opset() >= moved {
            true => self.optional_list(input),
            false => Ok(self.attributes().ints(attribute)?.map(<[i64]>::to_vec)),
        }
    }

    pub fn charge(&mut self, shape: &[usize], data_type: DataType) -> Result<usize, Fault> {
        self.meter.charge(shape, data_type)
    }

    /// The operands' common type.
    pub fn same_type(&self) -> Result<DataType, Fault> {
        let first = self.peek(0)?.data_type();
        for input in 1..self.inputs.len() {
            let found = self.peek(input)?.data_type();
            if found != first {
                return Err(Fault::Value(format!("its operands are {first} and {found}; they must be of one type")));
            }
        }
        Ok(first)
    }
}

/// A float tensor without elements.
pub(crate) fn empty<B: Backend>(shape: Vec<usize>, device: &Device<B>) -> FloatTensor<B> {
    B::float_from_data(TensorData::new(Vec::<f32>::new(), shape), device)
}

/// One result.
pub(crate) fn one<B: Backend>(value: Value<B>) -> Result<Outputs<B>, Fault> {
    Ok(vec![value])
}

/// One float result.
pub(crate) fn float<B: Backend>(tensor: FloatTensor<B>) -> Result<Outputs<B>, Fault> {
    one(Value::Float(tensor))
}

/// One integer result.
pub(crate) fn int<B: Backend>(shape: Vec<usize>, data: Vec<i64>, data_type: DataType) -> Result<Outputs<B>, Fault> {
    one(Value::Int(Ints { data_type, tensor: Host::new(shape, data) }))
}

/// One boolean result.
pub(crate) fn bool<B: Backend>(shape: Vec<usize>, data: Vec<bool>) -> Result<Outputs<B>, Fault> {
    one(Value::Bool(Host::new(shape, data)))
}
