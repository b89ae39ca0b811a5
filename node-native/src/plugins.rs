//! Sandboxed plugins in Wasmtime: components of the world in `wit/plugin.wit`.
//!
//! ```text
//!   engine thread ── PluginCall ──▶ PluginSandbox::run
//!        ▲                            │ compiled once per digest (code)
//!        │ engine.run                 ▼
//!        └──────── channel ◀── plugin thread: a fresh Store, bounded (limits), interrupted (epoch)
//! ```
//!
//! Invariants: a call gets a store of its own and leaves nothing behind; a plugin sees no clock, randomness, file or
//! network; memory, tables, instances, time, stack and output are bounded; what a plugin does wrong is a
//! [`PluginError`] of that call alone.

mod bindings;
mod code;
mod error;
mod limits;
mod pack;
mod sandbox;

pub use error::PluginError;
pub use limits::PluginLimits;
pub use pack::{PackError, pack};
pub use sandbox::PluginSandbox;

#[cfg(test)]
mod tests;
