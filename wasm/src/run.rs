use std::{cell::RefCell, rc::Rc, time::Duration};

use neuromesh::{
    Digest,
    core::{
        ShapeClass,
        choice::{Backend, Chooser},
        receipt::Exactness,
    },
    engine::PreparedRun,
    platform::Stopwatch,
};
use wasm_bindgen::prelude::*;

use crate::{
    engine::job_to_js,
    values::{part_to_js, payload_to_js},
};

/// A run under way, advanced in slices so that the Worker can hear a cancellation between two of them.
#[wasm_bindgen]
pub struct WasmRun(RefCell<State>);

struct State {
    run: PreparedRun,
    spent: Duration,
    trial: Option<Trial>,
}

/// A run that went as was chosen: its time is learned from.
pub(crate) struct Trial {
    pub chooser: Rc<RefCell<Chooser>>,
    pub model: Digest,
    pub class: ShapeClass,
    pub backend: Backend,
}

impl WasmRun {
    pub(crate) fn new(run: PreparedRun, trial: Option<Trial>) -> Self {
        Self(RefCell::new(State { run, spent: Duration::ZERO, trial }))
    }
}

#[wasm_bindgen]
impl WasmRun {
    /// Whether running again gives the same bits, wherever that is.
    #[wasm_bindgen(js_name = isExact)]
    pub fn is_exact(&self) -> bool {
        self.0.borrow_mut().run.exactness() == Exactness::Exact
    }

    /// What was made of the answer since the last call, `{text, tokens}`; undefined where there is nothing new.
    #[wasm_bindgen(js_name = takeParts)]
    pub fn take_parts(&self) -> JsValue {
        self.0.borrow_mut().run.take_parts().map_or(JsValue::UNDEFINED, |part| part_to_js(&part))
    }

    /// Works for about `budget` milliseconds, one operator at least; the output once it is done.
    pub fn step(&self, budget: f64) -> Result<JsValue, JsValue> {
        let watch = Stopwatch::start();
        let budget = Duration::from_secs_f64(budget.clamp(0.0, 60_000.0) / 1000.0);
        let State { run, spent, trial } = &mut *self.0.borrow_mut();
        loop {
            if let Some(output) = run.step().map_err(|error| job_to_js(&error))? {
                *spent += watch.elapsed();
                if let Some(Trial { chooser, model, class, backend }) = trial.take() {
                    chooser.borrow_mut().observe(model, class, backend, *spent);
                }
                return Ok(payload_to_js(&output));
            }
            if watch.elapsed() >= budget {
                *spent += watch.elapsed();
                return Ok(JsValue::UNDEFINED);
            }
        }
    }
}
