//! A value between two operators.
//!
//! Floating point tensors live in the backend. Integers and booleans live on the host: in the models that we run they are
//! shapes, indices, token ids and masks, they steer the graph, and ONNX's rules for them (wrap-around, truncating division,
//! negative indices) must hold exactly and must never panic, which backends do not promise.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use burn_backend::{
    Backend, Shape, TensorData, TensorMetadata,
    tensor::{Device, FloatTensor, IntTensor},
};

use crate::{Data, DataType, Fault, Tensor, shape};

/// A value between two operators. Cloning shares the elements.
#[derive(Debug)]
pub(crate) enum Value<B: Backend> {
    Float(FloatTensor<B>),
    Int(Ints),
    Bool(Host<bool>),
}

impl<B: Backend> Clone for Value<B> {
    fn clone(&self) -> Self {
        match self {
            Value::Float(tensor) => Value::Float(tensor.clone()),
            Value::Int(ints) => Value::Int(ints.clone()),
            Value::Bool(bools) => Value::Bool(bools.clone()),
        }
    }
}

impl<B: Backend> Value<B> {
    /// Takes a tensor over; floats are moved, not copied.
    pub fn from_tensor(tensor: Tensor, device: &Device<B>) -> Self {
        let shape = tensor.shape;
        let ints = |data: Vec<i64>, data_type| (data, data_type);
        let (data, data_type) = match tensor.data {
            Data::F32(data) => return Value::Float(float_from::<B>(Host::new(shape, data), device)),
            Data::Bool(data) => return Value::Bool(Host::new(shape, data)),
            Data::I64(data) => ints(data, DataType::I64),
            Data::I32(data) => ints(data.into_iter().map(i64::from).collect(), DataType::I32),
            Data::U8(data) => ints(data.into_iter().map(i64::from).collect(), DataType::U8),
            Data::I8(data) => ints(data.into_iter().map(i64::from).collect(), DataType::I8),
        };
        Value::Int(Ints { data_type, tensor: Host::new(shape, data) })
    }

    /// The tensor, in row-major order.
    pub fn into_tensor(self) -> Result<Tensor, Fault> {
        let (shape, data) = match self {
            Value::Float(tensor) => {
                let host = float_into::<B>(tensor)?;
                let data = Arc::unwrap_or_clone(host.data);
                (host.shape, Data::F32(data))
            }
            Value::Bool(Host { shape, data }) => (shape, Data::Bool(Arc::unwrap_or_clone(data))),
            Value::Int(Ints { data_type, tensor: Host { shape, data } }) => {
                let data = match data_type {
                    DataType::I32 => Data::I32(data.iter().map(|&value| value as i32).collect()),
                    DataType::U8 => Data::U8(data.iter().map(|&value| value as u8).collect()),
                    DataType::I8 => Data::I8(data.iter().map(|&value| value as i8).collect()),
                    _ => Data::I64(Arc::unwrap_or_clone(data)),
                };
                (shape, data)
            }
        };
        Ok(Tensor { shape, data })
    }

    pub fn shape(&self) -> Vec<usize> {
        match self {
            Value::Float(tensor) => tensor.shape().to_vec(),
            Value::Int(ints) => ints.tensor.shape.clone(),
            Value::Bool(bools) => bools.shape.clone(),
        }
    }

    pub fn data_type(&self) -> DataType {
        match self {
            Value::Float(_) => DataType::F32,
            Value::Int(ints) => ints.data_type,
            Value::Bool(_) => DataType::Bool,
        }
    }

    /// Bytes that the value holds; views count in full.
    pub fn bytes(&self) -> u64 {
        shape::elements(&self.shape()).unwrap_or(usize::MAX) as u64 * held_size(self.data_type())
    }

    /// The same elements in another shape of the same size, which the caller has checked.
    pub fn reshape(self, shape: Vec<usize>) -> Self {
        match self {
            Value::Float(tensor) => Value::Float(B::float_reshape(tensor, Shape::from(shape))),
            Value::Int(ints) => Value::Int(Ints { tensor: Host { shape, ..ints.tensor }, ..ints }),
            Value::Bool(bools) => Value::Bool(Host { shape, ..bools }),
        }
    }
}

/// Bytes of one element inside the engine: every integer is held in 64 bits.
pub(crate) fn held_size(data_type: DataType) -> u64 {
    match data_type {
        DataType::F32 => 4,
        DataType::Bool => 1,
        _ => 8,
    }
}

/// A row-major tensor on the host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Host<T> {
    pub shape: Vec<usize>,
    pub data: Arc<Vec<T>>,
}

impl<T> Host<T> {
    pub fn new(shape: Vec<usize>, data: Vec<T>) -> Self {
        debug_assert_eq!(shape::elements(&shape), Some(data.len()));
        Self { shape, data: Arc::new(data) }
    }
}

/// Integers of any width, widened; operators wrap their results back to the width.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ints {
    pub data_type: DataType,
    pub tensor: Host<i64>,
}

impl Ints {
    /// A list, as shapes and axes are.
    pub fn list(data: Vec<i64>) -> Self {
        Self { data_type: DataType::I64, tensor: Host::new(vec![data.len()], data) }
    }
}

/// The value as an integer of this type holds it.
pub(crate) fn wrap(value: i64, data_type: DataType) -> i64 {
    match data_type {
        DataType::I32 => i64::from(value as i32),
        DataType::U8 => i64::from(value as u8),
        DataType::I8 => i64::from(value as i8),
        _ => value,
    }
}

/// Floats to the backend.
pub(crate) fn float_from<B: Backend>(host: Host<f32>, device: &Device<B>) -> FloatTensor<B> {
    B::float_from_data(TensorData::new(Arc::unwrap_or_clone(host.data), host.shape), device)
}

/// Floats from the backend; the CPU backend hands its buffer over if nobody shares it.
pub(crate) fn float_into<B: Backend>(tensor: FloatTensor<B>) -> Result<Host<f32>, Fault> {
    let shape = tensor.shape().to_vec();
    let data = block(B::float_into_data(tensor))?.map_err(|error| Fault::Backend(error.to_string()))?;
    let data = data.try_into_vec::<f32>().map_err(|error| Fault::Backend(format!("{error:?}")))?;
    Ok(Host::new(shape, data))
}

/// Indices, already checked, to the backend.
pub(crate) fn indices_from<B: Backend>(indices: Vec<i64>, device: &Device<B>) -> IntTensor<B> {
    let shape = [indices.len()];
    B::int_from_data(TensorData::new(indices, shape), device)
}

/// The result of a future of the backend. A CPU's is ready at once; a device that is not must be read from outside.
fn block<T>(future: impl Future<Output = T>) -> Result<T, Fault> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err(Fault::Backend("it did not answer at once".into())),
    }
}
