//! Tensors as they cross the engine's border: a shape and typed, row-major data.

use std::fmt;

use half::f16;

/// The elements of a [`Tensor`], in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// 32-bit floating point.
    F32(Vec<f32>),
    /// 16-bit floating point (IEEE 754 binary16).
    F16(Vec<f16>),
    /// 64-bit signed integers.
    I64(Vec<i64>),
    /// 32-bit signed integers.
    I32(Vec<i32>),
    /// 8-bit unsigned integers.
    U8(Vec<u8>),
    /// 8-bit signed integers.
    I8(Vec<i8>),
    /// Booleans.
    Bool(Vec<bool>),
}

impl Data {
    /// The type of the elements.
    pub fn data_type(&self) -> DataType {
        match self {
            Data::F32(_) => DataType::F32,
            Data::F16(_) => DataType::F16,
            Data::I64(_) => DataType::I64,
            Data::I32(_) => DataType::I32,
            Data::U8(_) => DataType::U8,
            Data::I8(_) => DataType::I8,
            Data::Bool(_) => DataType::Bool,
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self {
            Data::F32(data) => data.len(),
            Data::F16(data) => data.len(),
            Data::I64(data) => data.len(),
            Data::I32(data) => data.len(),
            Data::U8(data) => data.len(),
            Data::I8(data) => data.len(),
            Data::Bool(data) => data.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DataType {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point (IEEE 754 binary16).
    F16,
    /// 64-bit signed integer.
    I64,
    /// 32-bit signed integer.
    I32,
    /// 8-bit unsigned integer.
    U8,
    /// 8-bit signed integer.
    I8,
    /// Boolean.
    Bool,
}

impl DataType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            DataType::F32 | DataType::I32 => 4,
            DataType::F16 => 2,
            DataType::I64 => 8,
            DataType::U8 | DataType::I8 | DataType::Bool => 1,
        }
    }

    /// Whether it is an integer of any width.
    pub fn is_integer(self) -> bool {
        matches!(self, DataType::I64 | DataType::I32 | DataType::U8 | DataType::I8)
    }

    /// From ONNX's `TensorProto.DataType`; `None` for a type that the engine does not have.
    pub(crate) fn from_onnx(code: i32) -> Option<Self> {
        Some(match code {
            1 => DataType::F32,
            2 => DataType::U8,
            3 => DataType::I8,
            6 => DataType::I32,
            7 => DataType::I64,
            9 => DataType::Bool,
            10 => DataType::F16,
            _ => return None,
        })
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DataType::F32 => "float32",
            DataType::F16 => "float16",
            DataType::I64 => "int64",
            DataType::I32 => "int32",
            DataType::U8 => "uint8",
            DataType::I8 => "int8",
            DataType::Bool => "bool",
        })
    }
}

/// A dense tensor. No dimensions: a scalar.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The sizes of its dimensions.
    pub shape: Vec<usize>,
    /// Its elements, in row-major order.
    pub data: Data,
}

impl Tensor {
    /// A tensor of this shape, if the number of elements fits.
    pub fn new(shape: impl Into<Vec<usize>>, data: Data) -> Result<Self, ShapeMismatch> {
        let tensor = Self { shape: shape.into(), data };
        match tensor.is_consistent() {
            true => Ok(tensor),
            false => Err(ShapeMismatch { elements: tensor.data.len(), shape: tensor.shape }),
        }
    }

    /// A tensor of zeros; `None` for a shape that is too large to be written down.
    pub fn zeros(data_type: DataType, shape: impl Into<Vec<usize>>) -> Option<Self> {
        let shape = shape.into();
        let count = crate::shape::elements(&shape)?;
        let data = match data_type {
            DataType::F32 => Data::F32(vec![0.0; count]),
            DataType::F16 => Data::F16(vec![f16::ZERO; count]),
            DataType::I64 => Data::I64(vec![0; count]),
            DataType::I32 => Data::I32(vec![0; count]),
            DataType::U8 => Data::U8(vec![0; count]),
            DataType::I8 => Data::I8(vec![0; count]),
            DataType::Bool => Data::Bool(vec![false; count]),
        };
        Some(Self { shape, data })
    }

    /// Whether shape and data agree; the fields are public, so this can be broken from outside.
    pub(crate) fn is_consistent(&self) -> bool {
        crate::shape::elements(&self.shape) == Some(self.data.len())
    }
}

/// A shape and a number of elements that do not agree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("shape {shape:?} does not describe {elements} elements")]
pub struct ShapeMismatch {
    /// The shape that was asked for.
    pub shape: Vec<usize>,
    /// The elements that were given.
    pub elements: usize,
}
