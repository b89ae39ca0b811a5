//! The pipelines around real models, as a peer runs them: manifest and files in, payloads in and out.

use std::collections::BTreeMap;

use neuromesh::{
    Digest, Payload, Pipeline, SparseBytes, Tensor,
    core::DType,
    engine::{Cancel, JobError, Prepared},
    infer::RunOptions,
};
use serde_json::{Value, json};

const MEMORY: u64 = 1 << 30;

/// A model of the reference data, with a pipeline around it.
fn prepared(model: &str, pipeline: Value, files: &[(&str, &[u8])]) -> Result<Prepared, JobError> {
    let cache = std::env::var_os("NEUROMESH_CACHE").map(std::path::PathBuf::from);
    let cache = cache.unwrap_or_else(|| std::env::home_dir().expect("a home").join(".cache/neuromesh"));
    let path = cache.join("reference").join(model).join("model.onnx");
    let graph = std::fs::read(&path).unwrap_or_else(|error| panic!("{} ({error}): run `make test`", path.display()));
    let mut all = BTreeMap::from([("graph".to_owned(), (Digest::of(&graph), graph))]);
    all.extend(files.iter().map(|(role, bytes)| ((*role).to_owned(), (Digest::of(bytes), bytes.to_vec()))));
    let pipeline: Pipeline = serde_json::from_value(pipeline).unwrap();
    Prepared::new(&pipeline, all, MEMORY)
}

fn run(model: &Prepared, input: Payload) -> Result<Payload, JobError> {
    model.run(input, None, &Cancel::new(), &mut RunOptions::default()).map(|(output, _)| output)
}

fn json_of(payload: Payload) -> Value {
    let Payload::Json(text) = payload else { panic!("not JSON: {payload:?}") };
    serde_json::from_str(&text).unwrap()
}

/// Two gradients and a chessboard.
fn picture() -> Payload {
    let (width, height) = (300u32, 280u32);
    let pixel = |at: u32| {
        let (x, y) = (at % width, at / width);
        [x * 255 / (width - 1), y * 255 / (height - 1), (x / 16 + y / 16) % 2 * 200].map(|value| value as u8)
    };
    let data = (0..width * height).flat_map(pixel).collect();
    Payload::Tensors(vec![Tensor { name: "image".into(), dtype: DType::U8, shape: vec![height, width, 3], data }])
}

#[test]
fn a_picture_gets_the_names_of_its_classes() {
    let breeds: Vec<String> = (0..19).map(|index| format!("breed {index}")).collect();
    let pipeline = json!({"kind": "image", "resize": {"shortest": 256}, "crop": [224, 224], "divisor": 127.5,
        "mean": [1.0, 1.0, 1.0], "top": 3});
    let lines = breeds.join("\n");
    let list = serde_json::to_string(&breeds).unwrap();
    for labels in [&lines, &list] {
        let model = prepared("mobilenetv2", pipeline.clone(), &[("labels", labels.as_bytes())]).unwrap();
        let classes = json_of(run(&model, picture()).unwrap());
        // Of Pillow and ONNX Runtime.
        let expected = [(6, 0.297_249), (13, 0.147_278), (7, 0.122_592)];
        assert_eq!(classes.as_array().unwrap().len(), 3);
        for (class, (index, score)) in classes.as_array().unwrap().iter().zip(expected) {
            assert_eq!((&class["index"], &class["label"]), (&json!(index), &json!(format!("breed {index}"))));
            assert!((class["score"].as_f64().unwrap() - score).abs() < 1e-4, "{class}");
        }
    }
    let mut plain = pipeline.clone();
    plain["top"] = Value::Null;
    let Payload::Tensors(tensors) = run(&prepared("mobilenetv2", plain, &[]).unwrap(), picture()).unwrap() else {
        panic!("not tensors");
    };
    assert_eq!((tensors[0].name.as_str(), tensors[0].shape.as_slice()), ("probabilities", &[1, 19][..]));

    let model = prepared("mobilenetv2", pipeline.clone(), &[("labels", b"one\ntwo")]).unwrap();
    assert!(matches!(run(&model, picture()), Err(JobError::Failed(text)) if text.contains("2 labels")));
    assert!(matches!(run(&model, Payload::Text("no".into())), Err(JobError::InvalidInput(_))));
    assert!(matches!(prepared("mobilenetv2", pipeline, &[]), Err(JobError::InvalidModel(_))));
    let wrong = json!({"kind": "image", "std": [0.0, 1.0, 1.0]});
    assert!(matches!(prepared("mobilenetv2", wrong, &[]), Err(JobError::InvalidModel(_))));
}

#[test]
fn a_sound_comes_as_samples_or_as_a_file() {
    let model = prepared("silero", json!({"kind": "voice-activity"}), &[]).unwrap();
    let samples: Vec<u8> = (0..8000).flat_map(|n| ((n % 100) as f32 / 1e4).to_le_bytes()).collect();
    let tensor = |name: &str, dtype, shape, data| Tensor { name: name.into(), dtype, shape, data };
    let sound = Payload::Tensors(vec![
        tensor("samples", DType::F32, vec![8000], samples.clone()),
        tensor("rate", DType::I32, vec![], 16_000i32.to_le_bytes().to_vec()),
    ]);
    let of_samples = run(&model, sound).unwrap();
    let answer = json_of(of_samples.clone());
    assert_eq!((answer["rate"].as_u64(), answer["probabilities"].as_array().unwrap().len()), (Some(16_000), 16));
    assert_eq!(answer["segments"], json!([]));

    let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x03\0\x01\0".to_vec();
    file.extend(
        16_000u32.to_le_bytes().into_iter().chain(64_000u32.to_le_bytes()).chain([4, 0, 32, 0]).chain(*b"data"),
    );
    file.extend((samples.len() as u32).to_le_bytes().into_iter().chain(samples));
    assert_eq!(run(&model, Payload::Bytes(SparseBytes::whole(file.clone()))).unwrap(), of_samples);
    let ends = SparseBytes::ends(&file, 100, 100);
    assert!(matches!(run(&model, Payload::Bytes(ends)), Err(JobError::InvalidInput(_))));
    assert!(matches!(run(&model, Payload::Json("{}".into())), Err(JobError::InvalidInput(_))));
}

#[test]
fn a_text_comes_in_parts() {
    let pipeline = json!({"kind": "text-generation", "context": 64, "max_new_tokens": 5, "stop": [3]});
    let model = prepared("decoder", pipeline, &[]).unwrap();
    let ask = |wishes: Value| model.start(Payload::Json(wishes.to_string()));
    let mut run = ask(json!({"tokens": [5, 6, 7], "temperature": 0.8, "seed": 4})).unwrap();
    let mut parts = Vec::new();
    let whole = loop {
        let output = run.step().unwrap();
        parts.extend(run.take_parts());
        if let Some(output) = output {
            break json_of(output);
        }
    };
    assert_eq!((parts.len(), &whole["finish"]), (5, &json!("length")));
    let tokens: Vec<u32> = parts.iter().flat_map(|part| part.tokens.iter().copied()).collect();
    assert_eq!(whole["tokens"], json!(tokens));
    for wishes in [
        json!({}),
        json!({"tokens": [1], "prompt": "x"}),
        json!({"tokens": [1], "surprise": 1}),
        json!({"prompt": "x"}),
    ] {
        assert!(matches!(ask(wishes), Err(JobError::InvalidInput(_))));
    }
    assert!(matches!(model.start(Payload::Text("no tokenizer".into())), Err(JobError::InvalidInput(_))));
}
