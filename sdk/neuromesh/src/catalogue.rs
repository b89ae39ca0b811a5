//! The models that this peer holds: manifests by name, beside the files in the blob store.

use std::collections::BTreeSet;

use neuromesh_core::{Digest, Manifest, model::is_model_name};

use crate::{
    error::{Error, ErrorKind},
    storage::{BlobStore, DocStore, StorageError, StoreChange},
};

/// The first component of the keys that name models.
const PREFIX: &str = "models";

/// A model whose files are all in the blob store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Digest of the manifest.
    pub digest: Digest,
    /// The manifest.
    pub manifest: Manifest,
}

/// The installed models, by name. One whose files are gone is left out: it can be fetched again.
///
/// # Errors
/// When storage cannot be read.
pub async fn list(docs: &dyn DocStore, blobs: &dyn BlobStore) -> Result<Vec<Installed>, Error> {
    let mut installed = Vec::new();
    for (key, bytes) in docs.load_range(vec![PREFIX.into()]).await? {
        match Manifest::from_json(&bytes) {
            Ok(manifest) if has_all(blobs, &manifest).await => {
                installed.push(Installed { digest: Digest::of(&bytes), manifest });
            }
            Ok(manifest) => tracing::warn!(model = %manifest.name, "files missing; the model is not offered"),
            Err(error) => tracing::warn!(?key, %error, "stored manifest unreadable; the model is not offered"),
        }
    }
    installed.sort_by(|a, b| a.manifest.name.cmp(&b.manifest.name));
    Ok(installed)
}

/// Makes the model of `manifest` one of this peer's, replacing another of the same name. The manifest becomes a blob
/// itself, so that others can fetch it by its digest.
///
/// # Errors
/// [`ErrorKind::ModelInvalid`] for a bad manifest or missing files; storage errors.
pub async fn install(docs: &dyn DocStore, blobs: &dyn BlobStore, manifest: &[u8]) -> Result<Installed, Error> {
    let parsed =
        Manifest::from_json(manifest).map_err(|error| Error::new(ErrorKind::ModelInvalid, error.to_string()))?;
    for file in &parsed.files {
        if blobs.has(&file.digest).await?.is_none() {
            let text = format!("file {:?} ({}) is not in the store; add the files first", file.role, file.digest);
            return Err(Error::new(ErrorKind::ModelInvalid, text));
        }
    }
    let digest = Digest::of(manifest);
    store(blobs, &digest, manifest).await?;
    let key = vec![PREFIX.into(), parsed.name.clone()];
    docs.commit(vec![StoreChange::Put { key, value: manifest.to_vec() }]).await?;
    Ok(Installed { digest, manifest: parsed })
}

/// Forgets the model named `name` and deletes the files that no other model uses. False when there is none.
///
/// # Errors
/// When storage cannot be read or written.
pub async fn remove(docs: &dyn DocStore, blobs: &dyn BlobStore, name: &str) -> Result<bool, Error> {
    if !is_model_name(name) {
        return Ok(false);
    }
    let key = vec![PREFIX.to_owned(), name.to_owned()];
    let Some(bytes) = docs.load(key.clone()).await? else { return Ok(false) };
    docs.commit(vec![StoreChange::Delete { key }]).await?;
    let mut kept = BTreeSet::new();
    for other in list(docs, blobs).await? {
        kept.insert(other.digest);
        kept.extend(other.manifest.files.iter().map(|file| file.digest));
    }
    let mut gone = vec![Digest::of(&bytes)];
    if let Ok(manifest) = Manifest::from_json(&bytes) {
        gone.extend(manifest.files.iter().map(|file| file.digest));
    }
    for digest in gone.into_iter().filter(|digest| !kept.contains(digest)) {
        blobs.remove(&digest).await?;
    }
    Ok(true)
}

/// Writes a small blob whole, unless it is there.
pub(crate) async fn store(blobs: &dyn BlobStore, digest: &Digest, bytes: &[u8]) -> Result<(), StorageError> {
    if blobs.has(digest).await?.is_some() {
        return Ok(());
    }
    let mut writer = blobs.write(digest, bytes.len() as u64).await?;
    writer.append(bytes.to_vec()).await?;
    writer.finish().await
}

async fn has_all(blobs: &dyn BlobStore, manifest: &Manifest) -> bool {
    for file in &manifest.files {
        if !matches!(blobs.has(&file.digest).await, Ok(Some(_))) {
            return false;
        }
    }
    true
}
