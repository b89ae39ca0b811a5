//! What runs models on this peer: an [`Engine`] takes a [`Job`] and gives back its output.

mod crew;
mod generate;
mod image;
mod local;
mod memo;
mod parts;
mod prepared;
mod tensors;
mod voice;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use neuromesh_core::{Digest, Manifest, Numerics, Payload, ShapeClass, SparseBytes, receipt::Exactness};
use neuromesh_infer as infer;

pub use self::{
    crew::MAX_THREADS,
    local::{LocalEngine, LocalEngineConfig},
    parts::PartSink,
    prepared::{Conduct, EMBEDDING, Prepared, PreparedRun},
    tensors::{from_engine, to_engine},
};
use crate::platform::{BoxFuture, MaybeSend, MaybeSync};

/// A model run whose files are all in the blob store.
#[derive(Clone, Debug)]
pub struct Job {
    /// Digest of the manifest.
    pub model: Digest,
    /// The manifest.
    pub manifest: Manifest,
    /// How exact its numbers must be; exact ones always will do.
    pub numerics: Numerics,
    /// What to run it on.
    pub input: Payload,
    /// Where parts of the output go as they are made, if somebody wants them. Of most pipelines there are none.
    pub parts: Option<PartSink>,
}

/// The end of a [`Job`].
#[derive(Clone, Debug)]
pub struct JobDone {
    /// What the model said.
    pub output: Payload,
    /// Time spent loading the model; zero when it was loaded already.
    pub load: Duration,
    /// Time spent running it.
    pub service: Duration,
    /// What the next run on an input of the same class should take, if the engine knows better than this one shows.
    pub expected: Option<Duration>,
    /// What the numbers are.
    pub exactness: Exactness,
}

/// Why a job gave no output. The engine is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// A file that the manifest names is not in the store, or is not what its digest says.
    #[error("model file missing or damaged: {0}")]
    Missing(String),
    /// The model's files are no valid model.
    #[error("model is not valid: {0}")]
    InvalidModel(String),
    /// The input does not fit the model.
    #[error("input does not fit the model: {0}")]
    InvalidInput(String),
    /// The plugin trapped, ran out of its limits, or refused.
    #[error("plugin failed: {0}")]
    Plugin(String),
    /// The model needs more memory than this peer gives.
    #[error("model needs {needed} bytes of memory, this peer gives {limit}")]
    TooLarge {
        /// Bytes that the model needs.
        needed: u64,
        /// Bytes that this peer gives.
        limit: u64,
    },
    /// The disk or the quota is full.
    #[error("{0}")]
    StorageFull(String),
    /// Running failed for another reason.
    #[error("{0}")]
    Failed(String),
    /// The caller gave up.
    #[error("cancelled")]
    Cancelled,
}

/// Runs models.
pub trait Engine: MaybeSend + MaybeSync {
    /// Runs one job. Ends soon after `cancel` is cancelled, between two operators of the graph at the latest.
    fn run(&self, job: Job, cancel: Cancel) -> BoxFuture<'static, Result<JobDone, JobError>>;

    /// The models that answer without a cold load.
    fn loaded(&self) -> Vec<Digest>;

    /// What runs of a model should take, by class of the input in ascending order, as far as it is known.
    fn expectations(&self, model: &Digest) -> Vec<(ShapeClass, Duration)> {
        let _ = model;
        Vec::new()
    }

    /// Forgets a loaded model; its files may be gone already.
    fn unload(&self, model: &Digest);

    /// The most bytes of memory that a model may take here, if that is bounded: one that needs more is not even fetched.
    fn memory(&self) -> Option<u64> {
        None
    }
}

/// Tensors that a plugin gives to the engine, or gets back, by name.
pub type NamedTensors = Vec<(String, infer::Tensor)>;

/// Everything that a plugin may see and do.
pub struct PluginCall<'a> {
    /// Digest of the component, the key of compiled code.
    pub component: Digest,
    /// The component.
    pub bytes: &'a [u8],
    /// The caller's input.
    pub input: &'a SparseBytes,
    /// The model's other files, by role.
    pub files: &'a BTreeMap<String, Arc<Vec<u8>>>,
    /// Runs the model's graph.
    pub infer: &'a mut (dyn FnMut(NamedTensors) -> Result<NamedTensors, String> + Send),
    /// Set when the caller gave up.
    pub cancel: &'a Cancel,
}

/// Runs sandboxed plugins; blocks until the plugin ends.
pub trait PluginHost: Send + Sync {
    /// Runs `call` to its end and returns the plugin's JSON.
    ///
    /// # Errors
    /// [`JobError::Plugin`] with what the plugin did wrong, [`JobError::Cancelled`].
    fn run(&self, call: PluginCall<'_>) -> Result<String, JobError>;
}

/// Tells a job that its caller gave up.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<CancelState>);

#[derive(Debug, Default)]
struct CancelState {
    set: AtomicBool,
    notify: tokio::sync::Notify,
}

impl Cancel {
    /// A fresh one, not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels; idempotent.
    pub fn cancel(&self) {
        self.0.set.store(true, Ordering::Release);
        self.0.notify.notify_waiters();
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.set.load(Ordering::Acquire)
    }

    /// Resolves once cancelled.
    pub async fn cancelled(&self) {
        let notified = self.0.notify.notified();
        let mut notified = std::pin::pin!(notified);
        notified.as_mut().enable();
        if !self.is_cancelled() {
            notified.await;
        }
    }
}
