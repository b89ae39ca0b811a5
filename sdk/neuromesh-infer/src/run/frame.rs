//! A graph that is being executed: the model's own, or one turn of a body.

use std::sync::Arc;

use super::turns::Turns;
use crate::{
    Fault,
    plan::{Plan, Step},
    value::Value,
};

#[derive(Debug)]
pub(crate) struct Frame {
    pub plan: Arc<Plan>,
    /// Live values by their number.
    pub slots: Vec<Option<Value>>,
    /// The step that is next; while a body of it runs, its own.
    pub next: usize,
    /// Of a body: what has happened so far, and what comes when this turn is over.
    pub(super) turns: Option<Turns>,
}

impl Frame {
    pub(super) fn new(plan: Arc<Plan>, turns: Option<Turns>) -> Self {
        let slots = vec![None; plan.constants.len()];
        Self { plan, slots, next: 0, turns }
    }

    /// A frame whose inputs are these, in the order of the plan.
    pub(super) fn with_inputs(plan: Arc<Plan>, inputs: Vec<Option<Value>>, turns: Turns) -> Result<Self, Fault> {
        if plan.inputs.len() != inputs.len() {
            return Err(Fault::Value(format!("its body takes {} inputs; it has {}", plan.inputs.len(), inputs.len())));
        }
        let mut frame = Self::new(plan, Some(turns));
        let plan = Arc::clone(&frame.plan);
        for ((id, _), value) in plan.inputs.iter().zip(inputs) {
            if plan.wanted[id.0] {
                frame.slots[id.0] = value;
            }
        }
        Ok(frame)
    }

    /// The operands of a step; those that nobody needs afterwards leave the frame.
    pub fn operands(&mut self, step: &Step) -> Vec<Option<Value>> {
        let mut operands = Vec::with_capacity(step.node.inputs.len());
        for (operand, last) in step.node.inputs.iter().zip(&step.last_use) {
            operands.push(match operand {
                None => None,
                Some(id) => match &mut self.slots[id.0] {
                    // A constant, or an optional input that was not given.
                    None => self.plan.constants[id.0].clone(),
                    slot if *last => slot.take(),
                    slot => slot.clone(),
                },
            });
        }
        operands
    }

    /// Keeps the results of the step that is next, and goes on.
    pub fn complete(&mut self, results: Vec<Value>) {
        let plan = Arc::clone(&self.plan);
        for (id, value) in plan.steps[self.next].node.outputs.iter().zip(results) {
            if let Some(id) = id.filter(|id| plan.wanted[id.0]) {
                self.slots[id.0] = Some(value);
            }
        }
        self.next += 1;
    }

    /// The graph's outputs, in order.
    pub fn results(&mut self) -> Result<Vec<Value>, Fault> {
        let plan = Arc::clone(&self.plan);
        let value = |id: usize| self.slots[id].clone().or_else(|| plan.constants[id].clone());
        plan.outputs.iter().map(|(id, _)| value(id.0).ok_or(Fault::Missing(0))).collect()
    }
}
