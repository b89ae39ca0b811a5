//! The shared test bodies in a real browser: the engine against ONNX Runtime's reference outputs, IndexedDB against the
//! suite of document stores, and the classes that JavaScript gets.
#![cfg(target_arch = "wasm32")]

use std::sync::Arc;

use js_sys::{Array, Error, Object, Reflect, Uint8Array};
use neuromesh::storage::{IndexedDbDocStore, conformance as storage};
use neuromesh_infer::{Limits, LoadError, Loader, Model, Options, conformance as engine, conformance::Fixture};
use neuromesh_wasm::WasmEngine;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
fn every_operator_agrees_with_onnx_runtime() {
    let fixtures = include_bytes!("../../sdk/neuromesh-infer/tests/fixtures/operators.bin");
    engine::operators(fixtures).unwrap().assert_passed();
}

#[wasm_bindgen_test]
fn the_node_tests_of_onnx_pass_but_for_those_that_are_named() {
    let fixtures = include_bytes!(concat!(env!("NEUROMESH_REFERENCE"), "/onnx-node-tests.bin"));
    engine::node_tests(fixtures).unwrap().assert_passed();
}

#[wasm_bindgen_test]
fn bad_models_are_refused_with_the_reason() {
    let fixtures = include_bytes!("../../sdk/neuromesh-infer/tests/fixtures/refused.bin");
    engine::refusals(fixtures).unwrap().assert_passed();
}

#[wasm_bindgen_test]
async fn indexed_db_is_a_document_store() {
    storage::doc_store(|| async { IndexedDbDocStore::open("conformance").await.unwrap() }).await;
}

#[wasm_bindgen_test]
fn the_digest_is_blake3() {
    let digest = WasmEngine::new(None).digest_writer();
    digest.update(b"ab");
    digest.update(b"c");
    assert_eq!(digest.finish(), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
}

#[wasm_bindgen_test]
fn the_engine_warms_up() {
    WasmEngine::new(None).warm_up().unwrap();
}

#[wasm_bindgen_test]
fn a_file_comes_in_pieces() {
    let file = WasmEngine::new(None).file(3.0).unwrap();
    file.append(&Uint8Array::from(b"ab".as_slice())).unwrap();
    file.append(&Uint8Array::from(b"c".as_slice())).unwrap();
    assert_eq!(file.digest().unwrap(), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
    assert_eq!(file.bytes().to_vec(), b"abc");
    let refused = file.append(&Uint8Array::from(b"d".as_slice())).unwrap_err();
    assert_eq!(refused.unchecked_into::<Error>().name(), "InvalidInput");
}

#[wasm_bindgen_test]
fn what_is_no_manifest_is_an_error_with_its_name() {
    let refused = WasmEngine::new(None).load("{}", Array::new().into(), 1e9).unwrap_err();
    assert_eq!(refused.unchecked_into::<Error>().name(), "ModelInvalid");
}

#[wasm_bindgen_test]
fn a_file_that_is_no_model_is_an_error_with_its_name() {
    let engine = WasmEngine::new(None);
    let content = b"not a graph";
    let digest = engine.digest_writer();
    digest.update(content);
    let manifest = format!(
        r#"{{"format":1,"name":"x","pipeline":{{"kind":"tensors"}},"files":[{{"role":"graph","digest":"{}","size":{}}}],"memory":0}}"#,
        digest.finish(),
        content.len()
    );
    let file = Object::new();
    Reflect::set(&file, &"role".into(), &"graph".into()).unwrap();
    Reflect::set(&file, &"data".into(), &Uint8Array::from(content.as_slice())).unwrap();
    let refused = engine.load(&manifest, Array::of1(&file).into(), 1e9).unwrap_err();
    assert_eq!(refused.unchecked_into::<Error>().name(), "ModelInvalid");
    assert!(engine.loaded().is_empty());
}

#[wasm_bindgen_test]
fn a_model_that_is_not_loaded_is_an_error_with_its_name() {
    let refused = WasmEngine::new(None).run_tensors("00", JsValue::from(Array::new()), None, None).unwrap_err();
    assert_eq!(refused.unchecked_into::<Error>().name(), "ModelNotFound");
}

/// Pages of WebAssembly memory after some models were loaded, run and dropped.
fn pages_after(cycles: usize, model: &'static [u8], case: &Fixture) -> usize {
    for _ in 0..cycles {
        let model = Arc::new(Model::load(bytes::Bytes::from_static(model), &Limits::default()).unwrap());
        model.run(case.inputs.clone()).unwrap();
    }
    core::arch::wasm32::memory_size(0)
}

#[wasm_bindgen_test]
fn memory_does_not_grow_from_model_to_model() {
    let operators = include_bytes!("../../sdk/neuromesh-infer/tests/fixtures/operators.bin");
    let small = &Fixture::read_all(operators).unwrap()[0];
    let bytes: &'static [u8] = small.model.clone().leak();
    let before = pages_after(3, bytes, small);
    assert_eq!(pages_after(97, bytes, small), before);

    let bytes = include_bytes!(concat!(env!("NEUROMESH_REFERENCE"), "/silero/model.onnx"));
    let fixtures = include_bytes!(concat!(env!("NEUROMESH_REFERENCE"), "/silero/fixtures.bin"));
    let case = &Fixture::read_all(fixtures).unwrap()[0];
    let before = pages_after(3, bytes, case);
    assert_eq!(pages_after(97, bytes, case), before);
}

fn field(number: u8, body: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], &varint(body.len() as u64)[..], body].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[wasm_bindgen_test]
fn models_too_large_for_a_tab_are_refused_with_the_bytes_and_the_tab_goes_on() {
    // A few bytes that ask for 3 GB: a constant of 750 million floats.
    let shape = field(5, &[field(8, b"s"), vec![0x08, 1, 0x10, 7], field(7, &varint(750_000_000))].concat());
    let node = field(1, &[field(1, b"s"), field(2, b"y"), field(4, b"ConstantOfShape")].concat());
    let output = field(12, &[field(1, b"y"), field(2, &field(1, &[0x08, 1]))].concat());
    let model = [field(7, &[shape, node, output].concat()), field(8, &[0x10, 17])].concat();
    let refused = Model::load(model.into(), &Limits { memory: 1 << 30, ..Limits::default() }).unwrap_err();
    assert!(refused.to_string().contains("3000000008 bytes"), "{refused}");

    // A weight of 3.5 GB that the limit would allow: there is no such memory, and that is an error, too.
    let weight = 3_500_000_000u64;
    let head = |number: u8, length: u64| [vec![number << 3 | 2], varint(length)].concat();
    let raw = head(9, weight);
    let tensor = head(5, raw.len() as u64 + weight);
    let graph = head(7, (tensor.len() + raw.len()) as u64 + weight);
    let head = [graph, tensor, raw].concat();
    let limits = Limits { memory: u64::MAX, ..Limits::default() };
    let mut loader = Loader::new(Options { limits, ..Options::default() }, head.len() as u64 + weight);
    assert_eq!(loader.push(&head), Err(LoadError::NoMemory { needed: weight }));

    let silero = include_bytes!(concat!(env!("NEUROMESH_REFERENCE"), "/silero/model.onnx"));
    assert!(Model::load(bytes::Bytes::from_static(silero), &Limits::default()).is_ok());
}
