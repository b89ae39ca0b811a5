//! What a run promises: one operator a step, memory accounted and given back, an end that stays.

use std::sync::Arc;

use neuromesh_infer::{
    Data, Limits, LoadError, Model, RunError, RunOptions, Tensor,
    kernels::{cpu::Numerics, threads::Threads},
    text::{Embedder, MAX_TEXT_BYTES, TextError},
};

use crate::{allocation::measure, models::model_file};

fn bytes_input() -> Vec<(String, Tensor)> {
    vec![("bytes".into(), Tensor::new([1, 2048], Data::I32(vec![65; 2048])).unwrap())]
}

#[test]
fn a_run_goes_operator_by_operator_and_ends_once() {
    let model = Arc::new(Model::load(model_file("magika", "model.onnx"), &Limits::default()).unwrap());
    assert_eq!(model.inputs()[0].name, "bytes");
    assert_eq!(model.outputs()[0].name, "target_label");
    let mut run = model.start(bytes_input()).unwrap();
    let mut steps = 0;
    let outputs = loop {
        assert_eq!(run.progress(), (steps, model.steps()));
        steps += 1;
        if let Some(outputs) = run.step().unwrap() {
            break outputs;
        }
    };
    assert_eq!(steps, model.steps());
    assert_eq!(outputs[0].1.shape, [1, 214]);
    assert_eq!(run.step(), Err(RunError::Finished));
}

#[test]
fn the_same_input_gives_the_same_bits() {
    let model = Arc::new(Model::load(model_file("magika", "model.onnx"), &Limits::default()).unwrap());
    assert_eq!(model.run(bytes_input()).unwrap(), model.run(bytes_input()).unwrap());
}

#[test]
fn memory_is_bounded_by_the_limit_and_flat_over_runs() {
    let file = model_file("magika", "model.onnx");
    let (model, _, held) = measure(|| Arc::new(Model::load(file.clone(), &Limits::default()).unwrap()));
    let weights = model.weight_bytes() as isize;
    assert!(held < weights * 11 / 10 + (256 << 10), "{held} bytes held for {weights} bytes of weights");

    // The first run also makes the buffers that matrix products keep on their thread.
    model.run(bytes_input()).unwrap();
    let mut run = model.start(bytes_input()).unwrap();
    let (_, peak, _) = measure(|| while run.step().unwrap().is_none() {});
    let accounted = (run.peak_memory() - model.weight_bytes()) as isize;
    assert!(peak < accounted + (256 << 10), "{peak} bytes were held, {accounted} accounted for");
    let bound = run.peak_memory();
    drop(run);

    let (_, _, kept) = measure(|| {
        for _ in 0..20 {
            model.run(bytes_input()).unwrap();
        }
    });
    assert!(kept < 1 << 16, "{kept} bytes kept by runs that are over");

    let tight = Limits { memory: bound / 2, ..Limits::default() };
    let model = Arc::new(Model::load(file.clone(), &tight).unwrap());
    match model.run(bytes_input()) {
        Err(RunError::OutOfMemory { needed, limit, .. }) => assert!(needed > limit && limit == bound / 2),
        other => panic!("it should not fit: {other:?}"),
    }
    let tiny = Limits { memory: 1 << 20, ..Limits::default() };
    assert!(matches!(Model::load(file, &tiny), Err(LoadError::TooLarge { limit: 1_048_576, .. })));
}

#[test]
fn an_operator_that_would_take_too_long_is_refused() {
    let limits = Limits { work: 1 << 20, ..Limits::default() };
    let model = Arc::new(Model::load(model_file("magika", "model.onnx"), &limits).unwrap());
    assert!(matches!(model.run(bytes_input()), Err(RunError::TooMuchWork { .. })));
}

#[test]
fn texts_and_tokenizers_that_cannot_be_used_are_refused() {
    let model = Arc::new(Model::load(model_file("all-minilm-l6-v2", "model.onnx"), &Limits::default()).unwrap());
    let tokenizer = model_file("all-minilm-l6-v2", "tokenizer.json");
    let broken = Embedder::new(Arc::clone(&model), &tokenizer[..1000], 256, true);
    assert!(matches!(broken, Err(TextError::Tokenizer(_))));
    let no_room = Embedder::new(Arc::clone(&model), &tokenizer, 0, true);
    assert!(matches!(no_room, Err(TextError::Tokenizer(_))));
    let embedder = Embedder::new(model, &tokenizer, 16, true).unwrap();
    let long = "word ".repeat(MAX_TEXT_BYTES / 5);
    assert_eq!(embedder.tokens(&long).unwrap().len(), 16);
    let too_long = embedder.embed(&(long + "more"));
    assert!(matches!(too_long, Err(TextError::TooLong { limit: MAX_TEXT_BYTES, .. })));

    let magika = Arc::new(Model::load(model_file("magika", "model.onnx"), &Limits::default()).unwrap());
    assert!(matches!(Embedder::new(magika, &tokenizer, 16, true), Err(TextError::Model(_))));
}

/// One model runs with any number of threads and either numerics; the exact path keeps its bits, also when the helpers leave.
#[test]
fn threads_and_numerics_are_chosen_for_each_run() {
    let model = Arc::new(Model::load(model_file("magika", "model.onnx"), &Limits::default()).unwrap());
    let alone = model.run(bytes_input()).unwrap();
    let (single, three) = (Threads::single(), Threads::new(3));
    for leaves_after in [0, 7, usize::MAX] {
        // Twice: the second run follows the plan of memory that the first one left, if it left one.
        for _ in 0..2 {
            let options = RunOptions { threads: Some(three.clone()), ..RunOptions::default() };
            let mut run = model.start_with(bytes_input(), options).unwrap();
            assert_eq!(run.numerics(), Numerics::Exact);
            let outputs = loop {
                if run.progress().0 == leaves_after {
                    run.set_threads(single.clone());
                }
                if let Some(outputs) = run.step().unwrap() {
                    break outputs;
                }
            };
            assert_eq!(outputs, alone);
        }
    }
    let options = RunOptions { numerics: Some(Numerics::Fast), threads: None };
    let mut run = model.start_with(bytes_input(), options).unwrap();
    let fast = loop {
        if let Some(outputs) = run.step().unwrap() {
            break outputs;
        }
    };
    let values = |outputs: &[(String, Tensor)]| match &outputs[0].1.data {
        Data::F32(values) => values.clone(),
        other => panic!("{other:?}"),
    };
    assert!(values(&fast).iter().zip(values(&alone)).all(|(a, b)| (a - b).abs() < 1e-4));
    if run.numerics() == Numerics::Exact {
        assert_eq!(fast, alone);
    }
}
