//! # The same graph on a Burn backend
//!
//! ```text
//! bytes ─► Model (checked, folded, rewritten; nothing packed) ─► DeviceModel<B> ─► DeviceRun<B> ─ step().await ─► outputs
//!                                                                weights uploaded   per node: device, else host
//! ```
//!
//! - [`DeviceModel::load`] does all that [`Model::load`] does, and uploads the weights that operators of the device use, once.
//! - A value of a run lies on the host, on the device, or on both. Each node goes to the device if the device has its
//!   operator and the operator accepts the operands; operands that are missing there are uploaded. Every other node is
//!   executed as [`Run`](crate::Run) executes it, after its operands were read back, and its results stay on the host until
//!   the device wants them. `If`, `Loop` and `Scan` are the host's: what enters and leaves a body crosses.
//! - Only single-precision floats go to the device. Integers and booleans are shapes, indices and masks: they steer the graph,
//!   and ONNX's rules for them (wrap-around, truncating division, negative indices) must hold exactly.
//! - Reading back is asynchronous, as it is on a GPU: [`DeviceRun::step`] awaits it and never blocks a thread. Dropping the
//!   future of a step ends the run.
//!
//! **Its numbers are approximate, by definition.** A backend sums in the order that suits it, contracts multiply and add, and
//! has its own `exp`: results agree with the CPU's within rounding, not in bits. Whoever shows them to others must say so.
//!
//! Tensors on the device count against [`Limits::memory`](crate::Limits::memory) as the run's own memory does; views count in
//! full, what a backend keeps in pools does not count.
//!
//! # Why the CPU does not go this way
//!
//! [`Model`] runs on the engine's own kernels over the engine's own buffers, not on a Burn backend for CPUs, for reasons that
//! lie in what the interface of a backend is, not in how well one is made:
//!
//! - It takes tensors and gives tensors. There is no place for a weight that was packed once into the panels that a matrix
//!   product reads, so a backend packs in every call.
//! - It allocates each result. Our runs follow a plan made from lifetimes: results lie where dead values were, and element-wise
//!   operators, softmax and normalization work in place.
//! - One operation is one pass over memory. Bias, residual and activation belong into the epilogue of the product or the
//!   convolution before them, while its results are still in registers.
//! - It does not say in which order a sum is taken, and cannot: a backend is free to choose by shape, by instruction set and by
//!   the number of threads. Equal bits on every machine, on which receipts rest, need that order as part of the contract, and
//!   functions such as `exp` and `erf` with one definition everywhere.
//!
//! Measured: the interpreter that called Burn's CPU backend operator by operator, without any of this, took 1.6 times as long
//! as onnxruntime-web. Burn stays what it is good for: one graph on every *other* device.
//!
//! # Another backend
//!
//! A backend is a type parameter and nothing more; no operator here names one. Two come with the crate, as cargo features:
//! `burn-wgpu` (`wgpu`: GPUs, in a browser and natively) and `burn-flex` (`flex`: CPUs), which has no hardware to wait for and
//! stands for all of them in the tests. Their conformance is checked by `conformance::device`, on the same fixtures as the CPU's.
//!
//! `burn-cuda` 0.22 would fit the parameter as well, untried: it is not among the features because its build fetches binaries of
//! LLVM from the network, which neither a lock file nor a licence check sees. NVIDIA's GPUs are reached through Vulkan.

mod guard;
mod ops;
mod run;
mod tensor;
#[cfg(feature = "wgpu")]
pub mod wgpu;

use std::{collections::BTreeMap, sync::Arc};

use burn_backend::{
    Backend,
    tensor::{Device, FloatTensor},
};
use bytes::Bytes;

#[cfg(feature = "flex")]
pub use burn_flex::{Flex, FlexDevice};
pub use run::{DeviceRun, Traffic};

use crate::{
    IoSpec, Limits, LoadError, Loader, Model, Options, RunError, Tensor,
    graph::ValueId,
    plan::{Plan, Step},
    value::Value,
};

/// A model whose weights lie on a device, ready to run any number of times, also at once.
#[derive(Debug)]
pub struct DeviceModel<B: Backend> {
    model: Arc<Model>,
    device: Device<B>,
    placement: Placement,
    /// Constants on the device, by the identity of what the model holds.
    constants: BTreeMap<usize, FloatTensor<B>>,
}

/// Why there is no device to load models onto.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// This machine, or this page, has none of that kind.
    #[error("there is no such device: {0}")]
    NoAdapter(String),
    /// There is one, and it cannot be used.
    #[error("the device cannot be used: {0}")]
    Refused(String),
}

/// What is worth a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Multiply-adds (or elements) below which an operator stays on the host, if all its operands are there: the few numbers
    /// that masks and sizes are made of are not worth the way.
    pub least: usize,
}

impl Default for Placement {
    fn default() -> Self {
        Self { least: 1 << 14 }
    }
}

impl<B: Backend> DeviceModel<B> {
    /// Reads an ONNX file, checks all of it, and prepares it for this device.
    ///
    /// The host keeps the weights, too, for the operators that the device does not have.
    pub fn load(bytes: Bytes, limits: &Limits, device: Device<B>) -> Result<Self, LoadError> {
        let options = Options { limits: limits.clone(), ..Options::default() };
        Self::load_with(bytes, options, Placement::default(), device)
    }

    /// The same, with more to choose.
    pub fn load_with(
        bytes: Bytes,
        options: Options,
        placement: Placement,
        device: Device<B>,
    ) -> Result<Self, LoadError> {
        Self::place(Model::prepare(bytes, options, false)?, placement, device)
    }

    /// The same of a file that came in pieces.
    ///
    /// # Errors
    /// As [`Loader::finish`], and [`LoadError::Device`].
    pub fn finish(loader: Loader, placement: Placement, device: Device<B>) -> Result<Self, LoadError> {
        Self::place(loader.build(false)?, placement, device)
    }

    fn place(mut model: Model, placement: Placement, device: Device<B>) -> Result<Self, LoadError> {
        let mut used = BTreeMap::new();
        collect::<B>(&model.plan, &mut used);
        model.hold(used.values().map(Value::bytes).sum())?;
        let upload = || used.iter().map(|(&identity, value)| (identity, tensor::upload::<B>(value, &device))).collect();
        let constants = guard::caught(upload).map_err(|fault| LoadError::Device { reason: fault.to_string() })?;
        Ok(Self { model: Arc::new(model), device, placement, constants })
    }

    /// The model as the host holds it: for what surrounds a run. Nothing is packed for the CPU, so that its own runs are slow.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// What the model takes, in the file's order.
    pub fn inputs(&self) -> &[IoSpec] {
        self.model.inputs()
    }

    /// What the model gives, in the file's order.
    pub fn outputs(&self) -> &[IoSpec] {
        self.model.outputs()
    }

    /// Bytes that the weights occupy, on the host and on the device.
    pub fn weight_bytes(&self) -> u64 {
        self.model.weight_bytes()
    }

    /// Operators that a run executes, each body's once.
    pub fn steps(&self) -> usize {
        self.model.steps()
    }

    /// Checks the inputs and prepares a run; nothing is computed yet.
    pub fn start(self: &Arc<Self>, inputs: Vec<(String, Tensor)>) -> Result<DeviceRun<B>, RunError> {
        DeviceRun::new(Arc::clone(self), inputs)
    }

    /// Runs to the end.
    pub async fn run(self: &Arc<Self>, inputs: Vec<(String, Tensor)>) -> Result<Vec<(String, Tensor)>, RunError> {
        let mut run = self.start(inputs)?;
        loop {
            if let Some(outputs) = run.step().await? {
                return Ok(outputs);
            }
        }
    }
}

/// The constants that operators of the device use, in the bodies too; what is shared, once.
fn collect<B: Backend>(plan: &Plan, used: &mut BTreeMap<usize, Value>) {
    for step in &plan.steps {
        for value in tensors::<B>(step).filter_map(|id| plan.constants[id.0].as_ref()) {
            if tensor::fits(value) {
                used.insert(value.identity(), value.clone());
            }
        }
        step.bodies.iter().for_each(|body| collect::<B>(&body.plan, used));
    }
}

/// The operands that a step's operator takes on the device.
fn tensors<B: Backend>(step: &Step) -> impl Iterator<Item = ValueId> {
    let count = ops::find::<B>(step.node.op.name()).map_or(0, |operator| operator.tensors);
    step.node.inputs.iter().take(count).flatten().copied()
}
