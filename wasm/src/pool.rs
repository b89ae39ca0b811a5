//! The engine's threads. Each is an instance of this module over the same memory, in a Worker of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};

use neuromesh::infer::kernels::threads::{Threads, Worker};
use wasm_bindgen::prelude::*;

/// The most threads of an engine, whatever it is asked for.
const MAX_THREADS: usize = 64;

/// Places in the pool that no helper has taken.
static PLACES: Mutex<Vec<Worker>> = Mutex::new(Vec::new());

fn places() -> MutexGuard<'static, Vec<Worker>> {
    PLACES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pool for `count` threads. Until helpers come, and where none ever does, the caller does all the work.
pub(crate) fn open(count: usize) -> Threads {
    let count = count.clamp(1, MAX_THREADS);
    let (threads, workers) = Threads::staffed_by_caller(count);
    *places() = workers;
    if count == 1 { Threads::single() } else { threads }
}

/// Shares the engine's work from now on, in a Worker that does nothing else: it does not return while the engine lives. Returns
/// false at once where the engine wants no more helpers.
#[wasm_bindgen]
pub fn help() -> bool {
    let place = places().pop();
    place.is_some_and(|worker| {
        worker.work();
        true
    })
}

/// This instance's memory, for the helpers' instances. (`memory` is what the memory itself is exported as.)
#[wasm_bindgen(js_name = sharedMemory)]
pub fn shared_memory() -> JsValue {
    wasm_bindgen::memory()
}
