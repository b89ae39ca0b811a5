//! The browser peer: `wasm-bindgen` classes over [`neuromesh`], one class a file, and nothing decided here.
//!
//! The npm package builds it twice: with the feature `mesh` for the page's thread ([`WasmMesh`], [`WasmDoc`], [`WasmRoom`], [`WasmStream`]), and with the
//! feature `engine` for a Worker ([`WasmEngine`], [`WasmRun`]), so that each loads only what it runs. What lives in the Worker (the engine, the cache of model files) reaches the mesh
//! through a [`Host`](host::Host) object that the package provides.

// Each half uses its own part of what they share.
#![cfg_attr(not(all(feature = "mesh", feature = "engine")), allow(dead_code, unused_imports))]

#[cfg(feature = "mesh")]
mod doc;
#[cfg(feature = "engine")]
mod engine;
mod errors;
#[cfg(feature = "engine")]
mod file;
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

#[cfg(feature = "mesh")]
pub use doc::WasmDoc;
#[cfg(feature = "engine")]
pub use engine::{WasmDigest, WasmEngine};
#[cfg(feature = "engine")]
pub use file::WasmFile;
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
