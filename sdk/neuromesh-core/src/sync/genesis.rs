//! The beginning of a document, which every peer derives alone.
//!
//! Two peers that open one name while offline must not make two documents. So the id comes from the name, and the first
//! changes from the name and `init` only: the same bytes everywhere. Each top-level key of `init` is a change of its
//! own, by an actor of its own, so that versions of an application whose `init` differ in some keys still share the others.

use automerge::{ActorId, Automerge, Change, ROOT, ReadDoc, transaction::CommitOptions};
use samod_core::DocumentId;
use serde_json::{Map, Value};

use super::{SyncError, json};

/// The longest name of a document.
pub const MAX_NAME_BYTES: usize = 256;

/// Whether `name` may name a document.
///
/// # Errors
/// [`SyncError::Name`].
pub fn check_name(name: &str) -> Result<(), SyncError> {
    let good = (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control);
    if good { Ok(()) } else { Err(SyncError::Name) }
}

/// The id of the document `name`.
pub fn document_id(name: &str) -> DocumentId {
    let hash = derive(&[b"neuromesh doc\0", name.as_bytes()]);
    DocumentId::try_from(hash.to_vec()).expect("an id has 16 bytes")
}

/// The first changes of a document: an empty one for the name, then one for each key of `init` that depends on it.
pub struct Genesis {
    base: Change,
    keys: Vec<(String, Change)>,
}

impl Genesis {
    /// The beginning of the document `name`.
    ///
    /// # Errors
    /// [`SyncError::Document`] when Automerge refuses a value.
    pub fn new(name: &str, init: &Map<String, Value>) -> Result<Self, SyncError> {
        let mut doc = Automerge::new().with_actor(actor(&[b"neuromesh genesis\0", name.as_bytes()]));
        doc.empty_commit(CommitOptions::default().with_time(0));
        let base = last_change(&doc)?;
        let mut keys = Vec::new();
        for (key, value) in sorted(init) {
            // A copy for every key: operation ids must not depend on the other keys.
            let mut doc = doc.clone();
            let text = canonical(value);
            let (name_len, key_len) = ((name.len() as u32).to_le_bytes(), (key.len() as u32).to_le_bytes());
            doc.set_actor(actor(&[
                b"neuromesh genesis key\0",
                &name_len,
                name.as_bytes(),
                &key_len,
                key.as_bytes(),
                text.as_bytes(),
            ]));
            let mut tx = doc.transaction();
            json::create(&mut tx, &ROOT, key, value).map_err(refused)?;
            tx.commit_with(CommitOptions::default().with_time(0));
            keys.push((key.clone(), last_change(&doc)?));
        }
        Ok(Self { base, keys })
    }

    /// All changes, in an order in which they can be applied.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        std::iter::once(&self.base).chain(self.keys.iter().map(|(_, change)| change))
    }

    /// The changes that `doc` lacks: all when it is empty, else those of keys that it has not and never had.
    pub fn missing_in(&self, doc: &Automerge) -> Vec<Change> {
        let has = |change: &Change| doc.get_change_meta_by_hash(&change.hash()).is_some();
        if doc.get_heads().is_empty() {
            return self.changes().cloned().collect();
        }
        let mut missing: Vec<Change> = self
            .keys
            .iter()
            .filter(|(key, change)| !has(change) && !matches!(doc.get(ROOT, key.as_str()), Ok(Some(_))))
            .map(|(_, change)| change.clone())
            .collect();
        if !missing.is_empty() && !has(&self.base) {
            missing.insert(0, self.base.clone());
        }
        missing
    }
}

fn last_change(doc: &Automerge) -> Result<Change, SyncError> {
    doc.get_last_local_change().ok_or_else(|| SyncError::Document("no change was made".into()))
}

fn refused(error: automerge::AutomergeError) -> SyncError {
    SyncError::Document(error.to_string())
}

fn actor(parts: &[&[u8]]) -> ActorId {
    ActorId::from(derive(parts).as_slice())
}

fn derive(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    id
}

fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    // serde_json keeps the order of insertion when any crate of the build asks for it.
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    entries
}

/// JSON with sorted keys, so that equal values have equal text.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let entries = sorted(map);
            let inner: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", inner.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Number(number) => format!("{:?}", json::number(number)),
        leaf => leaf.to_string(),
    }
}
