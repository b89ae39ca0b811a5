//! One run of a model, operator by operator.

use std::sync::Arc;

use burn_backend::tensor::Device;

use crate::{
    Dim, Fault, IoSpec, Model, RunError, Tensor,
    backend::Engine,
    ops::Meter,
    plan::{self, Plan, Step},
    shape,
    value::{Value, held_size},
};

/// A run in progress.
///
/// Whoever drives it calls [`step`](Run::step) until it gives the outputs. Dropping it at any time cancels it and frees
/// what it holds.
#[derive(Debug)]
pub struct Run {
    model: Arc<Model>,
    /// Live values by their number.
    slots: Vec<Option<Value<Engine>>>,
    next: usize,
    over: bool,
    meter: Meter,
    device: Device<Engine>,
}

impl Run {
    pub(crate) fn new(model: Arc<Model>, inputs: Vec<(String, Tensor)>) -> Result<Self, RunError> {
        let plan = &model.plan;
        let device = Device::<Engine>::default();
        let mut meter = Meter::new(&model.limits, plan.weight_bytes);
        let mut slots = vec![None; plan.constants.len()];
        for (name, tensor) in inputs {
            let refuse = |reason: String| RunError::Input { name: name.clone(), reason };
            let Some((id, spec)) = plan.inputs.iter().find(|(_, spec)| spec.name == name) else {
                return Err(refuse("the model has no such input".into()));
            };
            check(spec, &tensor).map_err(refuse)?;
            if slots[id.0].is_some() {
                return Err(refuse("it was given twice".into()));
            }
            let bytes = tensor.data.len() as u64 * held_size(tensor.data.data_type());
            meter.charge_bytes(bytes).map_err(|fault| match fault {
                Fault::Memory { needed, limit } => RunError::InputsTooLarge { needed, limit },
                other => refuse(other.to_string()),
            })?;
            meter.settle(if plan.wanted[id.0] { bytes } else { 0 });
            slots[id.0] = Some(Value::from_tensor(tensor, &device));
        }
        for (id, spec) in &plan.inputs {
            if slots[id.0].is_none() && !spec.optional {
                return Err(RunError::Input { name: spec.name.clone(), reason: "it is missing".into() });
            }
            if !plan.wanted[id.0] {
                slots[id.0] = None;
            }
        }
        Ok(Self { model, slots, next: 0, over: false, meter, device })
    }

    /// Executes one operator. Gives the outputs after the last one; then, and after an error, the run is over.
    pub fn step(&mut self) -> Result<Option<Vec<(String, Tensor)>>, RunError> {
        if std::mem::replace(&mut self.over, true) {
            return Err(RunError::Finished);
        }
        let model = Arc::clone(&self.model);
        if let Some(step) = model.plan.steps.get(self.next) {
            self.execute(&model.plan, step)?;
            self.next += 1;
        }
        if self.next < model.plan.steps.len() {
            self.over = false;
            return Ok(None);
        }
        self.outputs(&model.plan).map(Some)
    }

    /// Operators executed, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        (self.next, self.model.plan.steps.len())
    }

    /// The name and the operator of the node that the next step executes.
    pub fn upcoming(&self) -> Option<(&str, &str)> {
        self.model.plan.steps.get(self.next).map(|step| (step.node.name.as_str(), step.node.op.name()))
    }

    /// Bytes held now: the model's weights and the live activations, views counted in full.
    pub fn memory(&self) -> u64 {
        self.meter.live()
    }

    /// The most bytes held or asked for so far.
    pub fn peak_memory(&self) -> u64 {
        self.meter.peak()
    }

    fn execute(&mut self, plan: &Plan, step: &Step) -> Result<(), RunError> {
        let node = &step.node;
        let mut freed = 0;
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for (operand, last) in node.inputs.iter().zip(&step.last_use) {
            inputs.push(match operand {
                None => None,
                Some(id) => match &mut self.slots[id.0] {
                    // A constant, or an optional input that was not given.
                    None => plan.constants[id.0].clone(),
                    slot if *last => {
                        let value = slot.take();
                        freed += value.as_ref().map_or(0, Value::bytes);
                        value
                    }
                    slot => slot.clone(),
                },
            });
        }
        let results = plan::execute(node, inputs, &self.device, &mut self.meter)?;
        let mut made = 0;
        for (id, value) in node.outputs.iter().zip(results) {
            if let Some(id) = id.filter(|id| plan.wanted[id.0]) {
                made += value.bytes();
                self.slots[id.0] = Some(value);
            }
        }
        self.meter.settle(made);
        self.meter.release(freed);
        Ok(())
    }

    fn outputs(&mut self, plan: &Plan) -> Result<Vec<(String, Tensor)>, RunError> {
        let mut outputs = Vec::with_capacity(plan.outputs.len());
        for (id, spec) in &plan.outputs {
            let value = self.slots[id.0].take().or_else(|| plan.constants[id.0].clone());
            let refuse = |fault| RunError::new(&spec.name, "output", fault);
            let value = value.ok_or_else(|| refuse(Fault::Missing(0)))?;
            // Handing out copies if the elements are shared or strided.
            self.meter.charge_bytes(value.bytes()).map_err(refuse)?;
            outputs.push((spec.name.clone(), value.into_tensor().map_err(refuse)?));
        }
        self.meter.settle(0);
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
