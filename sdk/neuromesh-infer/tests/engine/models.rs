//! The real models against ONNX Runtime.

use std::path::PathBuf;

use bytes::Bytes;
use neuromesh_infer::conformance;

/// Where the set-up keeps what it made.
pub fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME is set"));
    std::env::var_os("NEUROMESH_CACHE").map(PathBuf::from).unwrap_or_else(|| {
        let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(|| home().join(".cache"));
        base.join("neuromesh")
    })
}

/// A file of a model that `make models` has put into the cache.
pub fn model_file(model: &str, file: &str) -> Bytes {
    let path = cache().join("models").join(model).join(file);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{} cannot be read ({error}): run `make models` first", path.display());
    });
    Bytes::from(bytes)
}

#[test]
fn minilm_agrees_with_onnx_runtime() {
    let fixtures = include_bytes!("../fixtures/minilm_tensors.bin");
    let report = conformance::model(model_file("all-minilm-l6-v2", "model.onnx"), fixtures).unwrap();
    println!("{} cases, worst {:.2} of the tolerance", report.cases, report.worst);
    report.assert_passed();
}

#[test]
fn minilm_embeds_text_like_the_reference() {
    let tokenizer = model_file("all-minilm-l6-v2", "tokenizer.json");
    let fixtures = include_bytes!("../fixtures/minilm_text.bin");
    let report = conformance::embedder(model_file("all-minilm-l6-v2", "model.onnx"), &tokenizer, fixtures).unwrap();
    println!("{} cases, worst {:.2} of the tolerance", report.cases, report.worst);
    report.assert_passed();
}

#[test]
fn magika_agrees_with_onnx_runtime() {
    let fixtures = include_bytes!("../fixtures/magika_tensors.bin");
    let report = conformance::model(model_file("magika", "model.onnx"), fixtures).unwrap();
    println!("{} cases, worst {:.2} of the tolerance", report.cases, report.worst);
    report.assert_passed();
}
