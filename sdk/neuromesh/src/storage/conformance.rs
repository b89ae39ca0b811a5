//! What every store must do; run on each of them, natively and in a browser. A failed check panics.

use std::future::Future;

use neuromesh_core::Digest;

use super::{BlobStore, DocStore, Key, StorageError, StoreChange};

fn key(parts: &[&str]) -> Key {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

fn put(parts: &[&str], value: &[u8]) -> StoreChange {
    StoreChange::Put { key: key(parts), value: value.to_vec() }
}

/// Checks a [`DocStore`]. `open` opens the same store each time; the one before is dropped first.
pub async fn doc_store<S: DocStore, F: Future<Output = S>>(open: impl Fn() -> F) {
    let store = open().await;
    assert_eq!(store.load(key(&["a"])).await, Ok(None), "an empty store has nothing");
    assert_eq!(store.load_range(vec![]).await, Ok(vec![]));

    let changes = vec![
        put(&["doc", "b"], b"2"),
        put(&["doc", "a", "x"], b"1"),
        put(&["doc"], b"0"),
        put(&["docs"], b"another first part"),
        put(&["döc", "ä/ö"], &[0, 255]),
        put(&["empty"], b""),
        put(&["gone"], b"x"),
        StoreChange::Delete { key: key(&["gone"]) },
        put(&["twice"], b"old"),
        put(&["twice"], b"new"),
        StoreChange::Delete { key: key(&["never there"]) },
    ];
    assert_eq!(store.commit(changes).await, Ok(()));
    let check = async |store: &S| {
        assert_eq!(store.load(key(&["doc", "b"])).await, Ok(Some(b"2".to_vec())));
        assert_eq!(store.load(key(&["doc", "a"])).await, Ok(None), "the beginning of a key is no key");
        assert_eq!(store.load(key(&["döc", "ä/ö"])).await, Ok(Some(vec![0, 255])));
        assert_eq!(store.load(key(&["empty"])).await, Ok(Some(vec![])));
        assert_eq!(store.load(key(&["gone"])).await, Ok(None));
        assert_eq!(store.load(key(&["twice"])).await, Ok(Some(b"new".to_vec())));
        let expected = vec![
            (key(&["doc"]), b"0".to_vec()),
            (key(&["doc", "a", "x"]), b"1".to_vec()),
            (key(&["doc", "b"]), b"2".to_vec()),
        ];
        assert_eq!(store.load_range(key(&["doc"])).await, Ok(expected), "whole parts, in order");
        assert_eq!(store.load_range(key(&["do"])).await, Ok(vec![]));
        assert_eq!(store.load_range(vec![]).await.map(|all| all.len()), Ok(7));
    };
    check(&store).await;
    drop(store);
    let store = open().await;
    check(&store).await;
    let all = store.load_range(vec![]).await.expect("everything");
    let deletes = all.into_iter().map(|(key, _)| StoreChange::Delete { key }).collect();
    assert_eq!(store.commit(deletes).await, Ok(()));
    assert_eq!(store.load_range(vec![]).await, Ok(vec![]));
    assert_eq!(store.commit(vec![]).await, Ok(()));

    let large = vec![7; 3 << 20];
    assert_eq!(store.commit(vec![put(&["large"], &large)]).await, Ok(()));
    assert_eq!(store.load(key(&["large"])).await, Ok(Some(large)));
    assert_eq!(store.commit(vec![StoreChange::Delete { key: key(&["large"]) }]).await, Ok(()));
}

/// Checks a [`BlobStore`]. `open` opens the same store each time; the one before is dropped first.
pub async fn blob_store<S: BlobStore, F: Future<Output = S>>(open: impl Fn() -> F) {
    let store = open().await;
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
    assert_eq!(store.has(&digest).await, Ok(None));
    assert_eq!(store.read(&digest, 0, 1).await, Err(StorageError::Missing { digest }));
    assert_eq!(store.list().await, Ok(vec![]));

    let mut writer = store.write(&digest, size).await.expect("a writer");
    for part in bytes.chunks(77_777) {
        assert_eq!(writer.append(part.to_vec()).await, Ok(()));
    }
    assert_eq!(store.has(&digest).await, Ok(None), "nothing is there before the end");
    assert_eq!(store.list().await, Ok(vec![]));
    assert_eq!(writer.finish().await, Ok(()));
    assert_eq!(store.has(&digest).await, Ok(Some(size)));
    assert_eq!(store.read(&digest, 0, bytes.len()).await, Ok(bytes.clone()));
    assert_eq!(store.read(&digest, 400, 8).await, Ok(bytes[400..408].to_vec()));
    assert_eq!(store.read(&digest, size - 3, 100).await, Ok(bytes[bytes.len() - 3..].to_vec()), "fewer at the end");
    assert_eq!(store.read(&digest, size + 10, 100).await, Ok(vec![]));

    // What is not what it says is thrown away.
    let other = Digest::of(b"other");
    let mut writer = store.write(&other, 5).await.expect("a writer");
    assert_eq!(writer.append(b"wrong".to_vec()).await, Ok(()));
    let actual = Digest::of(b"wrong");
    assert_eq!(writer.finish().await, Err(StorageError::DigestMismatch { expected: other, actual }));
    let mut writer = store.write(&other, 5).await.expect("a writer");
    assert_eq!(writer.append(b"oth".to_vec()).await, Ok(()));
    assert_eq!(writer.finish().await, Err(StorageError::SizeMismatch { expected: 5, actual: 3 }));
    let mut writer = store.write(&other, 3).await.expect("a writer");
    assert!(matches!(writer.append(b"other".to_vec()).await, Err(StorageError::SizeMismatch { .. })));
    drop(writer);
    let mut writer = store.write(&other, 5).await.expect("a writer");
    assert_eq!(writer.append(b"other".to_vec()).await, Ok(()));
    drop(writer);
    assert_eq!(store.has(&other).await, Ok(None));
    assert_eq!(store.list().await, Ok(vec![digest]));

    // Two at once do not disturb each other.
    let mut first = store.write(&other, 5).await.expect("a writer");
    let mut second = store.write(&other, 5).await.expect("a writer");
    assert_eq!(first.append(b"oth".to_vec()).await, Ok(()));
    assert_eq!(second.append(b"other".to_vec()).await, Ok(()));
    assert_eq!(second.finish().await, Ok(()));
    assert_eq!(first.append(b"er".to_vec()).await, Ok(()));
    assert_eq!(first.finish().await, Ok(()));
    let empty = Digest::of(b"");
    let writer = store.write(&empty, 0).await.expect("a writer");
    assert_eq!(writer.finish().await, Ok(()));
    drop(store);

    let store = open().await;
    let mut expected = vec![digest, other, empty];
    expected.sort_unstable();
    assert_eq!(store.list().await, Ok(expected));
    assert_eq!(store.read(&other, 0, 5).await, Ok(b"other".to_vec()));
    for digest in [digest, other, empty, other] {
        assert_eq!(store.remove(&digest).await, Ok(()));
        assert_eq!(store.has(&digest).await, Ok(None));
    }
    assert_eq!(store.list().await, Ok(vec![]));
}
