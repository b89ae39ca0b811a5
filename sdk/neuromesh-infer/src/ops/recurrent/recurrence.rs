//! The product of each step.

use super::Layer;
use crate::{
    Fault,
    kernels::{cpu::Cpu, gemm::Epilogue},
    memory::Memory,
    ops::{
        call::Call,
        products::{self, Matrix, Weight},
    },
};

/// What the states contribute to the gates.
pub(super) struct Recurrence<'a> {
    pub cpu: &'a Cpu,
    memory: &'a Memory,
    batch: usize,
    pub hidden: usize,
}

impl<'a> Recurrence<'a> {
    pub fn new(call: &Call<'a>, layer: &Layer) -> Self {
        Self { cpu: call.cpu, memory: call.memory, batch: layer.batch, hidden: layer.hidden }
    }

    /// `out[batch, rows] = states[batch, hidden] · weights[rows, hidden]^T`
    pub fn multiply(&self, states: &[f32], weights: &[f32], out: &mut [f32]) -> Result<(), Fault> {
        let rows = weights.len() / self.hidden;
        self.multiply_by(states, Weight::Matrix(Matrix::rows(weights, self.hidden).transposed()), rows, out)
    }

    /// The same, of weights that are as the product takes them.
    pub fn multiply_by(&self, states: &[f32], weights: Weight<'_>, rows: usize, out: &mut [f32]) -> Result<(), Fault> {
        let (sizes, states) = ([self.batch, rows, self.hidden], Matrix::rows(states, self.hidden));
        products::product(self.cpu, self.memory, sizes, states, weights, &Epilogue::default(), out)
    }
}
