//! The engine in this process: loads models from the blob store, keeps them while memory lasts, runs them on a bounded
//! number of threads. How many of them share a run is chosen by what was measured before.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use neuromesh_core::{Digest, Manifest, Numerics, Part, ShapeClass, choice::Backend, ids::DigestWriter};
use neuromesh_infer::{Run, RunOptions, kernels::cpu, kernels::threads::Threads};

use super::{
    Cancel, Conduct, Engine, Job, JobDone, JobError, PartSink, PluginHost, Prepared,
    crew::{Crew, Loan},
    memo::Memo,
};
use crate::{
    platform::{self, BoxFuture, Stopwatch},
    storage::{BlobStore, DocStore},
};

/// Bounds of a [`LocalEngine`].
#[derive(Clone, Debug)]
pub struct LocalEngineConfig {
    /// Threads that run jobs, 1 to [`MAX_THREADS`](super::MAX_THREADS): so many jobs at once, or fewer that share them.
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
    crew: Arc<Crew>,
    memo: Arc<Memo>,
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
            crew: Crew::new(config.threads),
            memo: Arc::new(Memo::transient()),
            loaded: Mutex::default(),
        }))
    }

    /// The same engine, before its first job: what it learns of its speed is kept in `store`, and what lies there is used
    /// if it was learned on the same `machine`, a text that names processor, instruction set and number of threads.
    #[must_use]
    pub async fn remembering(self, store: Arc<dyn DocStore>, machine: &str) -> Self {
        let memo = Arc::new(Memo::open(store, machine).await);
        let Shared { blobs, plugins, memory, crew, .. } = &*self.0;
        Self(Arc::new(Shared {
            blobs: blobs.clone(),
            plugins: plugins.clone(),
            memory: *memory,
            crew: crew.clone(),
            memo,
            loaded: Mutex::default(),
        }))
    }

    /// Threads that run jobs.
    pub fn threads(&self) -> usize {
        self.0.crew.total()
    }
}

impl Engine for LocalEngine {
    fn run(&self, job: Job, cancel: Cancel) -> BoxFuture<'static, Result<JobDone, JobError>> {
        Box::pin(self.0.clone().run(job, cancel))
    }

    fn loaded(&self) -> Vec<Digest> {
        self.0.loaded().models.keys().copied().collect()
    }

    fn expectations(&self, model: &Digest) -> Vec<(ShapeClass, Duration)> {
        self.0.memo.expectations(model)
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
        let loan = tokio::select! {
            loan = self.crew.lend() => loan,
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
        let shared = self.clone();
        let done = platform::blocking(move || shared.perform(job, &prepared, loan, load, &cancel)).await;
        self.memo.save();
        done.unwrap_or_else(|| Err(JobError::Failed("the engine stopped unexpectedly".into())))
    }

    /// Runs a job on the calling thread, with helpers while nobody else needs them.
    fn perform(
        &self,
        job: Job,
        prepared: &Prepared,
        mut loan: Loan,
        load: Duration,
        cancel: &Cancel,
    ) -> Result<JobDone, JobError> {
        let class = ShapeClass::of(&job.input);
        let threads = u16::try_from(self.crew.total()).unwrap_or(u16::MAX);
        let backend = self.memo.choose(job.model, class, &Backend::candidates(job.numerics, threads));
        let mut conductor = Conductor { loan: &mut loan, backend, as_chosen: true, parts: job.parts };
        let watch = Stopwatch::start();
        let (output, exactness) = prepared.run(job.input, self.plugins.as_deref(), cancel, &mut conductor)?;
        let service = watch.elapsed();
        tracing::debug!(model = %job.model, class = class.log2(), ?backend, ?service, as_chosen = conductor.as_chosen, "ran");
        if conductor.as_chosen && loan.was_undisturbed() {
            self.memo.observe(job.model, class, backend, service);
        }
        drop(loan);
        let expected = self.memo.expected(&job.model, class, job.numerics);
        Ok(JobDone { output, load, service, expected, exactness })
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

/// Runs graphs on the chosen backend, as far as threads are free; a plugin's own time takes none but the run's own.
struct Conductor<'a> {
    loan: &'a mut Loan,
    backend: Backend,
    as_chosen: bool,
    parts: Option<PartSink>,
}

impl Conduct for Conductor<'_> {
    fn begin(&mut self) -> RunOptions {
        self.as_chosen &= self.loan.widen(self.backend.threads.into());
        let numerics = match self.backend.numerics {
            Numerics::Exact => cpu::Numerics::Exact,
            Numerics::Fast => cpu::Numerics::Fast,
        };
        RunOptions { numerics: Some(numerics), threads: Some(self.loan.threads()) }
    }

    fn between(&mut self, run: &mut Run) {
        if self.loan.is_wanted() {
            run.set_threads(Threads::single());
            self.loan.narrow();
            self.as_chosen = false;
        }
    }

    fn part(&mut self, part: Part) {
        if let Some(parts) = &self.parts {
            parts.push(part);
        }
    }

    fn end(&mut self) {
        self.loan.narrow();
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
