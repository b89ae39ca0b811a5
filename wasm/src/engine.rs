use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc};

use neuromesh::{
    Digest, Payload,
    core::{
        Numerics, ShapeClass,
        choice::{Backend, Chooser},
        ids::DigestWriter,
    },
    engine::{Cancel, JobError, Prepared},
    infer::{Data, Limits, Model, RunOptions, Tensor, kernels::cpu, kernels::threads::Threads},
    platform,
};
use wasm_bindgen::prelude::*;

use crate::{
    choice::WasmChoice,
    errors::{invalid, job_to_js, named},
    file::{Files, WasmFile},
    pool,
    run::{Trial, WasmRun},
    values::{payload_from_js, tensors_from_js, tensors_to_js},
};

/// Made by `warm/make.py`.
const WARM: &[u8] = include_bytes!("../warm/graph.onnx");

/// Loaded models and how to run them; lives in the Worker.
#[wasm_bindgen]
pub struct WasmEngine {
    models: RefCell<BTreeMap<String, Rc<Prepared>>>,
    threads: Threads,
    chooser: Rc<RefCell<Chooser>>,
}

#[wasm_bindgen]
impl WasmEngine {
    /// An engine with nothing loaded, whose runs are shared by at most `threads` threads (one when absent): this one, and others
    /// that call [`help`](crate::help). The pool of an engine made before gets no further helpers.
    #[wasm_bindgen(constructor)]
    pub fn new(threads: Option<u32>) -> Self {
        let chooser = Chooser::new("", seed());
        Self {
            models: RefCell::default(),
            threads: pool::open(threads.unwrap_or(1) as usize),
            chooser: Rc::new(RefCell::new(chooser)),
        }
    }

    /// Whether runs may be asked to be fast: this module has the instructions for it.
    #[wasm_bindgen(js_name = canBeFast)]
    pub fn can_be_fast(&self) -> bool {
        cfg!(feature = "relaxed-simd")
    }

    /// Goes on with what [`WasmEngine::learned`] once gave; if it was learned on another `machine`, all is learned anew. What was
    /// learned from then on is of this machine.
    pub fn recall(&self, machine: &str, learned: Option<Vec<u8>>) {
        let restored = learned.and_then(|bytes| Chooser::restore(machine, seed(), &bytes).ok());
        self.chooser.replace(restored.unwrap_or_else(|| Chooser::new(machine, seed())));
    }

    /// How models run fastest, as far as that is known; nothing if there is nothing new.
    pub fn learned(&self) -> Option<Vec<u8>> {
        let mut chooser = self.chooser.borrow_mut();
        chooser.is_changed().then(|| chooser.snapshot())
    }

    /// Runs a small model twice. A browser compiles well what it has seen at work: done while the weights of the first model are
    /// on their way, this makes its load and its first run shorter.
    #[wasm_bindgen(js_name = warmUp)]
    pub fn warm_up(&self) -> Result<(), JsValue> {
        let failed = |error: &dyn std::fmt::Display| named("RunFailed", &format!("warming up: {error}"));
        let model = Model::load(WARM.to_vec().into(), &Limits::default()).map_err(|error| failed(&error))?;
        let model = Arc::new(model);
        for _ in 0..2 {
            let ids = Tensor { shape: vec![1, 31], data: Data::I64(vec![0; 31]) };
            let picture = Tensor { shape: vec![1, 3, 64, 64], data: Data::F32(vec![0.0; 3 * 64 * 64]) };
            model.run(vec![("ids".into(), ids), ("picture".into(), picture)]).map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    /// Loads a model from its manifest and its files (`{role, data}`), at most `memory` bytes in all; returns its digest.
    /// `data` is a `Uint8Array`, or a `WasmFile` that is used up.
    pub fn load(&self, manifest: &str, files: JsValue, memory: f64) -> Result<String, JsValue> {
        let Files { digest, manifest, graph, others } = Files::from_js(manifest, files)?;
        let prepared = match graph {
            None => Prepared::new(&manifest.pipeline, others, memory as u64),
            Some(loader) => loader
                .finish()
                .map_err(JobError::from)
                .and_then(|graph| Prepared::with_graph(&manifest.pipeline, Arc::new(graph), others)),
        };
        let prepared = prepared.map_err(|error| job_to_js(&error))?;
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

    /// Begins a run of a model without a plugin, `numerics` "exact" (when absent) or "fast": on at most `threads` of the engine's
    /// threads; when absent, on as many and as exactly as was found to be fastest within what is allowed.
    pub fn start(
        &self,
        digest: &str,
        input: JsValue,
        threads: Option<u32>,
        numerics: Option<String>,
    ) -> Result<WasmRun, JsValue> {
        let (model, input) = (self.model(digest)?, payload_from_js(&input)?);
        let numerics = self.numerics(numerics.as_deref())?;
        let (options, trial) = match (threads, digest.parse::<Digest>()) {
            (None, Ok(id)) => {
                let trial = self.choice(id, &input, numerics, false);
                (self.options(usize::from(trial.backend.threads), trial.backend.numerics), Some(trial))
            }
            _ => (self.options(threads.map_or(usize::MAX, |most| most as usize), numerics), None),
        };
        let run = model.start_with(input, options).map_err(|error| job_to_js(&error))?;
        Ok(WasmRun::new(run, trial))
    }

    /// How a fast run is to go: on the GPU, or here, and then how.
    #[wasm_bindgen(js_name = chooseWithGpu)]
    pub fn choose_with_gpu(&self, digest: &str, input: JsValue) -> Result<WasmChoice, JsValue> {
        let model = digest.parse::<Digest>().map_err(|error| invalid(&error.to_string()))?;
        let numerics = self.numerics(Some("fast"))?;
        Ok(WasmChoice(self.choice(model, &payload_from_js(&input)?, numerics, true)))
    }

    /// Begins a run of a model without a plugin as was chosen, if not on the GPU.
    #[wasm_bindgen(js_name = startChosen)]
    pub fn start_chosen(&self, digest: &str, input: JsValue, choice: WasmChoice) -> Result<WasmRun, JsValue> {
        let WasmChoice(trial) = choice;
        let options = self.options(usize::from(trial.backend.threads), trial.backend.numerics);
        let run = self.model(digest)?.start_with(payload_from_js(&input)?, options);
        Ok(WasmRun::new(run.map_err(|error| job_to_js(&error))?, Some(trial)))
    }

    /// Runs the graph of a model to its end at once: what a plugin's import does. On at most `threads` of the engine's threads
    /// (all when absent).
    #[wasm_bindgen(js_name = runTensors)]
    pub fn run_tensors(
        &self,
        digest: &str,
        tensors: JsValue,
        threads: Option<u32>,
        numerics: Option<String>,
    ) -> Result<JsValue, JsValue> {
        let tensors = tensors_from_js(&tensors)?;
        let numerics = self.numerics(numerics.as_deref())?;
        let mut options = self.options(threads.map_or(usize::MAX, |most| most as usize), numerics);
        let done = self.model(digest)?.run_tensors_with(tensors, &Cancel::new(), &mut options);
        let (outputs, _) = done.map_err(|error| job_to_js(&error))?;
        Ok(tensors_to_js(&outputs))
    }

    /// Room for a model's file of `size` bytes, which come in pieces and are hashed.
    pub fn file(&self, size: f64) -> Result<WasmFile, JsValue> {
        WasmFile::bytes_of(size, true)
    }

    /// Room for a graph whose file has `size` bytes, which come in pieces and are hashed if `hashed`; it and its runs
    /// take at most `memory` bytes.
    pub fn graph(&self, size: f64, memory: f64, hashed: bool) -> Result<WasmFile, JsValue> {
        WasmFile::graph(size, memory as u64, hashed)
    }

    /// Hashes bytes that come in pieces.
    #[wasm_bindgen(js_name = digestWriter)]
    pub fn digest_writer(&self) -> WasmDigest {
        WasmDigest::default()
    }

    fn choice(&self, model: Digest, input: &Payload, numerics: Numerics, gpu: bool) -> Trial {
        let class = ShapeClass::of(input);
        let most = u16::try_from(self.threads.count()).unwrap_or(u16::MAX);
        let mut backends = Backend::candidates(numerics, most);
        if gpu {
            backends.push(Backend::GPU);
        }
        let backend = self.chooser.borrow_mut().choose(model, class, &backends);
        Trial { chooser: self.chooser.clone(), model, class, backend }
    }

    fn numerics(&self, wanted: Option<&str>) -> Result<Numerics, JsValue> {
        match wanted {
            None | Some("exact") => Ok(Numerics::Exact),
            Some("fast") if self.can_be_fast() => Ok(Numerics::Fast),
            Some("fast") => Ok(Numerics::Exact),
            Some(other) => Err(invalid(&format!("numerics are \"exact\" or \"fast\", not {other:?}"))),
        }
    }

    fn options(&self, threads: usize, numerics: Numerics) -> RunOptions {
        let numerics = match numerics {
            Numerics::Exact => cpu::Numerics::Exact,
            Numerics::Fast => cpu::Numerics::Fast,
        };
        RunOptions { numerics: Some(numerics), threads: Some(self.threads.at_most(threads)) }
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

fn seed() -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = platform::random_seed();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
