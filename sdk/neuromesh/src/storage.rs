//! Where bytes live: model files by content ([`BlobStore`]), documents by key ([`DocStore`]).
//!
//! | | server | browser | tests |
//! |---|---|---|---|
//! | [`DocStore`] | `RedbDocStore` | `IndexedDbDocStore` | [`MemoryDocStore`] |
//! | [`BlobStore`] | `FsBlobStore` | given by the page (OPFS, in its Worker) | [`MemoryBlobStore`] |
//!
//! Every implementation passes the same [`conformance`] suite.

use neuromesh_core::Digest;

use crate::platform::{BoxFuture, MaybeSend, MaybeSync};

pub mod conformance;
#[cfg(not(target_arch = "wasm32"))]
#[path = "storage/native.rs"]
mod imp;
#[cfg(target_arch = "wasm32")]
#[path = "storage/web.rs"]
mod imp;
mod memory;

#[cfg(target_arch = "wasm32")]
pub use imp::IndexedDbDocStore;
#[cfg(not(target_arch = "wasm32"))]
pub use imp::{FsBlobStore, RedbDocStore};
pub use memory::{MemoryBlobStore, MemoryDocStore};

/// What storage says when it cannot do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The disk or the browser's quota is full; nothing was published or changed.
    #[error("storage is full: {message}; free some space (remove models or site data) and try again")]
    Full {
        /// What the platform said.
        message: String,
    },
    /// There is no blob of that name.
    #[error("no blob {digest} in the store")]
    Missing {
        /// The blob that was asked for.
        digest: Digest,
    },
    /// The bytes written are not those of the name; they were thrown away.
    #[error("content has digest {actual}, {expected} was expected; fetch it again, from another source")]
    DigestMismatch {
        /// The name under which it should have been published.
        expected: Digest,
        /// The digest of what was written.
        actual: Digest,
    },
    /// More or fewer bytes than announced; they were thrown away.
    #[error("content has {actual} bytes (or more), {expected} were announced")]
    SizeMismatch {
        /// The announced size.
        expected: u64,
        /// The size of what was written.
        actual: u64,
    },
    /// The platform failed; a write that fails so has changed nothing.
    #[error("storage failed: {0}")]
    Io(String),
}

/// The result of a storage operation.
pub type Result<T> = std::result::Result<T, StorageError>;

/// Model files, named by their content. A blob that is there is whole and has the digest it is named by, after a crash
/// at any point as well.
pub trait BlobStore: MaybeSend + MaybeSync {
    /// The size of the blob, if it is there.
    fn has<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<u64>>>;

    /// Bytes `offset..offset + len` of the blob; fewer at its end.
    fn read<'a>(&'a self, digest: &'a Digest, offset: u64, len: usize) -> BoxFuture<'a, Result<Vec<u8>>>;

    /// Starts to write the blob `expected` of `size` bytes. Nothing is visible before [`BlobWriter::finish`]; several
    /// writers of one blob do not disturb each other.
    fn write<'a>(&'a self, expected: &'a Digest, size: u64) -> BoxFuture<'a, Result<Box<dyn BlobWriter>>>;

    /// The blobs that are there, in order.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Digest>>>;

    /// Removes the blob; nothing happens when it is not there.
    fn remove<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<()>>;
}

/// A blob that is being written; dropping it throws away what was written.
pub trait BlobWriter: MaybeSend {
    /// Appends bytes. After an error the writer is of no more use.
    fn append(&mut self, bytes: Vec<u8>) -> BoxFuture<'_, Result<()>>;

    /// Verifies size and digest, then publishes the blob for good: durable when this resolves.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>>;
}

/// A key of a [`DocStore`]: parts, none of them empty, none with a NUL character.
pub type Key = Vec<String>;

/// Keys and what is stored there, in the order of the keys.
pub type Entries = Vec<(Key, Vec<u8>)>;

/// One change of a [`DocStore`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChange {
    /// Sets a value, replacing what was there.
    Put {
        /// Where.
        key: Key,
        /// What.
        value: Vec<u8>,
    },
    /// Removes a value; nothing happens when it is not there.
    Delete {
        /// Where.
        key: Key,
    },
}

/// A small ordered key-value store for documents and catalogues.
pub trait DocStore: MaybeSend + MaybeSync {
    /// The value at `key`.
    fn load(&self, key: Key) -> BoxFuture<'_, Result<Option<Vec<u8>>>>;

    /// Everything whose key begins with the parts of `prefix`, in the order of the keys; all with an empty prefix.
    fn load_range(&self, prefix: Key) -> BoxFuture<'_, Result<Entries>>;

    /// Makes all `changes` in order, or none: durable (through a power cut) when this resolves.
    fn commit(&self, changes: Vec<StoreChange>) -> BoxFuture<'_, Result<()>>;
}
