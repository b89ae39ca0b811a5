//! The browser's event loop and clock; everything stays on one thread.

use std::{future::Future, pin::Pin, time::Duration};

use futures::channel::oneshot;
use neuromesh_core::Timestamp;

/// A future on the heap; stays on its thread here, crosses threads natively.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Nothing here, [`Send`] natively.
pub trait MaybeSend {}
impl<T: ?Sized> MaybeSend for T {}

/// Nothing here, [`Sync`] natively.
pub trait MaybeSync {}
impl<T: ?Sized> MaybeSync for T {}

/// A task that runs by itself until it ends.
pub struct Spawned(oneshot::Receiver<()>);

impl Spawned {
    /// Waits for the end.
    pub async fn ended(self) {
        let _ = self.0.await;
    }
}

/// Starts `future` on the event loop.
pub fn spawn(future: impl Future<Output = ()> + MaybeSend + 'static) -> Spawned {
    let (done, ended) = oneshot::channel();
    wasm_bindgen_futures::spawn_local(async move {
        future.await;
        let _ = done.send(());
    });
    Spawned(ended)
}

/// Runs `work` in place: a browser's main thread has nowhere else to put it.
pub async fn blocking<T: 'static>(work: impl FnOnce() -> T + 'static) -> Option<T> {
    Some(work())
}

/// Waits, as `setTimeout` does.
pub fn sleep(duration: Duration) -> impl Future<Output = ()> + MaybeSend {
    gloo_timers::future::sleep(duration)
}

/// The time of day.
pub fn now() -> Timestamp {
    Timestamp::from_millis(js_sys::Date::now() as u64)
}

/// A seed from `crypto.getRandomValues`.
pub fn random_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom03::fill(&mut seed).expect("every browser has crypto.getRandomValues");
    seed
}

/// Measures a span of time; browsers blur it to 5 to 100 microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(f64);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(monotonic_ms())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        Duration::from_secs_f64(((monotonic_ms() - self.0) / 1000.0).max(0.0))
    }
}

/// `performance.now()`, which a window and a worker both have; the wall clock where there is neither.
fn monotonic_ms() -> f64 {
    use wasm_bindgen::JsCast;
    let global = js_sys::global();
    if let Some(window) = global.dyn_ref::<web_sys::Window>() {
        window.performance().map(|clock| clock.now())
    } else if let Some(worker) = global.dyn_ref::<web_sys::WorkerGlobalScope>() {
        worker.performance().map(|clock| clock.now())
    } else {
        None
    }
    .unwrap_or_else(js_sys::Date::now)
}
