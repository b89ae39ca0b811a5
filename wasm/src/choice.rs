use std::time::Duration;

use neuromesh::core::Numerics;
use wasm_bindgen::prelude::*;

use crate::run::Trial;

/// How a run is to go. What it takes is learned from, so that the next choice is better.
#[wasm_bindgen]
pub struct WasmChoice(pub(crate) Trial);

#[wasm_bindgen]
impl WasmChoice {
    /// Whether the GPU is to run it.
    #[wasm_bindgen(js_name = isGpu)]
    pub fn is_gpu(&self) -> bool {
        self.0.backend.is_gpu()
    }

    /// On how many threads else.
    pub fn threads(&self) -> u16 {
        self.0.backend.threads
    }

    /// Whether with the fast kernels.
    #[wasm_bindgen(js_name = isFast)]
    pub fn is_fast(&self) -> bool {
        self.0.backend.numerics == Numerics::Fast
    }

    /// It has run, as was chosen, in so many milliseconds.
    pub fn observe(&self, elapsed: f64) {
        self.0.observe(duration(elapsed));
    }

    /// The run was given up after so many milliseconds. That tells something once others are known to be faster: without it, a
    /// GPU that is never done in time would be tried for ever.
    #[wasm_bindgen(js_name = gaveUp)]
    pub fn gave_up(&self, elapsed: f64) {
        let elapsed = duration(elapsed);
        let expected = self.0.chooser.borrow().expected(&self.0.model, self.0.class, Numerics::Fast);
        if expected.is_some_and(|expected| elapsed > expected) {
            self.0.observe(elapsed);
        }
    }
}

fn duration(milliseconds: f64) -> Duration {
    Duration::from_secs_f64(milliseconds.clamp(0.0, 3_600_000.0) / 1000.0)
}
