//! A server's storage: documents in redb, model files in a directory.

#[path = "native/documents.rs"]
mod documents;
#[path = "native/files.rs"]
mod files;
#[cfg(test)]
#[path = "native/tests.rs"]
mod tests;

pub use documents::RedbDocStore;
pub use files::FsBlobStore;

use super::{Result, StorageError};
use crate::platform;

/// Runs file IO on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let stopped = || Err(StorageError::Io("the storage thread stopped".into()));
    platform::blocking(work).await.unwrap_or_else(stopped)
}

impl From<std::io::Error> for StorageError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full { message: error.to_string() },
            _ => Self::Io(error.to_string()),
        }
    }
}
