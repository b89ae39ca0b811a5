//! What every handler knows.

use std::sync::{Arc, OnceLock};

use axum::{Json, extract::State as Extract};
use neuromesh::{Mesh, Tier};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use super::ApiError;
use crate::data::Stores;

/// Model runs over HTTP at once; more wait, as many as there are connections.
const MAX_RUNS: usize = 64;

/// Large bodies of requests in memory at once.
const MAX_LARGE_BODIES: usize = 16;

/// Pictures that are decoded at once.
const MAX_PICTURES: usize = 2;

/// What the node is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not there yet.
    Starting,
    /// Takes requests.
    Ready,
    /// Finishes those it has.
    Draining,
}

/// The node, as handlers see it.
pub struct Api {
    /// Where the node stands.
    pub tier: Tier,
    /// Threads that run models.
    pub threads: usize,
    pub(super) runs: Arc<Semaphore>,
    pub(super) bodies: Arc<Semaphore>,
    pub(super) pictures: Arc<Semaphore>,
    mesh: OnceLock<(Mesh, Stores)>,
    phase: watch::Sender<Phase>,
}

impl Api {
    /// A node that is starting.
    pub fn new(tier: Tier, threads: usize) -> Self {
        Self {
            tier,
            threads,
            runs: Arc::new(Semaphore::new(MAX_RUNS)),
            bodies: Arc::new(Semaphore::new(MAX_LARGE_BODIES)),
            pictures: Arc::new(Semaphore::new(MAX_PICTURES)),
            mesh: OnceLock::new(),
            phase: watch::Sender::new(Phase::Starting),
        }
    }

    /// The node is up.
    pub fn ready(&self, mesh: Mesh, stores: Stores) {
        if self.mesh.set((mesh, stores)).is_ok() {
            self.phase.send_replace(Phase::Ready);
        }
    }

    /// The node takes no more requests.
    pub fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// The mesh, as long as it is there.
    pub(super) fn mesh(&self) -> Result<&Mesh, ApiError> {
        self.both().map(|(mesh, _)| mesh)
    }

    pub(super) fn stores(&self) -> Result<&Stores, ApiError> {
        self.both().map(|(_, stores)| stores)
    }

    fn both(&self) -> Result<&(Mesh, Stores), ApiError> {
        match (self.phase(), self.mesh.get()) {
            (Phase::Ready, Some(both)) => Ok(both),
            (Phase::Draining, _) => Err(ApiError::unavailable("this node is stopping; ask another one")),
            _ => Err(ApiError::unavailable("this node is starting; try again in a moment")),
        }
    }
}

/// Alive: the process answers.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Ready: requests are taken.
pub(super) async fn readyz(Extract(api): Extract<Arc<Api>>) -> Result<Json<Value>, ApiError> {
    api.mesh().map(|_| Json(json!({"status": "ready"})))
}
