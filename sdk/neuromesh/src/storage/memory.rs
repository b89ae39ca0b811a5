//! Storage that ends with the process: for tests, and for a browser that grants none.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use neuromesh_core::{Digest, ids::DigestWriter};

use super::{BlobStore, BlobWriter, DocStore, Entries, Key, Result, StorageError, StoreChange};
use crate::platform::BoxFuture;

/// A [`DocStore`] in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryDocStore(Arc<Mutex<BTreeMap<Key, Vec<u8>>>>);

impl DocStore for MemoryDocStore {
    fn load(&self, key: Key) -> BoxFuture<'_, Result<Option<Vec<u8>>>> {
        Box::pin(async move { Ok(lock(&self.0).get(&key).cloned()) })
    }

    fn load_range(&self, prefix: Key) -> BoxFuture<'_, Result<Entries>> {
        Box::pin(async move {
            let values = lock(&self.0);
            let range = values.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
            Ok(range.map(|(key, value)| (key.clone(), value.clone())).collect())
        })
    }

    fn commit(&self, changes: Vec<StoreChange>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut values = lock(&self.0);
            for change in changes {
                match change {
                    StoreChange::Put { key, value } => values.insert(key, value),
                    StoreChange::Delete { key } => values.remove(&key),
                };
            }
            Ok(())
        })
    }
}

type Blobs = Arc<Mutex<BTreeMap<Digest, Vec<u8>>>>;

/// A [`BlobStore`] in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryBlobStore(Blobs);

impl BlobStore for MemoryBlobStore {
    fn has<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<u64>>> {
        Box::pin(async move { Ok(lock(&self.0).get(digest).map(|bytes| bytes.len() as u64)) })
    }

    fn read<'a>(&'a self, digest: &'a Digest, offset: u64, len: usize) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move {
            let blobs = lock(&self.0);
            let bytes = blobs.get(digest).ok_or(StorageError::Missing { digest: *digest })?;
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            Ok(bytes[start..start.saturating_add(len).min(bytes.len())].to_vec())
        })
    }

    fn write<'a>(&'a self, expected: &'a Digest, size: u64) -> BoxFuture<'a, Result<Box<dyn BlobWriter>>> {
        Box::pin(async move {
            let check = Check::new(*expected, size);
            Ok(Box::new(MemoryBlobWriter { blobs: self.0.clone(), bytes: Vec::new(), check }) as Box<dyn BlobWriter>)
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Digest>>> {
        Box::pin(async move { Ok(lock(&self.0).keys().copied().collect()) })
    }

    fn remove<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            lock(&self.0).remove(digest);
            Ok(())
        })
    }
}

struct MemoryBlobWriter {
    blobs: Blobs,
    bytes: Vec<u8>,
    check: Check,
}

impl BlobWriter for MemoryBlobWriter {
    fn append(&mut self, bytes: Vec<u8>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.check.append(&bytes)?;
            self.bytes.extend(bytes);
            Ok(())
        })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let digest = self.check.finish()?;
            lock(&self.blobs).insert(digest, self.bytes);
            Ok(())
        })
    }
}

/// Size and digest of what is written, against what was announced.
#[derive(Clone, Debug)]
pub(super) struct Check {
    expected: Digest,
    size: u64,
    written: u64,
    digest: DigestWriter,
}

impl Check {
    pub(super) fn new(expected: Digest, size: u64) -> Self {
        Self { expected, size, written: 0, digest: DigestWriter::new() }
    }

    /// Refuses more than was announced.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.written = self.written.saturating_add(bytes.len() as u64);
        if self.written > self.size {
            return Err(StorageError::SizeMismatch { expected: self.size, actual: self.written });
        }
        self.digest.update(bytes);
        Ok(())
    }

    /// The name, if it is the right one.
    pub(super) fn finish(&self) -> Result<Digest> {
        if self.written != self.size {
            return Err(StorageError::SizeMismatch { expected: self.size, actual: self.written });
        }
        let actual = self.digest.finish();
        if actual == self.expected {
            Ok(actual)
        } else {
            Err(StorageError::DigestMismatch { expected: self.expected, actual })
        }
    }
}

/// A panic elsewhere leaves these maps whole: each is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
