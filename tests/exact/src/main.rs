//! `neuromesh-exact [--module FILE] FOLDER...`: the hash of each model's outputs on each instruction set that this machine has, and with
//! several threads, and of the module in Wasmtime. A folder holds `model.onnx` and `fixtures.bin`. Prints `MODEL ENGINE HASH` lines.

#[cfg(target_arch = "x86_64")]
mod wasmtime;

use std::path::Path;

use anyhow::{Context, anyhow};
use neuromesh_infer::{
    conformance,
    kernels::{
        cpu::{Cpu, Isa, Numerics},
        threads::Threads,
    },
};

#[cfg(target_arch = "x86_64")]
use wasmtime::in_wasmtime;

#[cfg(not(target_arch = "x86_64"))]
fn in_wasmtime(_: &Path, _: &[u8], _: &[u8]) -> anyhow::Result<u64> {
    anyhow::bail!("Wasmtime is not part of this build")
}

const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "native" };

fn main() -> anyhow::Result<()> {
    let mut folders: Vec<String> = std::env::args().skip(1).collect();
    let module = match folders.iter().position(|argument| argument == "--module") {
        Some(at) => folders.drain(at..(at + 2).min(folders.len())).nth(1),
        None => None,
    };
    for folder in folders {
        let folder = Path::new(&folder);
        let name = folder.file_name().context("a folder")?.to_string_lossy();
        let read = |file: &str| std::fs::read(folder.join(file)).with_context(|| format!("{name}/{file}"));
        let (model, fixtures) = (bytes::Bytes::from(read("model.onnx")?), read("fixtures.bin")?);
        let mut machines: Vec<(String, Cpu)> = Vec::new();
        for &isa in Isa::available() {
            machines.push((format!("{isa:?}"), Cpu { isa, ..Cpu::new(Numerics::Exact) }));
        }
        machines.push(("3-threads".into(), Cpu { threads: Threads::new(3), ..Cpu::new(Numerics::Exact) }));
        for (engine, cpu) in machines {
            let hash =
                conformance::digest(model.clone(), &fixtures, &cpu).map_err(|reason| anyhow!("{name}: {reason}"))?;
            println!("{name} {ARCHITECTURE}-{} {hash:016x}", engine.to_lowercase());
        }
        if let Some(module) = &module {
            println!("{name} wasmtime {:016x}", in_wasmtime(Path::new(module), &model, &fixtures)?);
        }
    }
    Ok(())
}
