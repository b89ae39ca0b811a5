//! A value between two operators: a dense, row-major tensor in the engine's own memory.

use std::sync::Arc;

use bytemuck::Pod;
use half::f16;

use crate::{
    Data, DataType, Fault, Tensor,
    buffer::Buffer,
    kernels::math,
    shape::{self, Shape},
};

/// A tensor. Cloning shares the elements; whoever holds them alone may change them.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    data_type: DataType,
    shape: Shape,
    data: Arc<Buffer>,
}

impl Value {
    /// Elements that fit the shape, which the caller has checked.
    pub fn new(data_type: DataType, shape: Shape, data: Buffer) -> Self {
        debug_assert_eq!(shape::elements(&shape).map(|count| count * data_type.size()), Some(data.bytes()));
        Self { data_type, shape, data: Arc::new(data) }
    }

    /// A constant.
    pub fn constant<T: Pod>(data_type: DataType, shape: impl Into<Shape>, elements: &[T]) -> Self {
        debug_assert_eq!(size_of::<T>(), data_type.size());
        Self::new(data_type, shape.into(), Buffer::from_slice(elements))
    }

    pub fn data_type(&self) -> DataType {
        self.data_type
    }

    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Elements.
    pub fn len(&self) -> usize {
        self.data.bytes() / self.data_type.size()
    }

    /// Bytes of its elements.
    pub fn bytes(&self) -> u64 {
        self.data.bytes() as u64
    }

    /// Its elements as the caller knows them: of a type of this size.
    pub fn raw<T: Pod>(&self) -> &[T] {
        debug_assert_eq!(size_of::<T>(), self.data_type.size());
        self.data.slice()
    }

    /// The same, to be written: only of a value that was just made or that nobody shares.
    pub fn raw_mut<T: Pod>(&mut self) -> &mut [T] {
        debug_assert_eq!(size_of::<T>(), self.data_type.size());
        Arc::get_mut(&mut self.data).expect("only values that nobody shares are written").slice_mut()
    }

    /// Whether nobody else holds the elements, so that they may be changed in place.
    pub fn is_unique(&mut self) -> bool {
        Arc::get_mut(&mut self.data).is_some()
    }

    /// The same number for values that hold the same elements.
    pub fn identity(&self) -> usize {
        Arc::as_ptr(&self.data).addr()
    }

    /// Whether its memory belongs to no run.
    pub fn is_constant(&self) -> bool {
        self.data.is_free()
    }

    /// Its elements' bytes.
    pub fn bytes_as_they_are(&self) -> &[u8] {
        self.data.slice()
    }

    /// The same elements in another shape of the same size, which the caller has checked.
    pub fn reshape(mut self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        debug_assert_eq!(shape::elements(&shape), shape::elements(&self.shape));
        self.shape = shape;
        self
    }

    /// Copies data of the same type and size in.
    pub fn write(&mut self, data: &Data) {
        match data {
            Data::F32(data) => self.raw_mut().copy_from_slice(data),
            Data::F16(data) => self.raw_mut().copy_from_slice(data),
            Data::I64(data) => self.raw_mut().copy_from_slice(data),
            Data::I32(data) => self.raw_mut().copy_from_slice(data),
            Data::U8(data) => self.raw_mut().copy_from_slice(data),
            Data::I8(data) => self.raw_mut().copy_from_slice(data),
            Data::Bool(data) => {
                self.raw_mut::<u8>().iter_mut().zip(data).for_each(|(byte, &value)| *byte = u8::from(value));
            }
        }
    }

    /// A copy for the world outside.
    pub fn to_tensor(&self) -> Tensor {
        let data = match self.data_type {
            DataType::F32 => {
                let mut data = self.raw().to_vec();
                math::canonicalize(&mut data);
                Data::F32(data)
            }
            DataType::F16 => Data::F16(self.raw().to_vec()),
            DataType::I64 => Data::I64(self.raw().to_vec()),
            DataType::I32 => Data::I32(self.raw().to_vec()),
            DataType::U8 => Data::U8(self.raw().to_vec()),
            DataType::I8 => Data::I8(self.raw().to_vec()),
            DataType::Bool => Data::Bool(self.raw::<u8>().iter().map(|&byte| byte != 0).collect()),
        };
        Tensor { shape: self.shape.to_vec(), data }
    }

    /// Integers of any width, widened.
    pub fn to_integers(&self) -> Result<Vec<i64>, Fault> {
        Ok(match self.data_type {
            DataType::I64 => self.raw::<i64>().to_vec(),
            DataType::I32 => self.raw::<i32>().iter().map(|&value| value.into()).collect(),
            DataType::U8 => self.raw::<u8>().iter().map(|&value| value.into()).collect(),
            DataType::I8 => self.raw::<i8>().iter().map(|&value| value.into()).collect(),
            other => return Err(Fault::Value(format!("an operand is {other}; integers are needed"))),
        })
    }

    /// Writes integers, wrapped to the width of the type.
    pub fn write_integers(&mut self, values: impl Iterator<Item = i64>) {
        match self.data_type {
            DataType::I64 => self.raw_mut::<i64>().iter_mut().zip(values).for_each(|(to, value)| *to = value),
            DataType::I32 => self.raw_mut::<i32>().iter_mut().zip(values).for_each(|(to, value)| *to = value as i32),
            DataType::U8 => self.raw_mut::<u8>().iter_mut().zip(values).for_each(|(to, value)| *to = value as u8),
            DataType::I8 => self.raw_mut::<i8>().iter_mut().zip(values).for_each(|(to, value)| *to = value as i8),
            other => unreachable!("integers are not written to {other}"),
        }
    }

    /// Writes the same number everywhere; `value` is rounded or wrapped to the type.
    pub fn fill(&mut self, value: f64) {
        match self.data_type {
            DataType::F32 => self.raw_mut::<f32>().fill(value as f32),
            DataType::F16 => self.raw_mut::<f16>().fill(f16::from_f64(value)),
            DataType::Bool => self.raw_mut::<u8>().fill(u8::from(value != 0.0)),
            _ => {
                let count = self.len();
                self.write_integers(std::iter::repeat_n(value as i64, count));
            }
        }
    }
}

/// Runs `$body` with `$t` as the Rust type of a [`DataType`]; booleans are bytes.
macro_rules! by_type {
    ($data_type:expr, $t:ident => $body:expr) => {
        match $data_type {
            $crate::DataType::F32 => {
                type $t = f32;
                $body
            }
            $crate::DataType::F16 => {
                type $t = half::f16;
                $body
            }
            $crate::DataType::I64 => {
                type $t = i64;
                $body
            }
            $crate::DataType::I32 => {
                type $t = i32;
                $body
            }
            $crate::DataType::I8 => {
                type $t = i8;
                $body
            }
            $crate::DataType::U8 | $crate::DataType::Bool => {
                type $t = u8;
                $body
            }
        }
    };
}

/// Runs `$body` with `$t` as an unsigned type of the same size: enough to move elements about.
macro_rules! by_size {
    ($data_type:expr, $t:ident => $body:expr) => {
        match $data_type.size() {
            1 => {
                type $t = u8;
                $body
            }
            2 => {
                type $t = u16;
                $body
            }
            4 => {
                type $t = u32;
                $body
            }
            _ => {
                type $t = u64;
                $body
            }
        }
    };
}

pub(crate) use {by_size, by_type};
