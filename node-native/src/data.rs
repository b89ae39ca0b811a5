//! The data folder: what a node keeps.
//!
//! ```text
//!   identity.json   the key (0600)          blobs/        model files by content
//!   node.json       how to reach the node   state.redb    documents, names of models
//!                   that runs here (0600)   webrtc.json   the certificate of `/webrtc-direct` (0600)
//! ```

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use neuromesh::storage::{FsBlobStore, RedbDocStore, StorageError};

/// The data folder of one node.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

/// The data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// It cannot be made.
    #[error("data folder {path}: {source}")]
    Create {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in it cannot be opened.
    #[error("{path}: {reason}{hint}")]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
}

/// The open stores of a data folder; one process has them at a time.
#[derive(Clone)]
pub struct Stores {
    /// Model files.
    pub blobs: Arc<FsBlobStore>,
    /// Documents and names of models.
    pub docs: Arc<RedbDocStore>,
}

impl DataDir {
    /// Makes the folder, for its owner only, where it is missing.
    ///
    /// # Errors
    /// [`DataError::Create`].
    pub fn create(path: &Path) -> Result<Self, DataError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| DataError::Create { path: path.to_owned(), source })?;
        Ok(Self(path.to_owned()))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file of the key.
    pub fn identity(&self) -> PathBuf {
        self.0.join("identity.json")
    }

    /// The file of the certificate of `/webrtc-direct`.
    pub fn certificate(&self) -> PathBuf {
        self.0.join("webrtc.json")
    }

    /// The file that tells how to reach the node that runs here.
    pub fn node(&self) -> PathBuf {
        self.0.join("node.json")
    }

    /// Opens the stores.
    ///
    /// # Errors
    /// [`DataError::Open`], also when another process has them open.
    pub fn open(&self) -> Result<Stores, DataError> {
        let blobs = self.0.join("blobs");
        let docs = self.0.join("state.redb");
        let failed = |path: &Path, error: &StorageError| {
            let reason = error.to_string();
            let busy = reason.contains("already open") || reason.contains("lock");
            let hint = if busy { "; another neuromesh process uses this data folder" } else { "" };
            DataError::Open { path: path.to_owned(), reason, hint }
        };
        let opened = RedbDocStore::open(&docs).map_err(|error| failed(&docs, &error))?;
        let files = FsBlobStore::open(&blobs).map_err(|error| failed(&blobs, &error))?;
        Ok(Stores { blobs: Arc::new(files), docs: Arc::new(opened) })
    }
}

/// Writes a small file whole or not at all, readable by its owner only; durable when it returns.
///
/// # Errors
/// The disk's. What was there before is then still there.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = private(path, bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(path)
}

/// As [`write_private`], unless the file is there: then false, and it is as it was.
///
/// # Errors
/// The disk's.
pub fn create_private(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    match private(path, bytes)?.persist_noclobber(path) {
        Ok(_) => sync_folder(path).map(|()| true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

fn private(path: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    use io::Write;
    // Made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
