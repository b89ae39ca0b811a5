//! One run of a model, operator by operator.

pub(crate) mod frame;
mod turns;

use std::sync::Arc;

use crate::{
    Dim, Fault, IoSpec, Model, RunError, Tensor,
    kernels::{
        cpu::{Cpu, Numerics},
        threads::Threads,
    },
    memory::Memory,
    model::Signature,
    ops::Kind,
    plan::{self, Plan, Step},
    shape::{self, Shape},
};
use frame::Frame;
use turns::{Next, Turns};

/// A run in progress.
///
/// Whoever drives it calls [`step`](Run::step) until it gives the outputs. Dropping it at any time cancels it and frees
/// what it holds.
#[derive(Debug)]
pub struct Run {
    model: Arc<Model>,
    cpu: Cpu,
    /// The model's own graph, and the bodies that are being executed, innermost last.
    pub(crate) frames: Vec<Frame>,
    pub(crate) memory: Memory,
    /// None when the run can be no example for the next one.
    signature: Option<Signature>,
    /// Operators that may still be executed.
    budget: u64,
    over: bool,
}

impl Run {
    pub(crate) fn new(model: Arc<Model>, inputs: Vec<(String, Tensor)>, cpu: Cpu) -> Result<Self, RunError> {
        let shape_of = |(_, spec): &(_, IoSpec)| {
            let given = inputs.iter().find(|(name, _)| *name == spec.name);
            given.map(|(_, tensor)| Shape::from(&tensor.shape[..])).unwrap_or_default()
        };
        let shapes = model.plan.inputs.iter().map(shape_of).collect();
        let signature = Signature { shapes, threads: cpu.threads.count() };
        let memory = model.memory(&signature);
        let mut frame = Frame::new(Arc::clone(&model.plan), None);
        let plan = &model.plan;
        for (name, tensor) in inputs {
            let refuse = |reason: String| RunError::Input { name: name.clone(), reason };
            let Some((id, spec)) = plan.inputs.iter().find(|(_, spec)| spec.name == name) else {
                return Err(refuse("the model has no such input".into()));
            };
            check(spec, &tensor).map_err(refuse)?;
            if frame.slots[id.0].is_some() {
                return Err(refuse("it was given twice".into()));
            }
            let value = memory.value(tensor.data.data_type(), Shape::from(&tensor.shape[..]));
            let mut value = value.map_err(|fault| match fault {
                Fault::Memory { needed, limit } => RunError::InputsTooLarge { needed, limit },
                other => refuse(other.to_string()),
            })?;
            value.write(&tensor.data);
            frame.slots[id.0] = Some(value);
        }
        for (id, spec) in &plan.inputs {
            if frame.slots[id.0].is_none() && !spec.optional {
                return Err(RunError::Input { name: spec.name.clone(), reason: "it is missing".into() });
            }
            if !plan.wanted[id.0] {
                frame.slots[id.0] = None;
            }
        }
        let budget = model.limits.steps;
        Ok(Self { model, cpu, frames: vec![frame], memory, signature: Some(signature), budget, over: false })
    }

    /// Executes one operator. Gives the outputs after the last one; then, and after an error, the run is over.
    pub fn step(&mut self) -> Result<Option<Vec<(String, Tensor)>>, RunError> {
        self.begin_step()?;
        self.advance()?;
        self.end_step()
    }

    /// Counts a step. The run is over until it has come to its end.
    pub(crate) fn begin_step(&mut self) -> Result<(), RunError> {
        if std::mem::replace(&mut self.over, true) {
            return Err(RunError::Finished);
        }
        self.budget = match self.budget.checked_sub(1) {
            Some(left) => left,
            None => return Err(RunError::TooLong { limit: self.model.limits.steps }),
        };
        Ok(())
    }

    /// Executes the operator that is next, or what comes after the last one of a body.
    pub(crate) fn advance(&mut self) -> Result<(), RunError> {
        let frame = self.frames.last_mut().expect("a run that is not over has its own frame");
        let plan = Arc::clone(&frame.plan);
        match plan.steps.get(frame.next) {
            Some(step) => self.execute(step),
            None if self.frames.len() > 1 => self.finish_turn(),
            // Everything was known at load.
            None => Ok(()),
        }
    }

    /// Gives the outputs if that was the last operator; else the run goes on.
    pub(crate) fn end_step(&mut self) -> Result<Option<Vec<(String, Tensor)>>, RunError> {
        if self.is_complete() {
            return self.outputs().map(Some);
        }
        self.over = false;
        Ok(None)
    }

    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.frames.as_slice(), [frame] if frame.next == frame.plan.steps.len())
    }

    /// Operators of the model's own graph that are done, and how many there are; a loop counts as one.
    pub fn progress(&self) -> (usize, usize) {
        (self.frames.first().map_or(0, |frame| frame.next), self.model.plan.steps.len())
    }

    /// How exact its numbers are: not always what was asked for, see [`Model::start_with`].
    pub fn numerics(&self) -> Numerics {
        self.cpu.numerics
    }

    /// Who helps from the next operator on. The bits of the exact path do not depend on it.
    pub fn set_threads(&mut self, threads: Threads) {
        if threads.count() != self.cpu.threads.count() {
            self.signature = None;
        }
        self.cpu.threads = threads;
    }

    /// The name and the operator of the node that the next step executes.
    pub fn upcoming(&self) -> Option<(&str, &str)> {
        let frame = self.frames.last()?;
        frame.plan.steps.get(frame.next).map(|step| (step.node.name.as_str(), step.node.op.name()))
    }

    /// Bytes held now: the model's weights and the live activations.
    pub fn memory(&self) -> u64 {
        self.memory.live()
    }

    /// The most bytes held so far, with what was kept to be used again.
    pub fn peak_memory(&self) -> u64 {
        self.memory.peak()
    }

    /// The most bytes that weights and live activations took at one time: what no plan of memory could do without.
    pub fn needed_memory(&self) -> u64 {
        self.memory.needed()
    }

    fn execute(&mut self, step: &Step) -> Result<(), RunError> {
        let frame = self.frames.last_mut().expect("the step's own frame");
        let mut inputs = frame.operands(step);
        if let Kind::Control(control) = step.node.op.kind() {
            let captured =
                inputs.split_off(inputs.len() - step.bodies.iter().map(|body| body.captured.len()).sum::<usize>());
            let begun = Turns::begin(control, step, inputs, captured, &self.memory);
            let begun = begun.map_err(|fault| RunError::new(&step.node.name, step.node.op.name(), fault))?;
            return self.go_on(begun);
        }
        let results = plan::execute(&step.node, inputs, step.packed.as_ref(), &self.memory, &self.cpu)?;
        frame.complete(results);
        Ok(())
    }

    /// The innermost body has come to its end: another turn, or the results of its node.
    fn finish_turn(&mut self) -> Result<(), RunError> {
        let mut done = self.frames.pop().expect("a run that is not over has a frame");
        let plan: &Plan = &self.frames.last().expect("only bodies come to an end here").plan;
        let node = &plan.steps[self.frames.last().map_or(0, |frame| frame.next)].node;
        let refuse = |fault| RunError::new(&node.name, node.op.name(), fault);
        let results = done.results().map_err(refuse)?;
        let turns = done.turns.take().expect("every body has one");
        let next = turns.end(results, &self.memory).map_err(refuse)?;
        self.go_on(next)
    }

    fn go_on(&mut self, next: Next) -> Result<(), RunError> {
        match next {
            Next::Turn(frame) => self.frames.push(frame),
            Next::Done(results) => {
                let frame = self.frames.last_mut().expect("the node's own frame");
                let node = &frame.plan.steps[frame.next].node;
                if results.len() < node.outputs.len() {
                    let fault = Fault::Value(format!("{} results instead of {}", results.len(), node.outputs.len()));
                    return Err(RunError::new(&node.name, node.op.name(), fault));
                }
                frame.complete(results);
            }
        }
        Ok(())
    }

    fn outputs(&mut self) -> Result<Vec<(String, Tensor)>, RunError> {
        let mut frame = self.frames.pop().expect("a run that is not over has a frame");
        let plan = Arc::clone(&frame.plan);
        let results = frame.results().map_err(|fault| RunError::new("", "output", fault))?;
        drop(frame);
        let named = plan.outputs.iter().zip(results);
        let outputs = named.map(|((_, spec), value)| (spec.name.clone(), value.to_tensor())).collect();
        // Every buffer is back by now.
        if let Some(signature) = self.signature.take() {
            self.model.keep(signature, self.memory.clone());
        }
        Ok(outputs)
    }
}

fn check(spec: &IoSpec, tensor: &Tensor) -> Result<(), String> {
    shape::checked(&tensor.shape).map_err(|fault| fault.to_string())?;
    if !tensor.is_consistent() {
        return Err(format!("shape {:?} does not describe {} elements", tensor.shape, tensor.data.len()));
    }
    if tensor.data.data_type() != spec.data_type {
        return Err(format!("the model takes {}, {} was given", spec.data_type, tensor.data.data_type()));
    }
    let Some(dims) = &spec.shape else {
        return Ok(());
    };
    let fits = |(dim, &size): (&Dim, &usize)| !matches!(dim, Dim::Fixed(fixed) if *fixed != size);
    if dims.len() != tensor.shape.len() || !dims.iter().zip(&tensor.shape).all(fits) {
        let wanted: Vec<String> = dims.iter().map(Dim::to_string).collect();
        return Err(format!("the model takes shape [{}], {:?} was given", wanted.join(", "), tensor.shape));
    }
    Ok(())
}
