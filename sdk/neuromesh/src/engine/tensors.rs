//! Tensors of the wire and tensors of the engine: the core and the engine do not know each other.

use neuromesh_core::{DType, Tensor};
use neuromesh_infer::{self as infer, Data};

use super::{JobError, NamedTensors};

/// Wire tensors as engine tensors.
///
/// # Errors
/// [`JobError::InvalidInput`] for data that does not fit the shape.
pub fn to_engine(tensors: Vec<Tensor>) -> Result<NamedTensors, JobError> {
    tensors
        .into_iter()
        .map(|tensor| {
            let shape: Vec<usize> = tensor.shape.iter().map(|dim| *dim as usize).collect();
            let bytes = tensor.data;
            let data = match tensor.dtype {
                DType::F32 => Data::F32(elements(&bytes, f32::from_le_bytes)),
                DType::I64 => Data::I64(elements(&bytes, i64::from_le_bytes)),
                DType::I32 => Data::I32(elements(&bytes, i32::from_le_bytes)),
                DType::I8 => Data::I8(elements(&bytes, i8::from_le_bytes)),
                DType::U8 => Data::U8(bytes),
                DType::Bool => Data::Bool(bytes.into_iter().map(|byte| byte != 0).collect()),
                DType::F16 => Data::F16(elements(&bytes, infer::f16::from_le_bytes)),
            };
            let value = infer::Tensor::new(shape, data)
                .map_err(|error| JobError::InvalidInput(format!("tensor {:?}: {error}", tensor.name)))?;
            Ok((tensor.name, value))
        })
        .collect()
}

/// Engine tensors as wire tensors.
///
/// # Errors
/// [`JobError::Failed`] when a dimension does not fit 32 bits.
pub fn from_engine(tensors: NamedTensors) -> Result<Vec<Tensor>, JobError> {
    tensors
        .into_iter()
        .map(|(name, tensor)| {
            let shape = tensor.shape.iter().map(|dim| u32::try_from(*dim)).collect::<Result<_, _>>();
            let shape = shape.map_err(|_| JobError::Failed(format!("output {name:?} is too large to send")))?;
            let (dtype, data) = match tensor.data {
                Data::F32(values) => (DType::F32, bytes(&values, |value| value.to_le_bytes())),
                Data::F16(values) => (DType::F16, bytes(&values, |value| value.to_le_bytes())),
                Data::I64(values) => (DType::I64, bytes(&values, |value| value.to_le_bytes())),
                Data::I32(values) => (DType::I32, bytes(&values, |value| value.to_le_bytes())),
                Data::I8(values) => (DType::I8, bytes(&values, |value| value.to_le_bytes())),
                Data::U8(values) => (DType::U8, values),
                Data::Bool(values) => (DType::Bool, values.into_iter().map(u8::from).collect()),
            };
            Ok(Tensor { name, dtype, shape, data })
        })
        .collect()
}

fn elements<T, const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.chunks_exact(N).map(|chunk| read(chunk.try_into().expect("chunks of exactly N bytes"))).collect()
}

fn bytes<T: Copy, const N: usize>(values: &[T], write: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * N);
    for value in values {
        bytes.extend_from_slice(&write(*value));
    }
    bytes
}
