//! A loaded model.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use crate::{
    IoSpec, Limits, LoadError, Loader, Run, RunError, Tensor,
    graph::Graph,
    kernels::{
        cpu::{Cpu, Numerics},
        gemm,
        threads::Threads,
    },
    memory::{Arena, Memory, Objects},
    plan::{self, Plan},
    rewrite,
    shape::Shape,
    symbolic::{self, Sketches},
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
    arenas: Mutex<Arenas>,
}

/// Plans of memory by the shapes of the inputs, and buffers of runs that are over.
#[derive(Debug, Default)]
struct Arenas {
    /// The plan that was used last stands last.
    plans: Vec<(Signature, Arc<Arena>)>,
    /// Left by the last run that followed this plan.
    idle: Option<(Arc<Arena>, Objects)>,
}

/// What decides how a run uses memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    /// Of the inputs, in the order of the model.
    pub shapes: Vec<Shape>,
    /// Each has scratch of its own.
    pub threads: usize,
}

/// Plans that a model remembers.
const MAX_PLANS: usize = 16;

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

/// How a run goes; [`Default`] is as the model was loaded to go.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// How exact; the model's own when absent.
    pub numerics: Option<Numerics>,
    /// Who helps; the model's own when absent.
    pub threads: Option<Threads>,
}

impl Model {
    /// Reads an ONNX file, checks all of it and prepares it.
    ///
    /// The weights are copied out of `bytes`, which is let go before this returns. [`Loader`] takes a file in pieces.
    pub fn load(bytes: Bytes, limits: &Limits) -> Result<Self, LoadError> {
        Self::load_with(bytes, Options { limits: limits.clone(), ..Options::default() })
    }

    /// The same, with more to choose.
    pub fn load_with(bytes: Bytes, options: Options) -> Result<Self, LoadError> {
        Self::prepare(bytes, options, true)
    }

    /// The same, with constants left as they are if operators are not to pack them for this CPU.
    pub(crate) fn prepare(bytes: Bytes, options: Options, packs: bool) -> Result<Self, LoadError> {
        let mut loader = Loader::new(options, bytes.len() as u64);
        loader.push(&bytes)?;
        drop(bytes);
        loader.build(packs)
    }

    /// From the checked graph of a file.
    pub(crate) fn new(mut graph: Graph, limits: Limits, cpu: Cpu, packs: bool) -> Result<Self, LoadError> {
        plan::fold_constants(&mut graph, &limits, &cpu)?;
        let known = symbolic::infer(&graph, &BTreeMap::new())?;
        rewrite_all(&mut graph);
        let plan = Plan::new(graph, packs.then_some(&cpu));
        let weight_bytes = plan.weight_bytes();
        check_weights(weight_bytes, &limits)?;
        check_results(&plan, &known, weight_bytes, &limits)?;
        tracing::debug!(steps = plan.steps.len(), weight_bytes, "model loaded");
        let specs = |list: &[(_, IoSpec)]| list.iter().map(|(_, spec)| spec.clone()).collect();
        let (inputs, outputs) = (specs(&plan.inputs), specs(&plan.outputs));
        Ok(Self { plan: Arc::new(plan), limits, cpu, inputs, outputs, weight_bytes, arenas: Mutex::default() })
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

    /// Counts constants that it holds elsewhere, too.
    #[cfg(feature = "burn")]
    pub(crate) fn hold(&mut self, bytes: u64) -> Result<(), LoadError> {
        self.weight_bytes = self.weight_bytes.saturating_add(bytes);
        check_weights(self.weight_bytes, &self.limits)
    }

    /// Operators that a run executes, each body's once.
    pub fn steps(&self) -> usize {
        self.plan.steps.len()
    }

    /// Lets go of the memory that is kept for the next run.
    pub fn trim(&self) {
        self.arenas().idle = None;
    }

    /// Memory for a run with inputs of these shapes.
    pub(crate) fn memory(&self, signature: &Signature) -> Memory {
        let mut arenas = self.arenas();
        let known = arenas.plans.iter().position(|(known, _)| known == signature);
        let Some(known) = known else {
            return Memory::new(&self.limits, self.weight_bytes);
        };
        let entry = arenas.plans.remove(known);
        let plan = Arc::clone(&entry.1);
        arenas.plans.push(entry);
        let objects = match arenas.idle.take() {
            Some((left, objects)) if Arc::ptr_eq(&left, &plan) => objects,
            _ => Objects::default(),
        };
        drop(arenas);
        Memory::planned(&self.limits, self.weight_bytes, Some(plan), objects)
    }

    /// After a run to its end: what the next one can use.
    pub(crate) fn keep(&self, signature: Signature, memory: Memory) {
        if let Some(plan) = memory.plan() {
            let mut arenas = self.arenas();
            if arenas.plans.len() == MAX_PLANS {
                arenas.plans.remove(0);
            }
            arenas.plans.retain(|(known, _)| *known != signature);
            arenas.plans.push((signature, Arc::new(plan)));
        } else if let Some(left) = memory.into_objects() {
            self.arenas().idle = Some(left);
        }
    }

    fn arenas(&self) -> MutexGuard<'_, Arenas> {
        // Plans and buffers stay usable whatever happened beside them.
        self.arenas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks the inputs and prepares a run; nothing is computed yet.
    pub fn start(self: &Arc<Self>, inputs: Vec<(String, Tensor)>) -> Result<Run, RunError> {
        self.start_with(inputs, RunOptions::default())
    }

    /// The same, with more to choose. [`Run::numerics`] tells what became of it.
    pub fn start_with(self: &Arc<Self>, inputs: Vec<(String, Tensor)>, options: RunOptions) -> Result<Run, RunError> {
        Run::new(Arc::clone(self), inputs, self.cpu_for(options))
    }

    /// Weights are packed once, for the tile of the model's own numerics: where another one's tile differs, it is not used.
    fn cpu_for(&self, options: RunOptions) -> Cpu {
        let mut cpu = self.cpu.clone();
        if let Some(threads) = options.threads {
            cpu.threads = threads;
        }
        if let Some(numerics) = options.numerics {
            let other = Cpu { numerics, ..cpu.clone() };
            if gemm::same_layout(&cpu, &other) {
                return other;
            }
        }
        cpu
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

fn check_weights(needed: u64, limits: &Limits) -> Result<(), LoadError> {
    match needed <= limits.memory {
        true => Ok(()),
        false => Err(LoadError::TooLarge { needed, limit: limits.memory }),
    }
}

/// Refuses, before anything runs, a model that has a result beyond the limit whatever its inputs hold.
fn check_results(plan: &Plan, known: &Sketches, weights: u64, limits: &Limits) -> Result<(), LoadError> {
    for step in &plan.steps {
        let bytes = step.node.outputs.iter().flatten().filter_map(|id| known.get(*id).bytes()).max();
        let needed = bytes.map_or(0, |bytes| weights.saturating_add(bytes));
        if needed > limits.memory {
            let (node, op) = (step.node.name.clone(), step.node.op.name().into());
            return Err(LoadError::ResultTooLarge { node, op, needed, limit: limits.memory });
        }
    }
    Ok(())
}

pub(crate) fn rewrite_all(graph: &mut Graph) {
    rewrite::rewrite(graph);
    for body in graph.nodes.iter_mut().flat_map(|node| &mut node.bodies) {
        rewrite_all(&mut body.graph);
    }
}
