use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use js_sys::{Array, Uint8Array};
use neuromesh::{
    Digest, Manifest,
    core::ids::DigestWriter,
    engine::{Cancel, JobError, Prepared},
};
use wasm_bindgen::prelude::*;

use crate::{
    errors::{invalid, named},
    run::WasmRun,
    values::{get, payload_from_js, string, tensors_from_js, tensors_to_js},
};

/// Loaded models and how to run them; lives in the Worker.
#[wasm_bindgen]
#[derive(Default)]
pub struct WasmEngine {
    models: RefCell<BTreeMap<String, Rc<Prepared>>>,
}

#[wasm_bindgen]
impl WasmEngine {
    /// An engine with nothing loaded.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads a model from its manifest and its files (`{role, data}`), at most `memory` bytes in all; returns its digest.
    pub fn load(&self, manifest: &str, files: JsValue, memory: f64) -> Result<String, JsValue> {
        let digest = Digest::of(manifest.as_bytes()).to_string();
        let manifest =
            Manifest::from_json(manifest.as_bytes()).map_err(|error| named("ModelInvalid", &error.to_string()))?;
        let files = files.dyn_into::<Array>().map_err(|_| invalid("files must be an array of {role, data}"))?;
        let mut by_role = BTreeMap::new();
        for file in files.iter() {
            let role = string(&file, "role")?;
            let data = get(&file, "data")?.dyn_into::<Uint8Array>();
            let data = data.map_err(|_| invalid(&format!("file {role:?}: data must be a Uint8Array")))?.to_vec();
            let known = manifest.file(&role).ok_or_else(|| invalid(&format!("the manifest has no file {role:?}")))?;
            by_role.insert(role, (known.digest, data));
        }
        let prepared = Prepared::new(&manifest.pipeline, by_role, memory as u64).map_err(|error| job_to_js(&error))?;
        self.models.borrow_mut().insert(digest.clone(), Rc::new(prepared));
        Ok(digest)
    }

    /// Forgets a model; false when it was not loaded.
    pub fn unload(&self, digest: &str) -> bool {
        self.models.borrow_mut().remove(digest).is_some()
    }

    /// Digests of the loaded models.
    pub fn loaded(&self) -> Vec<String> {
        self.models.borrow().keys().cloned().collect()
    }

    /// Begins a run of a model without a plugin.
    pub fn start(&self, digest: &str, input: JsValue) -> Result<WasmRun, JsValue> {
        let run = self.model(digest)?.start(payload_from_js(&input)?).map_err(|error| job_to_js(&error))?;
        Ok(WasmRun::new(run))
    }

    /// Runs the graph of a model to its end at once: what a plugin's import does.
    #[wasm_bindgen(js_name = runTensors)]
    pub fn run_tensors(&self, digest: &str, tensors: JsValue) -> Result<JsValue, JsValue> {
        let tensors = tensors_from_js(&tensors)?;
        let outputs = self.model(digest)?.run_tensors(tensors, &Cancel::new()).map_err(|error| job_to_js(&error))?;
        Ok(tensors_to_js(&outputs))
    }

    /// Hashes bytes that come in pieces.
    #[wasm_bindgen(js_name = digestWriter)]
    pub fn digest_writer(&self) -> WasmDigest {
        WasmDigest::default()
    }

    fn model(&self, digest: &str) -> Result<Rc<Prepared>, JsValue> {
        let missing = || named("ModelNotFound", &format!("model {digest} is not loaded"));
        self.models.borrow().get(digest).cloned().ok_or_else(missing)
    }
}

/// A BLAKE3 hash under way.
#[wasm_bindgen]
#[derive(Default)]
pub struct WasmDigest(RefCell<DigestWriter>);

#[wasm_bindgen]
impl WasmDigest {
    /// Appends bytes.
    pub fn update(&self, bytes: &[u8]) {
        self.0.borrow_mut().update(bytes);
    }

    /// The digest of all bytes so far, in hexadecimal.
    pub fn finish(&self) -> String {
        self.0.borrow().finish().to_string()
    }
}

pub(crate) fn job_to_js(error: &JobError) -> JsValue {
    let name = match error {
        JobError::Missing(_) => "StorageError",
        JobError::InvalidModel(_) | JobError::TooLarge { .. } => "ModelInvalid",
        JobError::InvalidInput(_) => "InvalidInput",
        JobError::Plugin(_) => "PluginFailed",
        JobError::StorageFull(_) => "QuotaExceeded",
        JobError::Cancelled => "AbortError",
        _ => "RunFailed",
    };
    named(name, &error.to_string())
}
