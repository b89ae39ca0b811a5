//! Tokio, `SystemTime`, and futures that may move between threads.

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use neuromesh_core::Timestamp;

/// A future on the heap; crosses threads here, stays on one in a browser.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Send`] here, nothing in a browser.
pub trait MaybeSend: Send {}
impl<T: Send + ?Sized> MaybeSend for T {}

/// [`Sync`] here, nothing in a browser.
pub trait MaybeSync: Sync {}
impl<T: Sync + ?Sized> MaybeSync for T {}

/// A task that runs by itself until it ends.
pub struct Spawned(tokio::task::JoinHandle<()>);

impl Spawned {
    /// Waits for the end; a panic inside the task has been reported by the runtime already.
    pub async fn ended(self) {
        let _ = self.0.await;
    }
}

/// Starts `future` on the runtime.
pub fn spawn(future: impl Future<Output = ()> + MaybeSend + 'static) -> Spawned {
    Spawned(tokio::spawn(future))
}

/// Runs blocking or heavy code away from the runtime's own threads; `None` when it panicked.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// Waits.
pub fn sleep(duration: Duration) -> impl Future<Output = ()> + MaybeSend {
    tokio::time::sleep(duration)
}

/// The time of day.
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the one place where native code asks for the time"
)]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// A seed from the operating system.
pub fn random_seed() -> [u8; 32] {
    rand::random()
}

/// Measures a span of time, to the microsecond.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::disallowed_types, reason = "spans are measured here for all of native code")]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts now.
    #[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "the one place where native code measures")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
