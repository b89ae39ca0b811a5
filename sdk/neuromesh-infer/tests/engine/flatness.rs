//! Memory over many models and runs: it comes back to where it was, and a run holds little more than it must.

use std::{path::PathBuf, sync::Arc};

use neuromesh_infer::{Dim, Limits, Model, conformance::Fixture, inspect};

use crate::{
    allocation::measure,
    models::{cache, model_file},
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
    let file = model_file("magika", "model.onnx");
    let cases = Fixture::read_all(include_bytes!("../fixtures/magika_tensors.bin")).unwrap();
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
fn no_model_of_the_zoo_holds_more_than_half_as_much_again_as_it_must() {
    let mut over = Vec::new();
    let mut worst = 0.0f64;
    let models = zoo();
    for (name, path) in &models {
        let model = Model::load(std::fs::read(path.join("model.onnx")).unwrap().into(), &Limits::default()).unwrap();
        let model = Arc::new(model);
        let case = Fixture::read_all(&std::fs::read(path.join("fixtures.bin")).unwrap()).unwrap().swap_remove(0);
        for turn in ["first", "planned"] {
            let mut run = model.start(case.inputs.clone()).unwrap();
            while run.step().unwrap().is_none() {}
            let ratio = run.peak_memory() as f64 / run.needed_memory() as f64;
            println!("{name} {turn}: {ratio:.3} ({} of {})", run.peak_memory(), run.needed_memory());
            worst = worst.max(ratio);
            if ratio > 1.5 {
                over.push(format!("{name}, {turn} run: {ratio:.2}"));
            }
        }
    }
    println!("worst {worst:.3}");
    assert!(over.is_empty(), "{}", over.join("\n"));
    assert!(models.len() >= 31, "only {} models", models.len());
}

#[test]
fn what_inspection_says_of_the_zoo_holds() {
    let mut wrong = Vec::new();
    let (mut estimated, models) = (0, zoo());
    for (name, path) in &models {
        let bytes = std::fs::read(path.join("model.onnx")).unwrap();
        let case = Fixture::read_all(&std::fs::read(path.join("fixtures.bin")).unwrap()).unwrap().swap_remove(0);
        let sizes = case.inputs.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
        let mut loader = neuromesh_infer::Loader::new(Default::default(), bytes.len() as u64);
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
        let mut run = model.start(case.inputs).unwrap();
        while run.step().unwrap().is_none() {}
        println!("{name}: {:?}, needed {}", found.estimate, run.needed_memory());
        if let Some(estimate) = found.estimate {
            estimated += 1;
            // Operators that work in place make it less; buffers of operators' own, such as unfolded patches, more.
            if estimate.memory < run.needed_memory() * 3 / 4 {
                wrong.push(format!("{name}: {} bytes were estimated, {} needed", estimate.memory, run.needed_memory()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{estimated} of {} estimated", models.len());
    assert!(estimated * 3 >= models.len() * 2, "only {estimated} models estimated");
}
