//! An operator's view of its node while it is executed.

use super::Packed;
use crate::{
    DataType, Fault, attribute::Attributes, buffer::Buffer, graph::Node, kernels::cpu::Cpu, memory::Memory,
    shape::Shape, value::Value,
};

/// The results of an operator, in order; those that nobody uses may be left out at the end.
pub(crate) type Outputs = Vec<Value>;

/// A node, its operands and what it may use.
pub(crate) struct Call<'a> {
    pub node: &'a Node,
    /// Taken one by one; an operand that nobody else holds can be worked on in place.
    pub inputs: Vec<Option<Value>>,
    /// What the operator made of a constant operand, which is then absent.
    pub packed: Option<&'a Packed>,
    pub memory: &'a Memory,
    pub cpu: &'a Cpu,
}

impl Call<'_> {
    pub fn attributes(&self) -> &Attributes {
        &self.node.attributes
    }

    pub fn opset(&self) -> i64 {
        self.node.opset
    }

    pub fn has(&self, input: usize) -> bool {
        matches!(self.inputs.get(input), Some(Some(_)))
    }

    pub fn peek(&self, input: usize) -> Result<&Value, Fault> {
        self.inputs.get(input).and_then(Option::as_ref).ok_or(Fault::Missing(input))
    }

    pub fn shape(&self, input: usize) -> Result<Shape, Fault> {
        Ok(self.peek(input)?.shape().clone())
    }

    pub fn data_type(&self, input: usize) -> Result<DataType, Fault> {
        Ok(self.peek(input)?.data_type())
    }

    pub fn take(&mut self, input: usize) -> Result<Value, Fault> {
        self.inputs.get_mut(input).and_then(Option::take).ok_or(Fault::Missing(input))
    }

    /// Single-precision elements.
    pub fn floats(&self, input: usize) -> Result<&[f32], Fault> {
        Ok(self.expect(input, DataType::F32)?.raw())
    }

    /// The same, if the operand is there.
    pub fn optional_floats(&self, input: usize) -> Result<Option<&[f32]>, Fault> {
        match self.has(input) {
            true => self.floats(input).map(Some),
            false => Ok(None),
        }
    }

    /// Booleans, as bytes 0 and 1.
    pub fn bools(&self, input: usize) -> Result<&[u8], Fault> {
        Ok(self.expect(input, DataType::Bool)?.raw())
    }

    /// An operand of this type.
    pub fn expect(&self, input: usize, data_type: DataType) -> Result<&Value, Fault> {
        let value = self.peek(input)?;
        match value.data_type() {
            found if found == data_type => Ok(value),
            found => Err(Fault::Type { input, found }),
        }
    }

    /// Integers of any width, widened.
    pub fn integers(&self, input: usize) -> Result<Vec<i64>, Fault> {
        let value = self.peek(input)?;
        match value.data_type() {
            found if !found.is_integer() => Err(Fault::Type { input, found }),
            _ => {
                self.memory.check(value.len() as u64 * 8)?;
                value.to_integers()
            }
        }
    }

    /// A list of integers: a shape, axes, sizes.
    pub fn list(&self, input: usize) -> Result<Vec<i64>, Fault> {
        match self.peek(input)?.rank() {
            0 | 1 => self.integers(input),
            rank => Err(Fault::Shape(format!("input {input} is a list; a tensor of {rank} dimensions was given"))),
        }
    }

    pub fn optional_list(&self, input: usize) -> Result<Option<Vec<i64>>, Fault> {
        match self.has(input) {
            true => self.list(input).map(Some),
            false => Ok(None),
        }
    }

    /// A list that was an attribute before operator set `moved`, and is an input from there on.
    pub fn list_since(&self, moved: i64, input: usize, attribute: &str) -> Result<Option<Vec<i64>>, Fault> {
        match self.opset() >= moved {
            true => self.optional_list(input),
            false => Ok(self.attributes().ints(attribute)?.map(<[i64]>::to_vec)),
        }
    }

    /// One number of any type, as a scalar or a tensor of one element.
    pub fn number(&self, input: usize) -> Result<f64, Fault> {
        let value = self.peek(input)?;
        if value.len() != 1 {
            return Err(Fault::Shape(format!("input {input} must be one number; it has {} elements", value.len())));
        }
        Ok(match value.data_type() {
            DataType::F32 => value.raw::<f32>()[0].into(),
            DataType::F16 => value.raw::<half::f16>()[0].into(),
            DataType::Bool => value.raw::<u8>()[0].into(),
            _ => value.to_integers()?[0] as f64,
        })
    }

    /// One integer, as a scalar or a tensor of one element.
    pub fn integer(&self, input: usize) -> Result<i64, Fault> {
        match self.integers(input)?.as_slice() {
            [value] => Ok(*value),
            other => Err(Fault::Shape(format!("input {input} must be one number; it has {} elements", other.len()))),
        }
    }

    /// A tensor with undefined elements, for a result.
    pub fn make(&self, data_type: DataType, shape: impl Into<Shape>) -> Result<Value, Fault> {
        self.memory.value(data_type, shape)
    }

    /// Memory for so many numbers while the operator runs.
    pub fn scratch(&self, numbers: usize) -> Result<Buffer, Fault> {
        self.memory.buffer(numbers.saturating_mul(4))
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

/// One result.
pub(crate) fn one(value: Value) -> Result<Outputs, Fault> {
    Ok(vec![value])
}
