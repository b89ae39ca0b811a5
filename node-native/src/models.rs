//! Bringing models into a store: a folder with a manifest, or a bare ONNX file.
//!
//! A folder holds `manifest.json` (the model's identity, kept byte for byte), `files.json` (role to file name) and the
//! files. Everything is checked against the manifest's sizes and digests before it is offered; a crash at any point
//! leaves the store with whole files only, and the model either there or not.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use futures::{StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use neuromesh::{
    Digest, Manifest, Pipeline, catalogue,
    core::{
        ids::DigestWriter,
        model::{MAX_FILE_BYTES, MAX_MANIFEST_BYTES, ModelFile, is_model_name},
    },
    infer,
    storage::BlobStore,
};
use tokio::io::AsyncReadExt;

use crate::{
    client::{Client, ClientError},
    data::Stores,
};

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// A bare graph is checked by loading it where it is not larger than this.
const CHECKED: u64 = 512 << 20;

/// A model on disk, checked.
#[derive(Clone, Debug)]
pub struct Import {
    /// The manifest.
    pub manifest: Manifest,
    bytes: Vec<u8>,
    files: Vec<(ModelFile, PathBuf)>,
}

/// A model cannot be added; the store is as it was, but for files that are there in whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Neither a model's folder nor a graph.
    #[error("{path}: {reason}")]
    Invalid {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file is not what the manifest says.
    #[error("{path} does not match its manifest ({reason}); get the model again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        reason: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] neuromesh::storage::StorageError),
    /// The catalogue.
    #[error(transparent)]
    Catalogue(#[from] neuromesh::Error),
    /// The node.
    #[error(transparent)]
    Node(#[from] ClientError),
}

impl ImportError {
    /// The stable name, for programs.
    pub fn name(&self) -> String {
        use neuromesh::ErrorKind;
        match self {
            Self::Read { .. } | Self::Invalid { .. } | Self::Damaged { .. } => ErrorKind::ModelInvalid.name().into(),
            Self::Store(neuromesh::storage::StorageError::Full { .. }) => ErrorKind::QuotaExceeded.name().into(),
            Self::Store(_) => ErrorKind::Storage.name().into(),
            Self::Catalogue(error) => error.kind().name().into(),
            Self::Node(ClientError::Refused { name, .. }) => name.clone(),
            Self::Node(_) => ErrorKind::Network.name().into(),
        }
    }
}

impl Import {
    /// Reads and checks the model at `path`, a folder or an ONNX file; `name` replaces its own.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn read(path: &Path, name: Option<&str>) -> Result<Self, ImportError> {
        if let Some(name) = name.filter(|name| !is_model_name(name)) {
            let reason = format!("name {name:?}: 1 to 64 of a-z, 0-9, '-', '_', '.'");
            return Err(ImportError::Invalid { path: path.to_owned(), reason });
        }
        let facts = fs::metadata(path).map_err(|source| ImportError::Read { path: path.to_owned(), source })?;
        if facts.is_dir() { Self::folder(path, name) } else { Self::graph(path, name) }
    }

    fn folder(path: &Path, name: Option<&str>) -> Result<Self, ImportError> {
        let invalid = |path: &Path, reason: String| ImportError::Invalid { path: path.to_owned(), reason };
        let manifest_path = path.join("manifest.json");
        let mut bytes = small(&manifest_path, MAX_MANIFEST_BYTES)?;
        let mut manifest = Manifest::from_json(&bytes).map_err(|error| invalid(&manifest_path, error.to_string()))?;
        if let Some(name) = name.filter(|name| *name != manifest.name) {
            name.clone_into(&mut manifest.name);
            bytes = manifest.to_json();
        }
        let names_path = path.join("files.json");
        let names: BTreeMap<String, String> = serde_json::from_slice(&small(&names_path, MAX_MANIFEST_BYTES)?)
            .map_err(|error| invalid(&names_path, format!("expected an object of role to file name: {error}")))?;
        let mut files = Vec::new();
        for file in &manifest.files {
            let name = names.get(&file.role).ok_or_else(|| {
                invalid(&names_path, format!("no file name for role {:?} of the manifest", file.role))
            })?;
            let plain = Path::new(name).file_name().is_some_and(|last| last == name.as_str());
            if !plain {
                return Err(invalid(&names_path, format!("{name:?} is not the name of a file beside it")));
            }
            let path = path.join(name);
            let (digest, size) = digest(&path)?;
            let wrong = |reason| ImportError::Damaged { path: path.clone(), reason };
            if size != file.size {
                return Err(wrong(format!("{size} bytes instead of {}", file.size)));
            }
            if digest != file.digest {
                return Err(wrong(format!("digest {digest} instead of {}", file.digest)));
            }
            files.push((file.clone(), path));
        }
        Ok(Self { manifest, bytes, files })
    }

    fn graph(path: &Path, name: Option<&str>) -> Result<Self, ImportError> {
        let invalid = |reason: String| ImportError::Invalid { path: path.to_owned(), reason };
        let name = match name {
            Some(name) => name.to_owned(),
            None => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
                let name = stem.replace(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')), "-");
                if is_model_name(&name) {
                    name
                } else {
                    return Err(invalid("give the model a name: --name NAME".into()));
                }
            }
        };
        let (digest, size) = digest(path)?;
        let mut weights = size;
        if size <= CHECKED {
            let bytes = fs::read(path).map_err(|source| ImportError::Read { path: path.to_owned(), source })?;
            let model = infer::Model::load(bytes.into(), &infer::Limits::default()).map_err(|error| {
                invalid(format!(
                    "not an ONNX graph that this engine runs: {error} (a folder with manifest.json works too)"
                ))
            })?;
            weights = model.weight_bytes();
        }
        let file = ModelFile { role: "graph".into(), digest, size };
        let manifest = Manifest {
            format: 1,
            name,
            pipeline: Pipeline::Tensors,
            files: vec![file.clone()],
            memory: weights.max(1),
            license: String::new(),
        };
        let bytes = manifest.to_json();
        Manifest::from_json(&bytes).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { manifest, bytes, files: vec![(file, path.to_owned())] })
    }

    /// Puts the model into a store that this process has open.
    ///
    /// # Errors
    /// [`ImportError`].
    pub async fn into_stores(self, stores: &Stores) -> Result<Digest, ImportError> {
        for (file, path) in &self.files {
            if stores.blobs.has(&file.digest).await? == Some(file.size) {
                continue;
            }
            let mut writer = stores.blobs.write(&file.digest, file.size).await?;
            let mut chunks = std::pin::pin!(chunks(path.clone()));
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk.map_err(|source| ImportError::Read { path: path.clone(), source })?;
                writer.append(chunk).await?;
            }
            writer.finish().await?;
        }
        Ok(catalogue::install(&*stores.docs, &*stores.blobs, &self.bytes).await?.digest)
    }

    /// Gives the model to the node that runs here.
    ///
    /// # Errors
    /// [`ImportError`].
    pub async fn into_node(self, node: &Client) -> Result<Digest, ImportError> {
        for (file, path) in &self.files {
            let at = format!("/v1/blobs/{}", file.digest);
            if node.get(&at).await?["size"].as_u64() == Some(file.size) {
                continue;
            }
            let frames = chunks(path.clone()).map_ok(|chunk| Frame::data(Bytes::from(chunk)));
            node.put(&at, StreamBody::new(Box::pin(frames)).boxed_unsync(), file.size).await?;
        }
        let digest = Digest::of(&self.bytes);
        node.post("/v1/models", self.bytes).await?;
        Ok(digest)
    }
}

fn small(path: &Path, limit: usize) -> Result<Vec<u8>, ImportError> {
    let failed = |source| ImportError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > limit as u64 {
        return Err(ImportError::Invalid { path: path.to_owned(), reason: format!("over {limit} bytes") });
    }
    fs::read(path).map_err(failed)
}

fn digest(path: &Path) -> Result<(Digest, u64), ImportError> {
    use io::Read;
    let failed = |source| ImportError::Read { path: path.to_owned(), source };
    let mut file = fs::File::open(path).map_err(failed)?;
    let mut writer = DigestWriter::new();
    let mut chunk = vec![0; CHUNK];
    let mut size = 0;
    loop {
        let len = file.read(&mut chunk).map_err(failed)?;
        if len == 0 {
            return Ok((writer.finish(), size));
        }
        size += len as u64;
        if size > MAX_FILE_BYTES {
            let reason = format!("over {MAX_FILE_BYTES} bytes");
            return Err(ImportError::Invalid { path: path.to_owned(), reason });
        }
        writer.update(&chunk[..len]);
    }
}

fn chunks(path: PathBuf) -> impl futures::Stream<Item = io::Result<Vec<u8>>> + Send {
    stream::try_unfold(None, move |file: Option<tokio::fs::File>| {
        let path = path.clone();
        async move {
            let mut file = match file {
                Some(file) => file,
                None => tokio::fs::File::open(&path).await?,
            };
            let mut chunk = vec![0; CHUNK];
            let len = file.read(&mut chunk).await?;
            chunk.truncate(len);
            Ok((len > 0).then_some((chunk, Some(file))))
        }
    })
}
