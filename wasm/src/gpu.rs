use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use neuromesh::{
    engine::{Accelerated, AcceleratedRun, Gpu, open_gpu},
    platform::Stopwatch,
};
use wasm_bindgen::prelude::*;

use crate::{
    errors::{invalid, job_to_js, named},
    file::{Files, WasmFile},
    values::{payload_from_js, payload_to_js},
};

/// Models on the tab's GPU; lives in the Worker, which gives up this module when a call traps.
#[wasm_bindgen]
pub struct WasmGpu {
    gpu: Gpu,
    models: RefCell<BTreeMap<String, Rc<Accelerated>>>,
}

#[wasm_bindgen]
impl WasmGpu {
    /// Asks the browser for its GPU; rejects with the reason when there is none.
    pub async fn open() -> Result<WasmGpu, JsValue> {
        let gpu = open_gpu().await.map_err(|error| job_to_js(&error))?;
        Ok(Self { gpu, models: RefCell::default() })
    }

    /// Bytes allocated on the GPU.
    pub fn memory(&self) -> f64 {
        self.gpu.memory() as f64
    }

    /// Room for a model's file of `size` bytes, which come in pieces.
    pub fn file(&self, size: f64) -> Result<WasmFile, JsValue> {
        WasmFile::bytes_of(size, false)
    }

    /// Room for a graph whose file has `size` bytes, which come in pieces; it and its runs take at most `memory` bytes.
    pub fn graph(&self, size: f64, memory: f64) -> Result<WasmFile, JsValue> {
        WasmFile::graph(size, memory as u64, false)
    }

    /// Loads a model from its manifest and its files (`{role, data}`, of [`file`](Self::file) and [`graph`](Self::graph));
    /// returns its digest.
    pub fn load(&self, manifest: &str, files: JsValue) -> Result<String, JsValue> {
        let Files { digest, manifest, graph, others } = Files::from_js(manifest, files)?;
        let graph = graph.ok_or_else(|| invalid("the graph must come in pieces"))?;
        let model = Accelerated::new(&manifest.pipeline, *graph, others, &self.gpu);
        self.models.borrow_mut().insert(digest.clone(), Rc::new(model.map_err(|error| job_to_js(&error))?));
        Ok(digest)
    }

    /// Forgets a model and gives its memory back; false when it was not loaded.
    pub fn unload(&self, digest: &str) -> bool {
        let was_loaded = self.models.borrow_mut().remove(digest).is_some();
        self.gpu.trim();
        was_loaded
    }

    /// Begins a run.
    pub fn start(&self, digest: &str, input: JsValue) -> Result<WasmGpuRun, JsValue> {
        let missing = || named("ModelNotFound", &format!("model {digest} is not loaded"));
        let model = self.models.borrow().get(digest).cloned().ok_or_else(missing)?;
        let run = model.start(payload_from_js(&input)?).map_err(|error| job_to_js(&error))?;
        Ok(WasmGpuRun(RefCell::new(State { run: Some(run), device: 0, host: 0 })))
    }
}

/// A run under way, advanced in slices so that the Worker can hear a cancellation between two of them.
#[wasm_bindgen]
pub struct WasmGpuRun(RefCell<State>);

struct State {
    /// Away while a step is under way; gone once the run is over.
    run: Option<AcceleratedRun>,
    device: u64,
    host: u64,
}

#[wasm_bindgen]
impl WasmGpuRun {
    /// Hands operators to the GPU for about `budget` milliseconds, one at least; the output once it is done.
    pub async fn step(&self, budget: f64) -> Result<JsValue, JsValue> {
        let watch = Stopwatch::start();
        let budget = Duration::from_secs_f64(budget.clamp(0.0, 60_000.0) / 1000.0);
        let taken = self.0.borrow_mut().run.take();
        let mut run = taken.ok_or_else(|| named("RunFailed", "the run is over, or another step is under way"))?;
        loop {
            let output = run.step().await.map_err(|error| job_to_js(&error))?;
            let is_over = output.is_some();
            if is_over || watch.elapsed() >= budget {
                let traffic = run.traffic();
                let run = (!is_over).then_some(run);
                self.0.replace(State { run, device: traffic.device, host: traffic.host });
                return Ok(output.map_or(JsValue::UNDEFINED, |output| payload_to_js(&output)));
            }
        }
    }

    /// Operators that the GPU has executed so far.
    #[wasm_bindgen(js_name = onGpu)]
    pub fn on_gpu(&self) -> f64 {
        self.0.borrow().device as f64
    }

    /// Operators that the CPU has executed so far, because the GPU has not got them, or they were not worth the way.
    #[wasm_bindgen(js_name = onCpu)]
    pub fn on_cpu(&self) -> f64 {
        self.0.borrow().host as f64
    }
}
