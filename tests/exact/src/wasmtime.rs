//! The module in Wasmtime.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use wasmtime::{Engine, Instance, Module, Store};

/// The hash that the module gives for a model and its fixtures.
pub fn in_wasmtime(module: &Path, model: &[u8], fixtures: &[u8]) -> anyhow::Result<u64> {
    let engine = Engine::default();
    let module = Module::from_file(&engine, module).map_err(|error| anyhow!("{error:#}"))?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).map_err(|error| anyhow!("{error:#}"))?;
    let memory = instance.get_memory(&mut store, "memory").context("the module exports no memory")?;
    let trap = |error| anyhow!("{error:#}");
    let reserve = instance.get_typed_func::<u32, u32>(&mut store, "reserve").map_err(trap)?;
    let digest = instance.get_typed_func::<(), i32>(&mut store, "digest").map_err(trap)?;
    let hash = instance.get_typed_func::<(), u64>(&mut store, "hash").map_err(trap)?;
    for bytes in [model, fixtures] {
        let at = reserve.call(&mut store, bytes.len() as u32).map_err(trap)?;
        memory.write(&mut store, at as usize, bytes)?;
    }
    if digest.call(&mut store, ()).map_err(trap)? != 1 {
        bail!("the module refused the model");
    }
    hash.call(&mut store, ()).map_err(trap)
}
