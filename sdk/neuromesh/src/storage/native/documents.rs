//! A [`DocStore`] in a redb file.

use std::{path::Path, sync::Arc};

use redb::{Database, Durability, ReadableDatabase, TableDefinition, TableError};

use super::blocking;
use crate::{
    platform::BoxFuture,
    storage::{DocStore, Entries, Key, Result, StorageError, StoreChange},
};

/// Keys are their parts, each ended by a NUL: no part of one is a beginning of another, and the order is that of the parts.
const VALUES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("values");
/// Memory for redb's cache: documents are kept in memory anyway.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Documents in one file. A commit is on the disk when it resolves, and whole or absent after a power cut.
#[derive(Clone)]
pub struct RedbDocStore(Arc<Database>);

impl RedbDocStore {
    /// Opens the file, or makes it. Reads and writes files.
    ///
    /// # Errors
    /// When the file cannot be opened: no permission, in use by another process, damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let database = builder.create(path).map_err(|error| failed(error.into()))?;
        Ok(Self(Arc::new(database)))
    }

    fn load_from(database: &Database, key: &str) -> std::result::Result<Option<Vec<u8>>, redb::Error> {
        let read = database.begin_read()?;
        match read.open_table(VALUES) {
            Ok(table) => Ok(table.get(key)?.map(|value| value.value().to_vec())),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn range_from(database: &Database, prefix: &str) -> std::result::Result<Entries, redb::Error> {
        let read = database.begin_read()?;
        let table = match read.open_table(VALUES) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        for entry in table.range(prefix..)? {
            let (key, value) = entry?;
            if !key.value().starts_with(prefix) {
                break;
            }
            found.push((parts(key.value()), value.value().to_vec()));
        }
        Ok(found)
    }

    fn write(database: &Database, changes: &[StoreChange]) -> std::result::Result<(), redb::Error> {
        let mut write = database.begin_write()?;
        write.set_durability(Durability::Immediate).map_err(redb::Error::from)?;
        {
            let mut table = write.open_table(VALUES)?;
            for change in changes {
                match change {
                    StoreChange::Put { key, value } => table.insert(text(key).as_str(), value.as_slice())?,
                    StoreChange::Delete { key } => table.remove(text(key).as_str())?,
                };
            }
        }
        write.commit()?;
        Ok(())
    }
}

impl DocStore for RedbDocStore {
    fn load(&self, key: Key) -> BoxFuture<'_, Result<Option<Vec<u8>>>> {
        let database = self.0.clone();
        Box::pin(blocking(move || Self::load_from(&database, &text(&key)).map_err(failed)))
    }

    fn load_range(&self, prefix: Key) -> BoxFuture<'_, Result<Entries>> {
        let database = self.0.clone();
        Box::pin(blocking(move || Self::range_from(&database, &text(&prefix)).map_err(failed)))
    }

    fn commit(&self, changes: Vec<StoreChange>) -> BoxFuture<'_, Result<()>> {
        let database = self.0.clone();
        Box::pin(blocking(move || Self::write(&database, &changes).map_err(failed)))
    }
}

fn text(key: &[String]) -> String {
    key.iter().flat_map(|part| [part.as_str(), "\0"]).collect()
}

fn parts(text: &str) -> Key {
    text.split_terminator('\0').map(str::to_owned).collect()
}

fn failed(error: redb::Error) -> StorageError {
    match error {
        redb::Error::Io(error) => error.into(),
        error => StorageError::Io(error.to_string()),
    }
}
