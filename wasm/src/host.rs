//! What the npm package provides from its Worker: the engine and the cache of model files.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
    time::Duration,
};

use js_sys::{Array, Uint8Array};
use neuromesh::{
    Digest,
    core::{model::MAX_MANIFEST_BYTES, receipt::Exactness},
    engine::{Cancel, Engine, Job, JobDone, JobError},
    platform::BoxFuture,
    storage::{BlobStore, BlobWriter, StorageError},
};
use wasm_bindgen::prelude::*;

use crate::{
    errors::thrown,
    values::{get, number, part_from_js, payload_from_js, payload_to_js},
};

#[wasm_bindgen]
extern "C" {
    /// The object given to `WasmMesh.join`; duck-typed.
    pub type Host;

    #[wasm_bindgen(method, structural, catch)]
    async fn execute(
        this: &Host,
        job: u32,
        digest: &str,
        manifest: &str,
        input: JsValue,
        numerics: &str,
        on_part: Option<&Closure<dyn FnMut(JsValue)>>,
    ) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, structural)]
    fn cancel(this: &Host, job: u32);
    #[wasm_bindgen(method, structural, catch, js_name = blobSize)]
    async fn blob_size(this: &Host, digest: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, structural, catch, js_name = blobRead)]
    async fn blob_read(this: &Host, digest: &str, offset: f64, len: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, structural, catch, js_name = blobBegin)]
    async fn blob_begin(this: &Host, digest: &str, size: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, structural, catch, js_name = blobAppend)]
    async fn blob_append(this: &Host, writer: f64, data: Uint8Array) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, structural, catch, js_name = blobFinish)]
    async fn blob_finish(this: &Host, writer: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, structural, catch, js_name = blobAbort)]
    async fn blob_abort(this: &Host, writer: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, structural, catch, js_name = blobList)]
    async fn blob_list(this: &Host) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, structural, catch, js_name = blobRemove)]
    async fn blob_remove(this: &Host, digest: &str) -> Result<JsValue, JsValue>;
    /// Bytes that the engine in the Worker gives to a model.
    #[wasm_bindgen(method, structural, getter)]
    fn memory(this: &Host) -> JsValue;
}

/// The engine in the Worker.
pub(crate) struct HostEngine {
    host: Rc<Host>,
    next_job: Cell<u32>,
    loaded: Rc<RefCell<BTreeSet<Digest>>>,
}

impl HostEngine {
    pub(crate) fn new(host: Rc<Host>) -> Self {
        Self { host, next_job: Cell::new(1), loaded: Rc::default() }
    }
}

impl Engine for HostEngine {
    fn run(&self, job: Job, cancel: Cancel) -> BoxFuture<'static, Result<JobDone, JobError>> {
        let number = self.next_job.replace(self.next_job.get().wrapping_add(1));
        let (host, loaded) = (self.host.clone(), self.loaded.clone());
        Box::pin(async move {
            let manifest = published(&host, &job).await?;
            let digest = job.model.to_string();
            let input = payload_to_js(&job.input);
            // Lives as long as the run: the Worker says nothing more of it afterwards.
            let on_part = job.parts.map(|parts| {
                Closure::<dyn FnMut(JsValue)>::new(move |part: JsValue| match part_from_js(&part) {
                    Ok(part) => parts.push(part),
                    Err(error) => tracing::error!(?error, "the engine made no proper part"),
                })
            });
            let execute = host.execute(number, &digest, &manifest, input, job.numerics.as_str(), on_part.as_ref());
            let result = {
                let (mut execute, mut cancelled) = (std::pin::pin!(execute), std::pin::pin!(cancel.cancelled()));
                match futures::future::select(execute.as_mut(), cancelled.as_mut()).await {
                    futures::future::Either::Left((result, _)) => result,
                    futures::future::Either::Right(_) => {
                        host.cancel(number);
                        return Err(JobError::Cancelled);
                    }
                }
            };
            let done = result.map_err(|error| job_error(&error))?;
            let millis = |key| number_or_zero(&done, key);
            let output = get(&done, "output").and_then(|output| payload_from_js(&output));
            let output = output.map_err(|error| job_error(&error))?;
            remember(&loaded, &done, job.model);
            let exactness = exactness(&done).map_err(|error| job_error(&error))?;
            Ok(JobDone { output, load: millis("loadMs"), service: millis("serviceMs"), expected: None, exactness })
        })
    }

    fn loaded(&self) -> Vec<Digest> {
        self.loaded.borrow().iter().copied().collect()
    }

    fn unload(&self, model: &Digest) {
        self.loaded.borrow_mut().remove(model);
    }

    fn memory(&self) -> Option<u64> {
        self.host.memory().as_f64().filter(|bytes| *bytes > 0.0).map(|bytes| bytes as u64)
    }
}

/// The manifest, byte for byte: written anew it may differ from what its author wrote, and from the digest that names it.
async fn published(host: &Rc<Host>, job: &Job) -> Result<String, JobError> {
    let written = job.manifest.to_json();
    let bytes = if Digest::of(&written) == job.model {
        written
    } else {
        let read = HostBlobs(host.clone()).read(&job.model, 0, MAX_MANIFEST_BYTES).await;
        read.map_err(|error| JobError::Missing(error.to_string()))?
    };
    String::from_utf8(bytes).map_err(|_| JobError::InvalidModel("the manifest is not UTF-8".into()))
}

/// Exact, unless the Worker says that it is not.
fn exactness(done: &JsValue) -> Result<Exactness, JsValue> {
    Ok(match get(done, "exactness")?.as_string().as_deref() {
        None | Some("exact") => Exactness::Exact,
        _ => Exactness::Approximate,
    })
}

fn number_or_zero(object: &JsValue, key: &str) -> Duration {
    Duration::from_secs_f64(number(object, key).unwrap_or(0.0).min(1e9) / 1000.0)
}

/// The Worker says which models it holds now; it drops some when memory is short.
fn remember(loaded: &RefCell<BTreeSet<Digest>>, done: &JsValue, model: Digest) {
    let said = get(done, "loaded").ok().and_then(|list| list.dyn_into::<Array>().ok());
    let mut loaded = loaded.borrow_mut();
    match said {
        Some(list) => {
            *loaded = list.iter().filter_map(|digest| digest.as_string()?.parse().ok()).collect();
        }
        None => {
            loaded.insert(model);
        }
    }
}

fn job_error(error: &JsValue) -> JobError {
    let (name, message) = thrown(error);
    match name.as_str() {
        "AbortError" => JobError::Cancelled,
        "InvalidInput" => JobError::InvalidInput(message),
        "ModelInvalid" => JobError::InvalidModel(message),
        "PluginFailed" => JobError::Plugin(message),
        "QuotaExceeded" => JobError::StorageFull(message),
        "StorageError" | "ModelNotFound" => JobError::Missing(message),
        _ => JobError::Failed(message),
    }
}

/// The cache of model files in the Worker (OPFS).
pub(crate) struct HostBlobs(pub(crate) Rc<Host>);

struct HostWriter {
    host: Rc<Host>,
    writer: f64,
    open: bool,
}

fn storage_error(error: &JsValue) -> StorageError {
    let (name, message) = thrown(error);
    match name.as_str() {
        "QuotaExceeded" | "QuotaExceededError" => StorageError::Full { message },
        _ => StorageError::Io(message),
    }
}

impl BlobStore for HostBlobs {
    fn has<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<u64>, StorageError>> {
        Box::pin(async move {
            let size = self.0.blob_size(&digest.to_string()).await.map_err(|error| storage_error(&error))?;
            Ok(size.as_f64().map(|size| size as u64))
        })
    }

    fn read<'a>(&'a self, digest: &'a Digest, offset: u64, len: usize) -> BoxFuture<'a, Result<Vec<u8>, StorageError>> {
        Box::pin(async move {
            let bytes = self.0.blob_read(&digest.to_string(), offset as f64, len as f64).await;
            let bytes = bytes.map_err(|error| storage_error(&error))?;
            let bytes = bytes.dyn_into::<Uint8Array>().map_err(|_| StorageError::Io("expected bytes".into()))?;
            Ok(bytes.to_vec())
        })
    }

    fn write<'a>(&'a self, digest: &'a Digest, size: u64) -> BoxFuture<'a, Result<Box<dyn BlobWriter>, StorageError>> {
        Box::pin(async move {
            let writer = self.0.blob_begin(&digest.to_string(), size as f64).await;
            let writer = writer.map_err(|error| storage_error(&error))?.as_f64();
            let writer = writer.ok_or_else(|| StorageError::Io("expected a writer's number".into()))?;
            Ok(Box::new(HostWriter { host: self.0.clone(), writer, open: true }) as Box<dyn BlobWriter>)
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Digest>, StorageError>> {
        Box::pin(async move {
            let list = self.0.blob_list().await.map_err(|error| storage_error(&error))?;
            let list = list.dyn_into::<Array>().map_err(|_| StorageError::Io("expected a list".into()))?;
            Ok(list.iter().filter_map(|digest| digest.as_string()?.parse().ok()).collect())
        })
    }

    fn remove<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async move {
            self.0.blob_remove(&digest.to_string()).await.map_err(|error| storage_error(&error))?;
            Ok(())
        })
    }
}

impl BlobWriter for HostWriter {
    fn append(&mut self, bytes: Vec<u8>) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let appended = self.host.blob_append(self.writer, Uint8Array::from(&bytes[..])).await;
            appended.map(|_| ()).map_err(|error| storage_error(&error))
        })
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<(), StorageError>> {
        Box::pin(async move {
            self.open = false;
            self.host.blob_finish(self.writer).await.map(|_| ()).map_err(|error| storage_error(&error))
        })
    }
}

impl Drop for HostWriter {
    fn drop(&mut self) {
        if self.open {
            let (host, writer) = (self.host.clone(), self.writer);
            wasm_bindgen_futures::spawn_local(async move {
                let _ = host.blob_abort(writer).await;
            });
        }
    }
}
