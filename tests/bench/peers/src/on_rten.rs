//! rten: 64-bit integers and booleans are 32-bit integers there.

use rten::{Model, NodeId, Value, ValueOrView};
use rten_tensor::prelude::*;

use crate::{Engine, Tensor};

pub(crate) struct Loaded {
    model: Model,
    outputs: Vec<NodeId>,
}

impl Loaded {
    pub fn new(model: Vec<u8>) -> Result<Self, String> {
        let mut options = rten::ModelOptions::with_all_ops();
        let model = options.prepack_weights(true).load(model).map_err(|error| error.to_string())?;
        let outputs = model.output_ids().to_vec();
        Ok(Self { model, outputs })
    }
}

impl Engine for Loaded {
    fn run(&self, inputs: &[(String, Tensor)]) -> Result<Vec<Tensor>, String> {
        let mut given: Vec<(NodeId, ValueOrView)> = Vec::new();
        for (name, tensor) in inputs {
            let id = self.model.node_id(name).map_err(|error| error.to_string())?;
            given.push((id, value(tensor)?.into()));
        }
        let outputs = self.model.run(given, &self.outputs, None).map_err(|error| error.to_string())?;
        outputs.into_iter().map(tensor).collect()
    }
}

fn value(Tensor { dtype, shape, data }: &Tensor) -> Result<Value, String> {
    match dtype.as_str() {
        "f32" => made(shape, data.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)).collect()),
        "i64" => made(shape, data.as_chunks().0.iter().map(|&x| i64::from_le_bytes(x) as i32).collect()),
        "i32" => made(shape, data.as_chunks().0.iter().map(|&x| i32::from_le_bytes(x)).collect()),
        "bool" => made(shape, data.iter().map(|&x| i32::from(x)).collect()),
        "u8" => made(shape, data.clone()),
        "i8" => made(shape, data.iter().map(|&x| x as i8).collect()),
        other => Err(format!("rten has no {other}")),
    }
}

fn made<T>(shape: &[usize], data: Vec<T>) -> Result<Value, String>
where
    Value: From<rten_tensor::Tensor<T>>,
{
    let tensor = rten_tensor::Tensor::try_from_data(shape, data).map_err(|error| error.to_string())?;
    Ok(tensor.into())
}

fn tensor(value: Value) -> Result<Tensor, String> {
    let shape = value.shape().to_vec();
    let (dtype, data) = match &value {
        Value::FloatTensor(tensor) => ("f32", bytes(tensor.iter().copied(), f32::to_le_bytes)),
        Value::Int32Tensor(tensor) => ("i32", bytes(tensor.iter().copied(), i32::to_le_bytes)),
        Value::UInt8Tensor(tensor) => ("u8", bytes(tensor.iter().copied(), u8::to_le_bytes)),
        Value::Int8Tensor(tensor) => ("i8", bytes(tensor.iter().copied(), i8::to_le_bytes)),
        _ => return Err("an output is no tensor".into()),
    };
    Ok(Tensor { dtype: dtype.into(), shape, data })
}

fn bytes<T: Copy, const N: usize>(values: impl Iterator<Item = T>, to: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.flat_map(to).collect()
}
