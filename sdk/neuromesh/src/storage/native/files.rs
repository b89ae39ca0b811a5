//! A [`BlobStore`] in a directory.
//!
//! A blob is the file `ab/cdef…`, named by its digest. It is written under another name in `tmp`, flushed, renamed, and
//! the directory is flushed: after a crash it is there whole, or not at all.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use neuromesh_core::Digest;

use super::blocking;
use crate::{
    platform::BoxFuture,
    storage::{BlobStore, BlobWriter, Result, StorageError, memory::Check},
};

/// Files that are being written; what is found here at the start was left by a crash.
const TEMPORARY: &str = "tmp";

/// Model files in a directory that belongs to one process.
#[derive(Clone, Debug)]
pub struct FsBlobStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    next: AtomicU64,
}

impl FsBlobStore {
    /// Opens the directory, or makes it, and removes what a crash left unfinished. Reads and writes files.
    ///
    /// # Errors
    /// When the directory cannot be made, read or written.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        let temporary = dir.join(TEMPORARY);
        if temporary.exists() {
            fs::remove_dir_all(&temporary)?;
        }
        fs::create_dir_all(&temporary)?;
        sync_dir(&dir)?;
        Ok(Self(Arc::new(Shared { dir, next: AtomicU64::new(0) })))
    }

    /// Where the blob is, or would be.
    fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.0.dir.join(&name[..2]).join(&name[2..])
    }
}

impl BlobStore for FsBlobStore {
    fn has<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<u64>>> {
        let path = self.path(digest);
        Box::pin(blocking(move || match fs::metadata(path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }))
    }

    fn read<'a>(&'a self, digest: &'a Digest, offset: u64, len: usize) -> BoxFuture<'a, Result<Vec<u8>>> {
        let (path, digest) = (self.path(digest), *digest);
        Box::pin(blocking(move || {
            let mut file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => return Err(StorageError::Missing { digest }),
                Err(error) => return Err(error.into()),
            };
            let there = file.metadata()?.len().saturating_sub(offset);
            let len = len.min(usize::try_from(there).unwrap_or(usize::MAX));
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = vec![0; len];
            file.read_exact(&mut bytes)?;
            Ok(bytes)
        }))
    }

    fn write<'a>(&'a self, expected: &'a Digest, size: u64) -> BoxFuture<'a, Result<Box<dyn BlobWriter>>> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let temporary = Temporary(self.0.dir.join(TEMPORARY).join(number.to_string()));
        let (dir, target, check) = (self.0.dir.clone(), self.path(expected), Check::new(*expected, size));
        Box::pin(blocking(move || {
            let file = File::create_new(&temporary.0)?;
            let writing = Writing { dir, target, check, file, temporary };
            Ok(Box::new(FsBlobWriter(Some(Box::new(writing)))) as Box<dyn BlobWriter>)
        }))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Digest>>> {
        let dir = self.0.dir.clone();
        Box::pin(blocking(move || {
            let mut found = Vec::new();
            for fan in fs::read_dir(dir)? {
                let fan = fan?;
                if fan.file_name().len() != 2 || !fan.file_type()?.is_dir() {
                    continue;
                }
                for file in fs::read_dir(fan.path())? {
                    let name = [fan.file_name(), file?.file_name()].map(|part| part.to_string_lossy().into_owned());
                    // Other files are not ours.
                    found.extend(name.concat().parse::<Digest>().ok());
                }
            }
            found.sort_unstable();
            Ok(found)
        }))
    }

    fn remove<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<()>> {
        let path = self.path(digest);
        Box::pin(blocking(move || match fs::remove_file(&path) {
            Ok(()) => sync_dir(parent(&path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
        }))
    }
}

/// A file that is removed when it is dropped; after the rename there is none.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

struct Writing {
    dir: PathBuf,
    target: PathBuf,
    check: Check,
    file: File,
    temporary: Temporary,
}

impl Writing {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.check.append(bytes)?;
        Ok(self.file.write_all(bytes)?)
    }

    fn finish(self) -> Result<()> {
        self.check.finish()?;
        self.file.sync_all()?;
        let fan = parent(&self.target);
        if !fan.exists() {
            fs::create_dir_all(fan)?;
            sync_dir(&self.dir)?;
        }
        fs::rename(&self.temporary.0, &self.target)?;
        sync_dir(fan)
    }
}

/// `None` while a thread has it, and for good after an error.
struct FsBlobWriter(Option<Box<Writing>>);

impl BlobWriter for FsBlobWriter {
    fn append(&mut self, bytes: Vec<u8>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut writing = self.0.take().ok_or_else(broken)?;
            let written = blocking(move || {
                writing.append(&bytes)?;
                Ok(writing)
            });
            self.0 = Some(written.await?);
            Ok(())
        })
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let writing = self.0.take().ok_or_else(broken)?;
            blocking(move || writing.finish()).await
        })
    }
}

fn broken() -> StorageError {
    StorageError::Io("writing this blob failed before; start again".into())
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// Makes the names in a directory durable.
fn sync_dir(dir: &Path) -> Result<()> {
    // Windows cannot flush a directory, and orders renames by itself.
    if cfg!(unix) {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}
