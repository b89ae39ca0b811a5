//! `neuromesh-wasm` with its feature `gpu`, and nothing else.

pub use neuromesh_wasm::*;
