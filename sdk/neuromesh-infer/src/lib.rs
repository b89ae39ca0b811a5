//! # The engine: ONNX at run time
//!
//! ```text
//! bytes ─► proto ─► graph (validated) ─► rewrite ─► plan (folded, packed) ─► Model ─► Run ─ step() ─► outputs
//!                                                                                       ops ─► kernels
//! ```
//!
//! - [`Model::load`] reads ONNX, checks all of it, and keeps the weights once; [`Loader`] does so while the file arrives.
//! - [`Model::start`] checks the inputs and gives a [`Run`]; each [`Run::step`] executes **one** operator, so that the caller
//!   decides where to yield, to cancel and to measure.
//! - `device` (feature `burn`) runs the same graph on any Burn backend; its docs tell why the CPU does not go that way.
//! - [`text`] turns sentences into embeddings: tokenizer, model, pooling.
//!
//! - [`kernels`] are the loops, with the same bits on every instruction set: `NUMERICS.md`. `OPERATORS.md` lists the operators.
//!
//! The crate is synchronous but for `device`, which awaits what it reads back, and without clocks and files; threads help only
//! where [`kernels::cpu::Cpu`] is given some. A target is asked for in `kernels/{cpu,simd}.rs` alone.
//!
//! Invariants:
//! - A model file and its inputs are hostile until checked. No panic, no unbounded loop, and no allocation that was not charged
//!   against [`Limits`] before it was made.
//! - Shapes, axes and indices are checked here, before a kernel or a Burn backend sees them: those panic on a mismatch.
//! - Errors name the node, the operator and the reason.
//! - The CPU gives the same bits everywhere; a device's numbers are approximate.

mod attribute;
mod buffer;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "burn")]
pub mod device;
mod error;
mod graph;
pub mod inspect;
pub mod kernels;
mod limits;
mod loader;
mod memory;
mod model;
mod ops;
mod plan;
mod proto;
mod rewrite;
mod run;
mod shape;
mod symbolic;
mod tensor;
#[cfg(feature = "text")]
pub mod text;
mod value;

pub use error::{Fault, LoadError, RunError};
pub use graph::{Dim, IoSpec};
pub use half::f16;
pub use limits::Limits;
pub use loader::Loader;
pub use model::{Model, Options, RunOptions};
pub use ops::operators;
pub use run::Run;
pub use tensor::{Data, DataType, ShapeMismatch, Tensor};
