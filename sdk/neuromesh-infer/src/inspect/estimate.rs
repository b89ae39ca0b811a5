//! What a run will take, from what is known of its values before it.

use crate::{
    graph::{Graph, ValueId},
    plan::Plan,
    symbolic::{self, Sketch, Sketches},
};

/// What one run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Multiply-adds of products, convolutions and recurrent layers; `None` where a size or an operator's work is not known.
    pub multiply_adds: Option<u64>,
    /// Bytes of weights and of the values that live at the worst moment: an upper bound, because operators that work in place
    /// are counted as if they did not.
    pub memory: u64,
}

/// The multiply-adds of all nodes together, if every one is known.
pub(super) fn work(graph: &Graph, known: &Sketches) -> Option<u64> {
    graph.nodes.iter().try_fold(0u64, |sum, node| {
        let inputs: Vec<Option<&Sketch>> = node.inputs.iter().map(|id| id.map(|id| known.get(id))).collect();
        let outputs: Vec<&Sketch> = node.outputs.iter().flatten().map(|id| known.get(*id)).collect();
        sum.checked_add(symbolic::multiply_adds(node, &inputs, &outputs)?)
    })
}

/// The worst moment of the plan, if the sizes of all its values are known.
pub(super) fn memory(plan: &Plan, known: &Sketches, weights: u64) -> Option<u64> {
    let size = |id: ValueId| known.get(id).bytes();
    let is_constant = |id: ValueId| plan.constants[id.0].is_some();
    let mut live = weights;
    for (id, _) in plan.inputs.iter().filter(|(id, _)| !is_constant(*id)) {
        live = live.checked_add(size(*id)?)?;
    }
    let mut peak = live;
    for step in &plan.steps {
        for id in step.node.outputs.iter().flatten() {
            live = live.checked_add(size(*id)?)?;
        }
        peak = peak.max(live);
        let over = step.node.inputs.iter().zip(&step.last_use).filter(|(_, last)| **last);
        let mut done: Vec<ValueId> = over.filter_map(|(id, _)| *id).filter(|id| !is_constant(*id)).collect();
        done.extend(step.node.outputs.iter().flatten().filter(|id| !plan.wanted[id.0]));
        for id in done {
            live = live.saturating_sub(size(id)?);
        }
    }
    Some(peak)
}
