//! Generated from `wit/plugin.wit`.

#![allow(missing_docs)]

wasmtime::component::bindgen!({ path: "wit", world: "pipeline" });
