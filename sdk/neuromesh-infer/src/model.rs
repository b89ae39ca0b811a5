//! A loaded model.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    IoSpec, Limits, LoadError, Run, RunError, Tensor,
    graph::Graph,
    plan::{self, Plan},
    rewrite,
};

/// A model, checked and ready to run any number of times, also at once.
///
/// It owns its weights, once; runs share them.
#[derive(Debug)]
pub struct Model {
    pub(crate) plan: Plan,
    pub(crate) limits: Limits,
    inputs: Vec<IoSpec>,
    outputs: Vec<IoSpec>,
}

impl Model {
    /// Reads an ONNX file, checks all of it and prepares it.
    ///
    /// The weights are copied out of `bytes`, which is let go before this returns.
    pub fn load(bytes: Bytes, limits: &Limits) -> Result<Self, LoadError> {
        let mut graph = Graph::read(bytes, limits)?;
        plan::fold_constants(&mut graph, limits)?;
        rewrite::rewrite(&mut graph);
        let plan = Plan::new(graph, limits)?;
        tracing::debug!(steps = plan.steps.len(), weight_bytes = plan.weight_bytes, "model loaded");
        let specs = |list: &[(_, IoSpec)]| list.iter().map(|(_, spec)| spec.clone()).collect();
        Ok(Self { inputs: specs(&plan.inputs), outputs: specs(&plan.outputs), plan, limits: limits.clone() })
    }

    /// What the model takes, in the file's order.
    pub fn inputs(&self) -> &[IoSpec] {
        &self.inputs
    }

    /// What the model gives, in the file's order.
    pub fn outputs(&self) -> &[IoSpec] {
        &self.outputs
    }

    /// Bytes that the weights and other constants occupy.
    pub fn weight_bytes(&self) -> u64 {
        self.plan.weight_bytes
    }

    /// Operators that a run executes.
    pub fn steps(&self) -> usize {
        self.plan.steps.len()
    }

    /// Checks the inputs and prepares a run; nothing is computed yet.
    pub fn start(self: &Arc<Self>, inputs: Vec<(String, Tensor)>) -> Result<Run, RunError> {
        Run::new(Arc::clone(self), inputs)
    }

    /// Runs to the end.
    pub fn run(self: &Arc<Self>, inputs: Vec<(String, Tensor)>) -> Result<Vec<(String, Tensor)>, RunError> {
        let mut run = self.start(inputs)?;
        loop {
            if let Some(outputs) = run.step()? {
                return Ok(outputs);
            }
        }
    }
}
