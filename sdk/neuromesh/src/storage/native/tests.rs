//! The suites, and what only a disk can do.

use std::fs;

use neuromesh_core::Digest;

use crate::storage::{
    BlobStore, DocStore, FsBlobStore, MemoryBlobStore, MemoryDocStore, RedbDocStore, StorageError, StoreChange,
    conformance,
};

#[tokio::test]
async fn memory_stores_conform() {
    let (documents, blobs) = (MemoryDocStore::default(), MemoryBlobStore::default());
    conformance::doc_store(|| async { documents.clone() }).await;
    conformance::blob_store(|| async { blobs.clone() }).await;
}

#[tokio::test]
async fn redb_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("some/where/documents.redb");
    conformance::doc_store(|| async { RedbDocStore::open(&path).unwrap() }).await;
}

#[tokio::test]
async fn files_conform() {
    let dir = tempfile::tempdir().unwrap();
    conformance::blob_store(|| async { FsBlobStore::open(dir.path().join("some/where")).unwrap() }).await;
}

#[tokio::test]
async fn a_database_is_one_process_s() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("documents.redb");
    let first = RedbDocStore::open(&path).unwrap();
    assert!(matches!(RedbDocStore::open(&path), Err(StorageError::Io(_))));
    let put = StoreChange::Put { key: vec!["a".into()], value: vec![1] };
    first.commit(vec![put]).await.unwrap();
    drop(first);
    fs::write(dir.path().join("no.redb"), b"not a database at all, but some text").unwrap();
    assert!(matches!(RedbDocStore::open(dir.path().join("no.redb")), Err(StorageError::Io(_))));
}

#[tokio::test]
async fn what_a_crash_left_is_removed_and_strange_files_are_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let store = FsBlobStore::open(dir.path()).unwrap();
    let digest = Digest::of(b"model");
    let mut writer = store.write(&digest, 5).await.unwrap();
    writer.append(b"mod".to_vec()).await.unwrap();
    // The process dies: nobody drops the writer.
    std::mem::forget(writer);
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 1);
    fs::create_dir(dir.path().join("ab")).unwrap();
    fs::write(dir.path().join("ab/strange"), b"x").unwrap();
    fs::write(dir.path().join("strange"), b"x").unwrap();
    let store = FsBlobStore::open(dir.path()).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    assert_eq!(store.list().await, Ok(vec![]));
    let mut writer = store.write(&digest, 5).await.unwrap();
    writer.append(b"model".to_vec()).await.unwrap();
    writer.finish().await.unwrap();
    let name = digest.to_string();
    assert_eq!(fs::read(dir.path().join(&name[..2]).join(&name[2..])).unwrap(), b"model");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_named() {
    // Every write to it fails as on a full disk.
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let error = std::io::Write::write_all(&mut &full, b"x").unwrap_err();
    assert!(matches!(StorageError::from(error), StorageError::Full { .. }));
}
