//! What differs between a server and a browser: tasks, time, and whether futures cross threads.

use std::{future::Future, pin::Pin};

#[cfg(not(target_arch = "wasm32"))]
#[path = "platform/native.rs"]
mod imp;
#[cfg(target_arch = "wasm32")]
#[path = "platform/web.rs"]
mod imp;

pub use imp::{BoxFuture, MaybeSend, MaybeSync, Spawned, Stopwatch, blocking, now, random_seed, sleep, spawn};

/// Runs `future` for at most `limit`; `None` when the time is up.
pub async fn timeout<T>(limit: std::time::Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut timer: Pin<&mut _> = std::pin::pin!(sleep(limit));
    futures::future::poll_fn(|cx| {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(cx) {
            return std::task::Poll::Ready(Some(value));
        }
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}
