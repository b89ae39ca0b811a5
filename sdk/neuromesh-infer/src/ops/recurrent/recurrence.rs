//! The product of each step.

use super::Layer;
use crate::{
    Fault,
    kernels::cpu::Cpu,
    memory::Memory,
    ops::{
        call::Call,
        products::{self, Matrix},
    },
};

/// What the states contribute to the gates.
pub(super) struct Recurrence<'a> {
    cpu: &'a Cpu,
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
        let (states, weights) = (Matrix::rows(states, self.hidden), Matrix::rows(weights, self.hidden).transposed());
        products::matmul(self.cpu, self.memory, [self.batch, rows, self.hidden], states, weights, out)
    }
}
