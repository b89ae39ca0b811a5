//! The shared test bodies in a real browser: the engine against ONNX Runtime's reference outputs, IndexedDB against the
//! suite of document stores, and the classes that JavaScript gets.
#![cfg(target_arch = "wasm32")]

use js_sys::{Array, Error, Object, Reflect, Uint8Array};
use neuromesh::storage::{IndexedDbDocStore, conformance as storage};
use neuromesh_infer::conformance as engine;
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
    assert_eq!(file.digest(), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
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
