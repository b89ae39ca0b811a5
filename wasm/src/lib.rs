//! The browser peer: `wasm-bindgen` classes over [`neuromesh`], one class a file, and nothing decided here.
//!
//! The npm package builds it several times: with the feature `mesh` for the page's thread ([`WasmMesh`], [`WasmDoc`],
//! [`WasmRoom`], [`WasmStream`]), with the
//! feature `engine` for a Worker ([`WasmEngine`], [`WasmRun`]), and, from the workspace in `gpu`, with the feature `gpu` (`WasmGpu`,
//! `WasmGpuRun`) for the same Worker once a run may go to the GPU; so that each loads only what it runs. What lives in the Worker
//! (the engine, the cache of model files) reaches the mesh through a [`Host`](host::Host) object that the package provides.

// Each half uses its own part of what they share.
#![cfg_attr(not(all(feature = "mesh", feature = "engine")), allow(dead_code, unused_imports))]

#[cfg(feature = "engine")]
mod choice;
#[cfg(feature = "mesh")]
mod doc;
#[cfg(feature = "engine")]
mod engine;
mod errors;
#[cfg(any(feature = "engine", feature = "gpu"))]
mod file;
#[cfg(feature = "gpu")]
mod gpu;
#[cfg(feature = "mesh")]
mod host;
#[cfg(feature = "mesh")]
mod log;
#[cfg(feature = "mesh")]
mod mesh;
#[cfg(feature = "engine")]
mod pool;
#[cfg(feature = "mesh")]
mod room;
#[cfg(feature = "engine")]
mod run;
#[cfg(feature = "mesh")]
mod stream;
mod values;

#[cfg(feature = "engine")]
pub use choice::WasmChoice;
#[cfg(feature = "mesh")]
pub use doc::WasmDoc;
#[cfg(feature = "engine")]
pub use engine::{WasmDigest, WasmEngine};
#[cfg(any(feature = "engine", feature = "gpu"))]
pub use file::WasmFile;
#[cfg(feature = "gpu")]
pub use gpu::{WasmGpu, WasmGpuRun};
#[cfg(feature = "mesh")]
pub use mesh::WasmMesh;
#[cfg(feature = "engine")]
pub use pool::{help, shared_memory};
#[cfg(feature = "mesh")]
pub use room::WasmRoom;
#[cfg(feature = "engine")]
pub use run::WasmRun;
#[cfg(feature = "mesh")]
pub use stream::WasmStream;
use wasm_bindgen::prelude::wasm_bindgen;

/// Runs once per instance: a panic then shows its message and place in the console before the instance traps.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}
