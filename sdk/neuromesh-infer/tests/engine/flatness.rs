//! Memory over many models and runs: it comes back to where it was, and a run holds little more than it must.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use neuromesh_infer::{Dim, Limits, Loader, Model, Options, conformance::Fixture, inspect};

use crate::{
    allocation::measure,
    models::{cache, model_file},
    reference::read,
};

/// The models of the reference data, by name.
fn zoo() -> Vec<(String, PathBuf)> {
    let folder = cache().join("reference");
    let entries = std::fs::read_dir(&folder).expect("the reference data were made").flatten();
    let mut models: Vec<_> =
        entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect();
    models.retain(|(_, path)| path.join("model.onnx").is_file());
    models.sort();
    models
}

#[test]
fn loading_running_and_unloading_leave_nothing() {
    // Branches, loops of a recurrent layer, convolutions.
    let file = Bytes::from(read("silero/model.onnx"));
    let cases = Fixture::read_all(&read("silero/fixtures.bin")).unwrap();
    let cycle = |round: usize| {
        let model = Arc::new(Model::load(file.clone(), &Limits::default()).unwrap());
        model.run(cases[round % cases.len()].inputs.clone()).unwrap();
    };
    // What threads keep for their next products is there after a few.
    (0..cases.len()).for_each(cycle);
    let (_, _, kept) = measure(|| (0..100).for_each(cycle));
    assert!(kept.abs() < 1 << 12, "{kept} bytes kept after 100 models");
}

/// A run's own bookkeeping, the copies that callers get, and their lists: not tensors of the run.
const BOOKKEEPING: isize = 64 << 10;

#[test]
fn a_run_that_follows_its_plan_allocates_no_tensors() {
    let model = Arc::new(Model::load(model_file("magika", "model.onnx"), &Limits::default()).unwrap());
    let inputs = Fixture::read_all(include_bytes!("../fixtures/magika_tensors.bin")).unwrap().swap_remove(0).inputs;
    for _ in 0..3 {
        model.run(inputs.clone()).unwrap();
    }
    let mut run = model.start(inputs.clone()).unwrap();
    let (_, peak, kept) = measure(|| while run.step().unwrap().is_none() {});
    assert!(peak < BOOKKEEPING && kept < BOOKKEEPING, "{peak} bytes at one time, {kept} at the end");
}

#[test]
fn models_of_the_zoo_take_what_inspection_says_and_hold_little_more_than_they_must() {
    let (mut wrong, mut worst) = (Vec::new(), 0.0f64);
    let (mut estimated, models) = (0, zoo());
    for (name, path) in &models {
        let bytes = std::fs::read(path.join("model.onnx")).unwrap();
        let case = Fixture::read_all(&std::fs::read(path.join("fixtures.bin")).unwrap()).unwrap().swap_remove(0);
        let sizes = case.inputs.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
        let mut loader = Loader::new(Options::default(), bytes.len() as u64);
        loader.push(&bytes).unwrap();
        let found = inspect::inspect(loader, &sizes).unwrap();
        assert_eq!(found.refusal, None, "{name}");
        assert!(found.operators.iter().all(|operator| operator.supported), "{name}");
        // Each output's inferred sizes are those that it has.
        for ((output, tensor), spec) in case.outputs.iter().zip(&found.outputs) {
            let dims = spec.shape.clone().unwrap_or_default();
            let fits = |(dim, size): (&Dim, &usize)| !matches!(dim, Dim::Fixed(fixed) if fixed != size);
            if spec.shape.is_some() && (dims.len() != tensor.shape.len() || !dims.iter().zip(&tensor.shape).all(fits)) {
                wrong.push(format!("{name}: {output} is {:?}, {dims:?} was inferred", tensor.shape));
            }
        }
        let model = Arc::new(Model::load(bytes.into(), &Limits::default()).unwrap());
        let mut needed = 0;
        for turn in ["first", "planned"] {
            let mut run = model.start(case.inputs.clone()).unwrap();
            while run.step().unwrap().is_none() {}
            needed = run.needed_memory();
            let ratio = run.peak_memory() as f64 / needed as f64;
            worst = worst.max(ratio);
            println!("{name}, {turn} run: {ratio:.3}, {} of {needed} bytes", run.peak_memory());
            if ratio > 1.5 {
                wrong.push(format!("{name}, {turn} run: holds {ratio:.2} times what it needs"));
            }
        }
        println!("{name}: {:?}", found.estimate);
        if let Some(estimate) = found.estimate {
            estimated += 1;
            // Operators that work in place take less, those with buffers of their own more.
            if estimate.memory < needed / 2 || estimate.memory > needed * 3 / 2 {
                wrong.push(format!("{name}: {} bytes were estimated, {needed} needed", estimate.memory));
            }
        }
    }
    println!("worst {worst:.3}; {estimated} of {} estimated", models.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(models.len() >= 31 && estimated >= 25, "{} models, {estimated} estimated", models.len());
}
