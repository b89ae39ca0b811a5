//! Two other engines for ONNX behind one interface, to be measured beside ours.
//!
//! Tensors cross the border as a type's name, a shape and little-endian bytes, as everywhere in `tests/bench`.

#[cfg(feature = "rten")]
mod on_rten;
#[cfg(feature = "tract")]
mod on_tract;

use wasm_bindgen::prelude::*;

/// A tensor as bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// `f32`, `i64`, `i32`, `u8`, `i8` or `bool`.
    pub dtype: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its elements, little-endian, row by row.
    pub data: Vec<u8>,
}

/// A loaded model.
trait Engine {
    /// The outputs, in the model's order.
    fn run(&self, inputs: &[(String, Tensor)]) -> Result<Vec<Tensor>, String>;
}

/// A model in one of the engines, the inputs of its next run and the outputs of its last one.
#[wasm_bindgen]
pub struct Peer {
    engine: Box<dyn Engine>,
    inputs: Vec<(String, Tensor)>,
    outputs: Vec<Tensor>,
}

/// What the model is, and the inputs that it will be run with: tract optimizes for their shapes.
#[wasm_bindgen]
#[derive(Default)]
pub struct Opening {
    inputs: Vec<(String, Tensor)>,
}

#[wasm_bindgen]
impl Opening {
    /// Without inputs yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an input.
    pub fn input(&mut self, name: String, dtype: String, shape: Vec<usize>, data: Vec<u8>) {
        self.inputs.push((name, Tensor { dtype, shape, data }));
    }

    /// Loads the model into the engine `rten` or `tract`.
    pub fn open(self, engine: &str, model: Vec<u8>) -> Result<Peer, String> {
        let engine: Box<dyn Engine> = match engine {
            #[cfg(feature = "rten")]
            "rten" => Box::new(on_rten::Loaded::new(model)?),
            #[cfg(feature = "tract")]
            "tract" => Box::new(on_tract::Loaded::new(&model, &self.inputs)?),
            _ => return Err(format!("no engine {engine:?} was compiled in")),
        };
        Ok(Peer { engine, inputs: Vec::new(), outputs: Vec::new() })
    }
}

#[wasm_bindgen]
impl Peer {
    /// Gives the next run an input.
    pub fn input(&mut self, name: String, dtype: String, shape: Vec<usize>, data: Vec<u8>) {
        self.inputs.push((name, Tensor { dtype, shape, data }));
    }

    /// Runs the model on the inputs given since the last run; returns the number of outputs.
    pub fn run(&mut self) -> Result<usize, String> {
        self.outputs = self.engine.run(&std::mem::take(&mut self.inputs))?;
        Ok(self.outputs.len())
    }

    /// The type of an output.
    pub fn dtype(&self, output: usize) -> String {
        self.outputs[output].dtype.clone()
    }

    /// The shape of an output.
    pub fn shape(&self, output: usize) -> Vec<usize> {
        self.outputs[output].shape.clone()
    }

    /// The bytes of an output.
    pub fn data(&self, output: usize) -> Vec<u8> {
        self.outputs[output].data.clone()
    }
}
