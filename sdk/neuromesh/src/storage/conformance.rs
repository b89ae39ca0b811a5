//! What every store must do, run on each implementation by its own tests; panics at the first difference.

use neuromesh_core::Digest;

use super::{BlobStore, DocStore, StorageError, StoreChange};

/// The duties of a [`BlobStore`]; it must be empty.
///
/// # Panics
/// When the store does not do what the trait promises.
pub async fn blob_store(store: &dyn BlobStore) {
    let content = b"some content, longer than one chunk of the writer".to_vec();
    let digest = Digest::of(&content);
    let size = content.len() as u64;
    assert_eq!(store.has(&digest).await, Ok(None));
    assert_eq!(store.read(&digest, 0, 1).await, Err(StorageError::Missing { digest }));

    let mut writer = store.write(&digest, size).await.expect("an empty store takes a blob");
    for piece in content.chunks(7) {
        writer.append(piece.to_vec()).await.expect("pieces within the announced size");
    }
    assert_eq!(store.has(&digest).await, Ok(None), "nothing is visible before it is whole");
    writer.finish().await.expect("size and digest hold");
    assert_eq!(store.has(&digest).await, Ok(Some(size)));
    assert_eq!(store.read(&digest, 5, 7).await.as_deref(), Ok(&content[5..12]));
    assert_eq!(store.read(&digest, size - 2, 100).await.as_deref(), Ok(&content[content.len() - 2..]));
    assert_eq!(store.read(&digest, size + 9, 100).await.as_deref(), Ok(&[][..]));
    assert_eq!(store.list().await, Ok(vec![digest]));

    let other = Digest::of(b"expected");
    let mut writer = store.write(&other, 8).await.expect("a second blob");
    writer.append(b"received".to_vec()).await.expect("eight bytes");
    let actual = Digest::of(b"received");
    assert_eq!(writer.finish().await, Err(StorageError::DigestMismatch { expected: other, actual }));

    let mut writer = store.write(&other, 8).await.expect("the same blob again");
    writer.append(b"short".to_vec()).await.expect("five bytes");
    assert!(matches!(writer.finish().await, Err(StorageError::SizeMismatch { expected: 8, .. })));

    let mut writer = store.write(&other, 8).await.expect("and again");
    let appended = writer.append(b"much too long".to_vec()).await;
    assert!(matches!(appended, Err(StorageError::SizeMismatch { expected: 8, .. })));
    drop(writer);
    assert_eq!(store.has(&other).await, Ok(None), "what failed left nothing behind");

    let mut left = store.write(&other, 8).await.expect("one of two writers");
    let mut right = store.write(&other, 8).await.expect("the other");
    left.append(b"expe".to_vec()).await.expect("half");
    right.append(b"expected".to_vec()).await.expect("all");
    right.finish().await.expect("the second is whole first");
    left.append(b"cted".to_vec()).await.expect("the other half");
    left.finish().await.expect("publishing twice is harmless");

    store.remove(&digest).await.expect("a blob that is there");
    store.remove(&digest).await.expect("and one that is not");
    assert_eq!(store.list().await, Ok(vec![other]));
}

/// The duties of a [`DocStore`]; it must be empty.
///
/// # Panics
/// When the store does not do what the trait promises.
pub async fn doc_store(store: &dyn DocStore) {
    let key = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let put = |parts: &[&str], value: &[u8]| StoreChange::Put { key: key(parts), value: value.to_vec() };
    assert_eq!(store.load(key(&["a"])).await, Ok(None));
    assert_eq!(store.load_range(key(&[])).await, Ok(Vec::new()));

    store.commit(vec![put(&["a", "1"], b"one"), put(&["a", "2"], b""), put(&["ab"], b"not under a")]).await.unwrap();
    store.commit(vec![put(&["b", "é"], &[0, 255]), put(&["a", "1"], b"one again")]).await.unwrap();
    assert_eq!(store.load(key(&["a", "1"])).await, Ok(Some(b"one again".to_vec())));
    assert_eq!(store.load(key(&["b", "é"])).await, Ok(Some(vec![0, 255])));
    assert_eq!(store.load(key(&["a"])).await, Ok(None), "a prefix is no key");
    let under_a = vec![(key(&["a", "1"]), b"one again".to_vec()), (key(&["a", "2"]), Vec::new())];
    assert_eq!(store.load_range(key(&["a"])).await, Ok(under_a));
    assert_eq!(store.load_range(key(&[])).await.map(|all| all.len()), Ok(4));

    let gone = StoreChange::Delete { key: key(&["a", "1"]) };
    store.commit(vec![gone.clone(), put(&["c"], b"x"), StoreChange::Delete { key: key(&["c"]) }]).await.unwrap();
    store.commit(vec![gone]).await.expect("deleting what is gone is harmless");
    assert_eq!(store.load(key(&["a", "1"])).await, Ok(None));
    assert_eq!(store.load(key(&["c"])).await, Ok(None), "changes are made in their order");
}
