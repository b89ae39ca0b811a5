//! The engine in this process: loads models from the blob store, keeps them while memory lasts, runs them on a bounded
//! number of threads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use neuromesh_core::{Digest, Manifest, ids::DigestWriter};
use tokio::sync::Semaphore;

use super::{Cancel, Engine, Job, JobDone, JobError, PluginHost, Prepared};
use crate::{
    platform::{self, BoxFuture, Stopwatch},
    storage::BlobStore,
};

/// Bounds of a [`LocalEngine`].
#[derive(Clone, Debug)]
pub struct LocalEngineConfig {
    /// Jobs that run at once.
    pub threads: usize,
    /// Bytes for all loaded models together, and for the activations of one run.
    pub memory: u64,
}

impl Default for LocalEngineConfig {
    fn default() -> Self {
        Self { threads: 1, memory: 2 << 30 }
    }
}

/// Runs models in this process.
#[derive(Clone)]
pub struct LocalEngine(Arc<Shared>);

struct Shared {
    blobs: Arc<dyn BlobStore>,
    plugins: Option<Arc<dyn PluginHost>>,
    memory: u64,
    slots: Arc<Semaphore>,
    loaded: Mutex<Loaded>,
}

/// Loaded models, and when each was used last, by a counter.
#[derive(Default)]
struct Loaded {
    models: BTreeMap<Digest, (Arc<Prepared>, u64, u64)>,
    clock: u64,
}

impl LocalEngine {
    /// An engine over the files in `blobs`; without `plugins`, models whose pipeline is a plugin are refused.
    pub fn new(blobs: Arc<dyn BlobStore>, plugins: Option<Arc<dyn PluginHost>>, config: &LocalEngineConfig) -> Self {
        Self(Arc::new(Shared {
            blobs,
            plugins,
            memory: config.memory,
            slots: Arc::new(Semaphore::new(config.threads.max(1))),
            loaded: Mutex::default(),
        }))
    }
}

impl Engine for LocalEngine {
    fn run(&self, job: Job, cancel: Cancel) -> BoxFuture<'static, Result<JobDone, JobError>> {
        Box::pin(self.0.clone().run(job, cancel))
    }

    fn loaded(&self) -> Vec<Digest> {
        self.0.loaded().models.keys().copied().collect()
    }

    fn unload(&self, model: &Digest) {
        self.0.loaded().models.remove(model);
    }

    fn memory(&self) -> Option<u64> {
        Some(self.0.memory)
    }
}

impl Shared {
    async fn run(self: Arc<Self>, job: Job, cancel: Cancel) -> Result<JobDone, JobError> {
        let slot = tokio::select! {
            slot = self.slots.clone().acquire_owned() => slot.expect("the semaphore is never closed"),
            () = cancel.cancelled() => return Err(JobError::Cancelled),
        };
        let watch = Stopwatch::start();
        let known = self.loaded().touch(&job.model);
        let (prepared, load) = match known {
            Some(prepared) => (prepared, Duration::ZERO),
            None => {
                let prepared = self.clone().load(job.model, &job.manifest).await?;
                (prepared, watch.elapsed())
            }
        };
        if cancel.is_cancelled() {
            return Err(JobError::Cancelled);
        }
        let plugins = self.plugins.clone();
        let work = move || {
            let _slot = slot;
            let watch = Stopwatch::start();
            let output = prepared.run(job.input, plugins.as_deref(), &cancel)?;
            Ok(JobDone { output, load, service: watch.elapsed() })
        };
        platform::blocking(work)
            .await
            .unwrap_or_else(|| Err(JobError::Failed("the engine stopped unexpectedly".into())))
    }

    async fn load(self: Arc<Self>, digest: Digest, manifest: &Manifest) -> Result<Arc<Prepared>, JobError> {
        if manifest.memory > self.memory {
            return Err(JobError::TooLarge { needed: manifest.memory, limit: self.memory });
        }
        let mut files = BTreeMap::new();
        for file in &manifest.files {
            let bytes = self.read(&file.digest, file.size).await?;
            files.insert(file.role.clone(), (file.digest, bytes));
        }
        let (memory, pipeline) = (self.memory, manifest.pipeline.clone());
        let prepared = platform::blocking(move || Prepared::new(&pipeline, files, memory)).await;
        let prepared = prepared.unwrap_or_else(|| Err(JobError::Failed("loading stopped unexpectedly".into())))?;
        let prepared = Arc::new(prepared);
        self.loaded().insert(digest, prepared.clone(), manifest.memory.max(manifest.size()), self.memory);
        Ok(prepared)
    }

    /// A file of a model, checked against its name.
    async fn read(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, JobError> {
        let len = usize::try_from(size).map_err(|_| JobError::TooLarge { needed: size, limit: self.memory })?;
        let bytes = self.blobs.read(digest, 0, len).await.map_err(|error| JobError::Missing(error.to_string()))?;
        let digest = *digest;
        platform::blocking(move || {
            let mut writer = DigestWriter::new();
            writer.update(&bytes);
            (writer.finish() == digest).then_some(bytes)
        })
        .await
        .flatten()
        .ok_or_else(|| {
            JobError::Missing(format!("file {digest} does not match its digest; remove the model and add it again"))
        })
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loaded {
    fn touch(&mut self, model: &Digest) -> Option<Arc<Prepared>> {
        self.clock += 1;
        let clock = self.clock;
        self.models.get_mut(model).map(|(prepared, used, _)| {
            *used = clock;
            prepared.clone()
        })
    }

    /// Keeps `prepared`, dropping those unused for longest until all fit `budget`. Running ones live on until they end.
    fn insert(&mut self, model: Digest, prepared: Arc<Prepared>, bytes: u64, budget: u64) {
        self.clock += 1;
        self.models.insert(model, (prepared, self.clock, bytes));
        while self.models.len() > 1 && self.models.values().map(|(_, _, bytes)| bytes).sum::<u64>() > budget {
            let oldest = self.models.iter().min_by_key(|(_, (_, used, _))| *used).map(|(digest, _)| *digest);
            self.models.remove(&oldest.expect("more than one model"));
        }
    }
}
