//! Tensors between host and device.

use std::sync::Arc;

use burn_backend::{
    Backend, TensorData,
    tensor::{Device, FloatTensor},
};

use super::{
    guard::caught_while,
    ops::{on_device, shaped},
};
use crate::{
    DataType, Fault,
    memory::{Charge, Memory},
    shape::Shape,
    value::Value,
};

/// A tensor of a run on the device. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Held<B: Backend> {
    tensor: FloatTensor<B>,
    shape: Shape,
    /// Its place in the run's account, if it is not the model's.
    charge: Option<Arc<Charge>>,
}

impl<B: Backend> Held<B> {
    /// A tensor that the run has paid for.
    pub fn new(tensor: FloatTensor<B>, shape: Shape, charge: Charge) -> Self {
        Self { tensor: shaped::<B>(tensor, &shape), shape, charge: Some(Arc::new(charge)) }
    }

    /// A constant of the model; the same elements may stand in several shapes.
    pub fn constant(tensor: FloatTensor<B>, shape: &Shape) -> Self {
        Self { tensor: shaped::<B>(tensor, shape), shape: shape.clone(), charge: None }
    }

    pub fn from_host(value: &Value, memory: &Memory, device: &Device<B>) -> Result<Self, Fault> {
        let charge = memory.charge(value.bytes())?;
        Ok(Self::new(upload::<B>(value, device), value.shape().clone(), charge))
    }

    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The tensor and what keeps its bytes accounted for.
    pub fn into_parts(self) -> (FloatTensor<B>, Option<Arc<Charge>>) {
        (self.tensor, self.charge)
    }

    /// Reads the tensor back.
    pub async fn download(self, memory: &Memory) -> Result<Value, Fault> {
        let mut value = memory.value(DataType::F32, self.shape)?;
        let failed = |reason: String| Fault::Backend(reason);
        let data = caught_while(B::float_into_data(self.tensor)).await?.map_err(|error| failed(error.to_string()))?;
        let elements = data.as_slice::<f32>().map_err(|error| failed(format!("{error:?}")))?;
        match elements.len() == value.len() {
            true => value.raw_mut().copy_from_slice(elements),
            false => return Err(failed(format!("{} elements instead of {}", elements.len(), value.len()))),
        }
        Ok(value)
    }
}

/// Whether a value can lie on a device.
pub(super) fn fits(value: &Value) -> bool {
    value.data_type() == DataType::F32 && value.len() > 0
}

pub(super) fn upload<B: Backend>(value: &Value, device: &Device<B>) -> FloatTensor<B> {
    B::float_from_data(TensorData::new(value.raw::<f32>().to_vec(), on_device(value.shape())), device)
}
