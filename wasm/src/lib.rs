//! The browser peer: `wasm-bindgen` classes over [`neuromesh`], one class a file, and nothing decided here.
//!
//! The npm package drives two instances of this module: on the main thread [`WasmMesh`] and [`WasmDoc`], in a Worker
//! [`WasmEngine`] and [`WasmRun`]. What lives in the Worker (the engine, the cache of model files) reaches the mesh
//! through a [`Host`](host::Host) object that the package provides.

mod doc;
mod engine;
mod errors;
mod host;
mod mesh;
mod run;
mod values;

pub use doc::WasmDoc;
pub use engine::{WasmDigest, WasmEngine};
pub use mesh::WasmMesh;
pub use run::WasmRun;
use wasm_bindgen::prelude::wasm_bindgen;

/// Runs once per instance: a panic then shows its message and place in the console before the instance traps.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}
