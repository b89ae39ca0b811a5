use std::cell::RefCell;
use std::time::Duration;

use neuromesh::{core::receipt::Exactness, engine::PreparedRun, platform::Stopwatch};
use wasm_bindgen::prelude::*;

use crate::{engine::job_to_js, values::payload_to_js};

/// A run under way, advanced in slices so that the Worker can hear a cancellation between two of them.
#[wasm_bindgen]
pub struct WasmRun(RefCell<PreparedRun>);

impl WasmRun {
    pub(crate) fn new(run: PreparedRun) -> Self {
        Self(RefCell::new(run))
    }
}

#[wasm_bindgen]
impl WasmRun {
    /// Whether running again gives the same bits, wherever that is.
    #[wasm_bindgen(js_name = isExact)]
    pub fn is_exact(&self) -> bool {
        self.0.borrow_mut().exactness() == Exactness::Exact
    }

    /// Works for about `budget` milliseconds, one operator at least; the output once it is done.
    pub fn step(&self, budget: f64) -> Result<JsValue, JsValue> {
        let watch = Stopwatch::start();
        let budget = Duration::from_secs_f64(budget.clamp(0.0, 60_000.0) / 1000.0);
        let mut run = self.0.borrow_mut();
        loop {
            if let Some(output) = run.step().map_err(|error| job_to_js(&error))? {
                return Ok(payload_to_js(&output));
            }
            if watch.elapsed() >= budget {
                return Ok(JsValue::UNDEFINED);
            }
        }
    }
}
