//! `neuromesh-exact FOLDER...`: the hash of each model's outputs on each instruction set that this machine has, and with
//! several threads. A folder holds `model.onnx` and `fixtures.bin`. Prints `MODEL ENGINE HASH` lines.

use std::path::Path;

use anyhow::{Context, anyhow};
use neuromesh_infer::{
    conformance,
    kernels::{
        cpu::{Cpu, Isa, Numerics},
        threads::Threads,
    },
};

fn main() -> anyhow::Result<()> {
    for folder in std::env::args().skip(1) {
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
            println!("{name} native-{} {hash:016x}", engine.to_lowercase());
        }
    }
    Ok(())
}
