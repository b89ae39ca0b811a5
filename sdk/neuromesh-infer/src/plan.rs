//! From a graph to the steps of a run: constants folded, the dead removed, lifetimes known.

use std::collections::BTreeSet;

use burn_backend::tensor::Device;

use crate::{
    Fault, Limits, LoadError, RunError,
    backend::Engine,
    graph::{Graph, IoSpec, Node, ValueId},
    limits::{FOLDING_SLACK, FOLDING_STEPS, FOLDING_WORK},
    ops::{self, Call, Meter, Outputs},
    value::Value,
};

/// What a run executes.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Constants by the number of their value.
    pub constants: Vec<Option<Value<Engine>>>,
    pub steps: Vec<Step>,
    pub inputs: Vec<(ValueId, IoSpec)>,
    pub outputs: Vec<(ValueId, IoSpec)>,
    /// Values that some step or the caller still wants when a run starts or a step made them.
    pub wanted: Vec<bool>,
    pub weight_bytes: u64,
}

/// One operator of the plan.
#[derive(Debug)]
pub(crate) struct Step {
    pub node: Node,
    /// Beside each operand: whether nobody needs it afterwards.
    pub last_use: Vec<bool>,
}

impl Plan {
    pub fn new(graph: Graph, limits: &Limits) -> Result<Self, LoadError> {
        let values = graph.values.len();
        let mut wanted = vec![false; values];
        let mut needed_later = vec![false; values];
        for (id, _) in &graph.outputs {
            wanted[id.0] = true;
            needed_later[id.0] = true;
        }
        // From the end: a node whose results nobody wants is dead; the first use seen is the last one executed.
        let mut steps = Vec::with_capacity(graph.nodes.len());
        for node in graph.nodes.into_iter().rev() {
            if !node.outputs.iter().flatten().any(|id| wanted[id.0]) {
                continue;
            }
            let mut last_use = vec![false; node.inputs.len()];
            for (operand, last) in node.inputs.iter().zip(&mut last_use).rev() {
                if let Some(id) = operand {
                    wanted[id.0] = true;
                    *last = !std::mem::replace(&mut needed_later[id.0], true);
                }
            }
            steps.push(Step { node, last_use });
        }
        steps.reverse();

        let mut constants: Vec<Option<Value<Engine>>> = vec![None; values];
        for (id, value) in graph.constants {
            constants[id.0] = wanted[id.0].then_some(value);
        }
        let weight_bytes = constants.iter().flatten().map(Value::bytes).sum();
        if weight_bytes > limits.memory {
            return Err(LoadError::TooLarge { needed: weight_bytes, limit: limits.memory });
        }
        Ok(Self { constants, steps, inputs: graph.inputs, outputs: graph.outputs, wanted, weight_bytes })
    }
}

/// Executes, once, the nodes that depend on constants only.
pub(crate) fn fold_constants(graph: &mut Graph, limits: &Limits) -> Result<(), LoadError> {
    let device = Device::<Engine>::default();
    let weights: u64 = graph.constants.values().map(Value::bytes).sum();
    // Beyond these bounds a node simply stays for the run, which has bounds of its own.
    let bounds = Limits {
        memory: limits.memory.min(weights.saturating_mul(3).saturating_add(FOLDING_SLACK)),
        work: FOLDING_WORK.min(limits.work),
        ..limits.clone()
    };
    let mut meter = Meter::new(&bounds, weights);
    let overridable: BTreeSet<ValueId> = graph.inputs.iter().map(|(id, _)| *id).collect();
    let mut steps = 0;
    let mut kept = Vec::with_capacity(graph.nodes.len());
    for node in std::mem::take(&mut graph.nodes) {
        let constant = |id: &ValueId| graph.constants.contains_key(id) && !overridable.contains(id);
        if steps == FOLDING_STEPS || !node.inputs.iter().flatten().all(constant) {
            kept.push(node);
            continue;
        }
        steps += 1;
        let inputs = node.inputs.iter().map(|id| id.and_then(|id| graph.constants.get(&id).cloned())).collect();
        match execute(&node, inputs, &device, &mut meter) {
            Ok(results) => {
                let made = node.outputs.iter().zip(results).filter_map(|(id, value)| Some(((*id)?, value)));
                let made: Vec<_> = made.collect();
                meter.settle(made.iter().map(|(_, value)| value.bytes()).sum());
                graph.constants.extend(made);
            }
            Err(RunError::OutOfMemory { .. } | RunError::TooMuchWork { .. }) => {
                meter.settle(0);
                kept.push(node);
            }
            // The operands will be the same in every run.
            Err(error) => {
                let reason = match error {
                    RunError::Operator { fault, .. } => fault.to_string(),
                    other => other.to_string(),
                };
                return Err(LoadError::Node { node: node.name, op: node.op.name().into(), reason });
            }
        }
    }
    graph.nodes = kept;
    Ok(())
}

/// Executes one node; every result that the node names is there.
pub(crate) fn execute(
    node: &Node,
    inputs: Vec<Option<Value<Engine>>>,
    device: &Device<Engine>,
    meter: &mut Meter,
) -> Result<Outputs<Engine>, RunError> {
    let refuse = |fault| RunError::new(&node.name, node.op.name(), fault);
    let results = ops::run(Call { node, inputs, device, meter }).map_err(refuse)?;
    match results.len() >= node.outputs.len() {
        true => Ok(results),
        false => Err(refuse(Fault::Unsupported(format!("{} results", node.outputs.len())))),
    }
}
