//! One run of a model on a device, operator by operator.

use std::{ops::AddAssign, sync::Arc};

use burn_backend::Backend;

use super::{
    DeviceModel,
    guard::caught,
    ops::{self, Computation, Operand, View, Work},
    tensor::Held,
};
use crate::{DataType, Fault, Run, RunError, Tensor, graph::ValueId, ops::Kind, plan::Step, shape, value::Value};

/// A run in progress.
///
/// Whoever drives it awaits [`step`](DeviceRun::step) until it gives the outputs. Dropping it at any time cancels it and frees
/// what it holds; a step that was dropped before it was done ends the run.
#[derive(Debug)]
pub struct DeviceRun<B: Backend> {
    model: Arc<DeviceModel<B>>,
    /// The run as the host sees it: its frames, its limits, the values that lie here.
    run: Run,
    /// Beside each frame of the run: which of its values lie on the device.
    held: Vec<Vec<Option<Held<B>>>>,
    traffic: Traffic,
}

/// What a run did so far, and where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Operators that the device executed.
    pub device: u64,
    /// Operators that the host executed.
    pub host: u64,
    /// Tensors that went to the device; the model's weights are already there.
    pub uploads: u64,
    /// Tensors that were read back.
    pub downloads: u64,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.device += other.device;
        self.host += other.host;
        self.uploads += other.uploads;
        self.downloads += other.downloads;
    }
}

impl<B: Backend> DeviceRun<B> {
    pub(super) fn new(model: Arc<DeviceModel<B>>, inputs: Vec<(String, Tensor)>) -> Result<Self, RunError> {
        let run = model.model.start(inputs)?;
        let mut run = Self { model, run, held: Vec::new(), traffic: Traffic::default() };
        run.align();
        Ok(run)
    }

    /// Executes one operator. Gives the outputs after the last one; then, and after an error, the run is over.
    pub async fn step(&mut self) -> Result<Option<Vec<(String, Tensor)>>, RunError> {
        self.run.begin_step()?;
        self.advance().await?;
        if self.run.is_complete() {
            self.download_outputs().await?;
            self.held.clear();
        }
        self.run.end_step()
    }

    /// Operators of the model's own graph that are done, and how many there are; a loop counts as one.
    pub fn progress(&self) -> (usize, usize) {
        self.run.progress()
    }

    /// The name and the operator of the node that the next step executes.
    pub fn upcoming(&self) -> Option<(&str, &str)> {
        self.run.upcoming()
    }

    /// Bytes held now, on the host and on the device: the model's weights and the live activations.
    pub fn memory(&self) -> u64 {
        self.run.memory()
    }

    /// The most bytes held so far.
    pub fn peak_memory(&self) -> u64 {
        self.run.peak_memory()
    }

    /// What happened where.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    async fn advance(&mut self) -> Result<(), RunError> {
        let depth = self.run.frames.len() - 1;
        let frame = &self.run.frames[depth];
        let plan = Arc::clone(&frame.plan);
        let Some(step) = plan.steps.get(frame.next) else {
            // A body is over: the host decides what comes next.
            self.download_outputs().await?;
            if depth > 0 {
                self.held.pop();
            }
            self.run.advance()?;
            self.align();
            return Ok(());
        };
        let refuse = |fault| RunError::new(&step.node.name, step.node.op.name(), fault);
        match self.accept(step) {
            Some(Work::Compute(work)) => self.compute(step, work).map_err(refuse)?,
            Some(Work::Known(results)) => {
                self.release(depth, step);
                self.run.frames[depth].complete(results);
                self.traffic.host += 1;
            }
            None => {
                for id in step.node.inputs.iter().flatten() {
                    self.download(*id).await.map_err(refuse)?;
                }
                self.run.advance()?;
                self.release(depth, step);
                self.traffic.host += u64::from(!matches!(step.node.op.kind(), Kind::Control(_)));
                self.align();
            }
        }
        Ok(())
    }

    /// What the device would do about a step, if it should.
    fn accept(&self, step: &Step) -> Option<Work<B>> {
        let operator = ops::find::<B>(step.node.op.name())?;
        let operands = step.node.inputs.iter().map(|id| self.operand((*id)?)).collect();
        let work = (operator.accept)(&View { node: &step.node, operands })?;
        let Work::Compute(computation) = &work else {
            return Some(work);
        };
        let held = self.held.last()?;
        let is_there = |input: &usize| step.node.inputs[*input].is_some_and(|id| held[id.0].is_some());
        let worth = computation.cost >= self.model.placement.least || computation.operands.iter().any(is_there);
        // Beyond the limit the host words the refusal.
        let is_bounded = self.run.memory.check_work(&[computation.cost]).is_ok();
        let is_sane =
            computation.results.iter().all(|result| shape::checked(result).is_ok_and(|elements| elements > 0));
        (worth && is_bounded && is_sane).then_some(work)
    }

    /// A value of the innermost frame, as operators look at it.
    fn operand(&self, id: ValueId) -> Option<Operand<'_>> {
        let host = self.value(id);
        match (&self.held.last()?[id.0], host) {
            (Some(held), host) => Some(Operand { data_type: DataType::F32, shape: held.shape(), host }),
            (None, Some(value)) => Some(Operand { data_type: value.data_type(), shape: value.shape(), host }),
            (None, None) => None,
        }
    }

    /// The same value, if the host has it.
    fn value(&self, id: ValueId) -> Option<&Value> {
        let frame = self.run.frames.last()?;
        frame.slots[id.0].as_ref().or(frame.plan.constants[id.0].as_ref())
    }

    fn compute(&mut self, step: &Step, work: Computation<B>) -> Result<(), Fault> {
        let memory = self.run.memory.clone();
        let mut operands = Vec::with_capacity(work.operands.len());
        for &input in &work.operands {
            let id = step.node.inputs[input].ok_or(Fault::Missing(input))?;
            operands.push(self.upload(id).ok_or(Fault::Missing(input))??);
        }
        let bytes = |elements: usize| (elements as u64).saturating_mul(4);
        let mut charges = Vec::with_capacity(work.results.len());
        for result in &work.results {
            charges.push(memory.charge(bytes(shape::checked(result)?))?);
        }
        let scratch = memory.charge(bytes(work.scratch))?;
        // Whoever holds a tensor alone may work on it in place.
        self.release(self.held.len() - 1, step);
        let (tensors, paid): (Vec<_>, Vec<_>) = operands.into_iter().map(Held::into_parts).unzip();
        let results = caught(|| (work.run)(tensors, &self.model.device))?;
        drop((scratch, paid));

        let frame = self.run.frames.last_mut().expect("a run that is not over has its own frame");
        let held = self.held.last_mut().expect("each frame has one");
        let named = step.node.outputs.iter().zip(results.into_iter().zip(work.results).zip(charges));
        for (id, ((tensor, shape), charge)) in named {
            if let Some(id) = id.filter(|id| frame.plan.wanted[id.0]) {
                held[id.0] = Some(Held::new(tensor, shape, charge));
            }
        }
        frame.next += 1;
        self.traffic.device += 1;
        Ok(())
    }

    /// A value of the innermost frame on the device.
    fn upload(&mut self, id: ValueId) -> Option<Result<Held<B>, Fault>> {
        if let Some(held) = &self.held.last()?[id.0] {
            return Some(Ok(held.clone()));
        }
        let value = self.value(id)?;
        if let Some(tensor) = self.model.constants.get(&value.identity()) {
            return Some(Ok(Held::constant(tensor.clone(), value.shape())));
        }
        let held = Held::from_host(value, &self.run.memory, &self.model.device);
        if let Ok(held) = &held {
            self.traffic.uploads += 1;
            self.held.last_mut()?[id.0] = Some(held.clone());
        }
        Some(held)
    }

    /// Brings a value of the innermost frame to the host, if it lies only on the device.
    async fn download(&mut self, id: ValueId) -> Result<(), Fault> {
        let depth = self.run.frames.len() - 1;
        let Some(held) = self.held[depth][id.0].clone().filter(|_| self.value(id).is_none()) else {
            return Ok(());
        };
        let value = held.download(&self.run.memory).await?;
        self.run.frames[depth].slots[id.0] = Some(value);
        self.traffic.downloads += 1;
        Ok(())
    }

    /// Brings the outputs of the innermost frame to the host.
    async fn download_outputs(&mut self) -> Result<(), RunError> {
        let Some(frame) = self.run.frames.last() else {
            return Ok(());
        };
        let plan = Arc::clone(&frame.plan);
        for (id, spec) in &plan.outputs {
            self.download(*id).await.map_err(|fault| RunError::new(&spec.name, "output", fault))?;
        }
        Ok(())
    }

    /// Lets go of the operands that nobody needs after a step.
    fn release(&mut self, depth: usize, step: &Step) {
        let (Some(held), Some(frame)) = (self.held.get_mut(depth), self.run.frames.get_mut(depth)) else {
            return;
        };
        let last = step.node.inputs.iter().zip(&step.last_use).filter(|(_, last)| **last);
        for id in last.filter_map(|(id, _)| *id) {
            held[id.0] = None;
            frame.slots[id.0] = None;
        }
    }

    /// Bodies come and go with the run's frames.
    fn align(&mut self) {
        let frames = &self.run.frames;
        self.held.truncate(frames.len());
        let missing = frames[self.held.len()..].iter().map(|frame| vec![None; frame.slots.len()]);
        self.held.extend(missing);
    }
}
