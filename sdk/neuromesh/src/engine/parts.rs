//! Parts of an answer on their way from who makes them to who waits for them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use neuromesh_core::Part;
use tokio::sync::Notify;

/// Holds what was made and not taken yet, as one part: whoever makes parts never waits, and whoever is slow gets fewer and
/// longer ones. An answer's own bound is the bound of what it holds.
#[derive(Clone, Debug, Default)]
pub struct PartSink(Arc<State>);

#[derive(Debug, Default)]
struct State {
    waiting: Mutex<Part>,
    came: Notify,
}

impl PartSink {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what was made.
    pub fn push(&self, part: Part) {
        if !part.is_empty() {
            self.waiting().append(part);
            self.0.came.notify_one();
        }
    }

    /// What was made since it was asked last, if anything was.
    pub fn take(&self) -> Option<Part> {
        Some(std::mem::take(&mut *self.waiting())).filter(|part| !part.is_empty())
    }

    /// The same, once something was made. For one caller at a time; dropping the future loses nothing.
    pub async fn next(&self) -> Part {
        loop {
            // A push since the last look leaves a permit, so that none goes unheard.
            if let Some(part) = self.take() {
                return part;
            }
            self.0.came.notified().await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Part> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
