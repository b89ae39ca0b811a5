//! From a graph to the steps of a run: constants folded, the dead removed, lifetimes known.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    DataType, Fault, Limits, LoadError, RunError,
    buffer::Buffer,
    graph::{Graph, IoSpec, Node, ValueId},
    kernels::cpu::Cpu,
    limits::{FOLDING_SLACK, FOLDING_STEPS, FOLDING_WORK},
    memory::Memory,
    ops::{self, Call, Constants, Kind, Outputs, Packed},
    symbolic,
    value::Value,
};

/// What a run, or a turn of a body, executes.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Constants by the number of their value.
    pub constants: Vec<Option<Value>>,
    pub steps: Vec<Step>,
    pub inputs: Vec<(ValueId, IoSpec)>,
    pub outputs: Vec<(ValueId, IoSpec)>,
    /// Values that some step or the caller still wants when a run starts or a step made them.
    pub wanted: Vec<bool>,
}

/// One operator of the plan.
#[derive(Debug)]
pub(crate) struct Step {
    pub node: Node,
    /// Beside each operand: whether nobody needs it afterwards.
    pub last_use: Vec<bool>,
    pub bodies: Vec<Subplan>,
    pub packed: Option<Packed>,
}

/// The plan of a body.
#[derive(Debug)]
pub(crate) struct Subplan {
    /// The attribute that holds it.
    pub name: String,
    pub plan: Arc<Plan>,
    /// Where its captured values begin among the node's inputs, and how many there are.
    pub captured: std::ops::Range<usize>,
}

impl Step {
    /// The position of the body that an attribute holds.
    pub fn body(&self, name: &str) -> Option<usize> {
        self.bodies.iter().position(|body| body.name == name)
    }
}

impl Plan {
    /// `packing`: for whom operators pack constant operands, which are no longer there as they were then.
    pub fn new(graph: Graph, packing: Option<&Cpu>) -> Self {
        let values = graph.values.len();
        let mut wanted = vec![false; values];
        let mut needed_later = vec![false; values];
        for (id, _) in &graph.outputs {
            wanted[id.0] = true;
            needed_later[id.0] = true;
        }
        // From the end: a node whose results nobody wants is dead; the first use seen is the last one executed.
        let mut steps = Vec::with_capacity(graph.nodes.len());
        for mut node in graph.nodes.into_iter().rev() {
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
            let mut start = node.operands();
            let bodies = std::mem::take(&mut node.bodies).into_iter().map(|body| {
                let captured = start..start + body.captured;
                start = captured.end;
                Subplan { name: body.name, plan: Arc::new(Plan::new(body.graph, packing)), captured }
            });
            let bodies = bodies.collect();
            steps.push(Step { node, last_use, bodies, packed: None });
        }
        steps.reverse();

        let mut constants: Vec<Option<Value>> = vec![None; values];
        for (id, value) in graph.constants {
            constants[id.0] = wanted[id.0].then_some(value);
        }
        let mut plan = Self { constants, steps, inputs: graph.inputs, outputs: graph.outputs, wanted };
        if let Some(cpu) = packing {
            plan.pack(cpu);
        }
        plan
    }

    /// Lets operators pack constant operands; a constant that is only wanted packed is let go.
    fn pack(&mut self, cpu: &Cpu) {
        let mut uses = vec![0usize; self.constants.len()];
        // What the caller may replace is not constant, and what it gets is wanted as it is.
        for (id, _) in self.inputs.iter().chain(&self.outputs) {
            uses[id.0] = usize::MAX;
        }
        for id in self.steps.iter().flat_map(|step| &step.node.inputs).flatten() {
            uses[id.0] = uses[id.0].saturating_add(1);
        }
        let replaceable: BTreeSet<ValueId> = self.inputs.iter().map(|(id, _)| *id).collect();
        for step in &mut self.steps {
            let known = |id: &Option<ValueId>| {
                let id = id.filter(|id| !replaceable.contains(id))?;
                self.constants[id.0].as_ref()
            };
            let values = step.node.inputs.iter().map(known).collect();
            let Some((operand, packed)) = ops::prepare(&Constants { node: &step.node, values, cpu }) else {
                continue;
            };
            step.packed = Some(packed);
            if let Some(id) = step.node.inputs[operand].take() {
                uses[id.0] = uses[id.0].saturating_sub(1);
                if uses[id.0] == 0 {
                    self.constants[id.0] = None;
                }
            }
        }
    }

    /// Bytes of all constants, in the bodies too; what is shared counts once.
    pub fn weight_bytes(&self) -> u64 {
        let mut seen = BTreeSet::new();
        self.count_weights(&mut seen)
    }

    fn count_weights(&self, seen: &mut BTreeSet<usize>) -> u64 {
        let own = self.constants.iter().flatten().filter(|value| seen.insert(value.identity()));
        let own: u64 = own.map(Value::bytes).sum();
        let packed: u64 = self.steps.iter().flat_map(|step| &step.packed).map(Packed::bytes).sum();
        let bodies = self.steps.iter().flat_map(|step| &step.bodies);
        own + packed + bodies.map(|body| body.plan.count_weights(seen)).sum::<u64>()
    }
}

/// Executes, once, the nodes that depend on constants only, and hands constants to the bodies that capture them.
pub(crate) fn fold_constants(graph: &mut Graph, limits: &Limits, cpu: &Cpu) -> Result<(), LoadError> {
    let weights: u64 = graph.constants.values().map(Value::bytes).sum();
    // Beyond these bounds a node simply stays for the run, which has bounds of its own.
    let bounds = Limits {
        memory: limits.memory.min(weights.saturating_mul(3).saturating_add(FOLDING_SLACK)),
        work: FOLDING_WORK.min(limits.work),
        ..limits.clone()
    };
    let memory = Memory::new(&bounds, weights);
    let overridable: BTreeSet<ValueId> = graph.inputs.iter().map(|(id, _)| *id).collect();
    let is_constant =
        |constants: &BTreeMap<ValueId, Value>, id: &ValueId| constants.contains_key(id) && !overridable.contains(id);
    let mut steps = 0;
    let mut kept = Vec::with_capacity(graph.nodes.len());
    for mut node in std::mem::take(&mut graph.nodes) {
        if matches!(node.op.kind(), Kind::Control(_)) {
            hand_down(&mut node, |id| graph.constants.get(id).filter(|_| !overridable.contains(id)));
            for body in &mut node.bodies {
                fold_constants(&mut body.graph, limits, cpu)?;
            }
            kept.push(node);
            continue;
        }
        if steps == FOLDING_STEPS || !node.inputs.iter().flatten().all(|id| is_constant(&graph.constants, id)) {
            kept.push(node);
            continue;
        }
        steps += 1;
        let values: Vec<_> = node.inputs.iter().map(|id| id.and_then(|id| graph.constants.get(&id))).collect();
        // It can never be executed, and is refused with its size if a run would have to.
        if symbolic::result_bytes(&node, &values).is_some_and(|bytes| bytes > limits.memory) {
            kept.push(node);
            continue;
        }
        let inputs = node.inputs.iter().map(|id| id.and_then(|id| graph.constants.get(&id).cloned())).collect();
        match execute(&node, inputs, None, &memory, cpu) {
            Ok(results) => {
                let named = node.outputs.iter().zip(results);
                graph.constants.extend(named.filter_map(|(id, value)| Some(((*id)?, own(value)))));
            }
            Err(RunError::OutOfMemory { .. } | RunError::TooMuchWork { .. }) => kept.push(node),
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

/// Makes captured constants constants of the body.
fn hand_down<'a>(node: &mut Node, constant: impl Fn(&ValueId) -> Option<&'a Value>) {
    let mut at = node.operands();
    for body in &mut node.bodies {
        let mut inner = body.graph.inputs.len() - body.captured;
        for _ in 0..body.captured {
            match node.inputs[at].as_ref().and_then(&constant) {
                Some(value) => {
                    let (id, _) = body.graph.inputs.remove(inner);
                    body.graph.constants.insert(id, value.clone());
                    node.inputs.remove(at);
                    body.captured -= 1;
                }
                None => {
                    at += 1;
                    inner += 1;
                }
            }
        }
    }
}

/// A constant in memory of its own size.
fn own(value: Value) -> Value {
    match value.is_constant() {
        true => value,
        false => Value::new(value.data_type(), value.shape().clone(), Buffer::from_slice(value.bytes_as_they_are())),
    }
}

/// Executes one node; every result that the node names is there.
pub(crate) fn execute(
    node: &Node,
    inputs: Vec<Option<Value>>,
    packed: Option<&Packed>,
    memory: &Memory,
    cpu: &Cpu,
) -> Result<Outputs, RunError> {
    let results = compute(node, inputs, packed, memory, cpu);
    let results = results.map_err(|fault| RunError::new(&node.name, node.op.name(), fault))?;
    match results.len() >= node.outputs.len() {
        true => Ok(results),
        false => {
            let fault = Fault::Unsupported(format!("{} results", node.outputs.len()));
            Err(RunError::new(&node.name, node.op.name(), fault))
        }
    }
}

fn compute(
    node: &Node,
    mut inputs: Vec<Option<Value>>,
    packed: Option<&Packed>,
    memory: &Memory,
    cpu: &Cpu,
) -> Result<Outputs, Fault> {
    let (run, widens) = match node.op.kind() {
        Kind::Moves(run) => (run, false),
        Kind::Computes(run) => (run, true),
        Kind::Control(_) => return Err(Fault::Unsupported("a body in place of a function".into())),
    };
    let is_half = |value: &Value| value.data_type() == DataType::F16;
    if !widens || !inputs.iter().flatten().any(is_half) {
        return run(&mut Call { node, inputs, packed, memory, cpu });
    }
    for value in inputs.iter_mut().flatten().filter(|value| is_half(value)) {
        *value = crate::ops::widen(memory, value)?;
    }
    let mut results = run(&mut Call { node, inputs, packed, memory, cpu })?;
    for value in results.iter_mut().filter(|value| value.data_type() == DataType::F32) {
        *value = crate::ops::narrow(memory, value)?;
    }
    Ok(results)
}
