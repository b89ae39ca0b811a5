//! A loaded model.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use crate::{
    IoSpec, Limits, LoadError, Run, RunError, Tensor,
    graph::{self, Graph},
    kernels::cpu::{Cpu, Numerics},
    plan::{self, Plan},
    rewrite,
};

/// A model, checked and ready to run any number of times, also at once.
///
/// It owns its weights, once; runs share them.
#[derive(Debug)]
pub struct Model {
    pub(crate) plan: Arc<Plan>,
    pub(crate) limits: Limits,
    pub(crate) cpu: Cpu,
    inputs: Vec<IoSpec>,
    outputs: Vec<IoSpec>,
    weight_bytes: u64,
}

/// How a model is loaded.
#[derive(Debug, Clone)]
pub struct Options {
    /// What it may use.
    pub limits: Limits,
    /// Where its operators run, and how exactly.
    pub cpu: Cpu,
    /// The files that hold weights outside of the model's own file, by the names that the model gives them.
    pub external: BTreeMap<String, Bytes>,
}

impl Default for Options {
    fn default() -> Self {
        Self { limits: Limits::default(), cpu: Cpu::new(Numerics::Exact), external: BTreeMap::new() }
    }
}

impl Model {
    /// Reads an ONNX file, checks all of it and prepares it.
    ///
    /// The weights are copied out of `bytes`, which is let go before this returns.
    pub fn load(bytes: Bytes, limits: &Limits) -> Result<Self, LoadError> {
        Self::load_with(bytes, Options { limits: limits.clone(), ..Options::default() })
    }

    /// The same, with more to choose.
    pub fn load_with(bytes: Bytes, options: Options) -> Result<Self, LoadError> {
        let Options { limits, cpu, external } = options;
        let mut graph = graph::read(bytes, &external, &limits)?;
        drop(external);
        plan::fold_constants(&mut graph, &limits, &cpu)?;
        rewrite_all(&mut graph);
        let plan = Plan::new(graph, &cpu);
        let weight_bytes = plan.weight_bytes();
        if weight_bytes > limits.memory {
            return Err(LoadError::TooLarge { needed: weight_bytes, limit: limits.memory });
        }
        tracing::debug!(steps = plan.steps.len(), weight_bytes, "model loaded");
        let specs = |list: &[(_, IoSpec)]| list.iter().map(|(_, spec)| spec.clone()).collect();
        let (inputs, outputs) = (specs(&plan.inputs), specs(&plan.outputs));
        Ok(Self { plan: Arc::new(plan), limits, cpu, inputs, outputs, weight_bytes })
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
        self.weight_bytes
    }

    /// Operators that a run executes, each body's once.
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

fn rewrite_all(graph: &mut Graph) {
    rewrite::rewrite(graph);
    for body in graph.nodes.iter_mut().flat_map(|node| &mut node.bodies) {
        rewrite_all(&mut body.graph);
    }
}
