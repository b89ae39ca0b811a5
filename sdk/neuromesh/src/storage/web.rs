//! A browser's storage: documents in IndexedDB. Model files are the page's business (OPFS, in its Worker).

use js_sys::{Array, Function, JsString, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DomException, IdbDatabase, IdbFactory, IdbKeyRange, IdbObjectStore, IdbRequest, IdbTransaction};

use super::{DocStore, Entries, Key, Result, StorageError, StoreChange};
use crate::platform::BoxFuture;

const VERSION: u32 = 1;
const STORE: &str = "values";

/// Documents in an IndexedDB database. A commit is on the disk when it resolves (durability `strict`).
///
/// Keys are strings: the parts, each ended by a NUL.
pub struct IndexedDbDocStore(IdbDatabase);

impl IndexedDbDocStore {
    /// Opens the database, or makes it.
    ///
    /// # Errors
    /// When the browser has no IndexedDB here, or grants no space (private windows).
    pub async fn open(name: &str) -> Result<Self> {
        let factory = Reflect::get(&js_sys::global(), &"indexedDB".into()).map_err(|error| failed(&error))?;
        let factory: IdbFactory =
            factory.dyn_into().map_err(|_| StorageError::Io("this browser offers no IndexedDB here".into()))?;
        let opening = factory.open_with_u32(name, VERSION).map_err(|error| failed(&error))?;
        let request: IdbRequest = opening.clone().unchecked_into();
        let upgraded = request.clone();
        // The store can only be made while this event is being handled.
        let on_upgrade = Closure::once(move || {
            if let Ok(database) = upgraded.result() {
                // A failure makes the opening itself fail.
                let _ = database.unchecked_into::<IdbDatabase>().create_object_store(STORE);
            }
        });
        opening.set_onupgradeneeded(Some(on_upgrade.as_ref().unchecked_ref()));
        let database: IdbDatabase = done(&request).await?.unchecked_into();
        Ok(Self(database))
    }

    fn transaction(&self, mode: &str) -> Result<(IdbTransaction, IdbObjectStore)> {
        let options = Object::new();
        let asked = || -> std::result::Result<IdbTransaction, JsValue> {
            Reflect::set(&options, &"durability".into(), &"strict".into())?;
            // The bindings know no options yet.
            let begin: Function = Reflect::get(&self.0, &"transaction".into())?.dyn_into()?;
            let arguments = Array::of3(&STORE.into(), &mode.into(), &options);
            Ok(begin.apply(&self.0, &arguments)?.unchecked_into())
        };
        let transaction = asked().map_err(|error| failed(&error))?;
        let store = transaction.object_store(STORE).map_err(|error| failed(&error))?;
        Ok((transaction, store))
    }
}

impl Drop for IndexedDbDocStore {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl DocStore for IndexedDbDocStore {
    fn load(&self, key: Key) -> BoxFuture<'_, Result<Option<Vec<u8>>>> {
        Box::pin(async move {
            let (_, store) = self.transaction("readonly")?;
            let request = store.get(&text(&key).into()).map_err(|error| failed(&error))?;
            let value = done(&request).await?;
            Ok((!value.is_undefined()).then(|| Uint8Array::new(&value).to_vec()))
        })
    }

    fn load_range(&self, prefix: Key) -> BoxFuture<'_, Result<Entries>> {
        Box::pin(async move {
            let (_, store) = self.transaction("readonly")?;
            let from = text(&prefix);
            let range: JsValue = if prefix.is_empty() {
                JsValue::UNDEFINED
            } else {
                // No part begins with the last code unit.
                let to = format!("{from}\u{ffff}");
                IdbKeyRange::bound(&from.into(), &to.into()).map_err(|error| failed(&error))?.into()
            };
            // Both in one transaction: they name the same entries.
            let keys = store.get_all_keys_with_key(&range).map_err(|error| failed(&error))?;
            let values = store.get_all_with_key(&range).map_err(|error| failed(&error))?;
            let (keys, values) = futures::future::try_join(done(&keys), done(&values)).await?;
            let keys = keys.unchecked_into::<Array>();
            let values = values.unchecked_into::<Array>();
            let entry =
                |(key, value): (JsValue, JsValue)| Some((parts(&key.as_string()?), Uint8Array::new(&value).to_vec()));
            let mut found: Vec<_> = keys.iter().zip(values.iter()).filter_map(entry).collect();
            // IndexedDB orders by UTF-16.
            found.sort();
            Ok(found)
        })
    }

    fn commit(&self, changes: Vec<StoreChange>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let (transaction, store) = self.transaction("readwrite")?;
            let ended = Promise::new(&mut |resolve, reject| {
                transaction.set_oncomplete(Some(&resolve));
                transaction.set_onabort(Some(&reject));
            });
            for change in changes {
                let asked = match change {
                    StoreChange::Put { key, value } => {
                        store.put_with_key(&Uint8Array::from(value.as_slice()), &text(&key).into())
                    }
                    StoreChange::Delete { key } => store.delete(&text(&key).into()),
                };
                if let Err(error) = asked {
                    // All or nothing.
                    let _ = transaction.abort();
                    return Err(failed(&error));
                }
            }
            match JsFuture::from(ended).await {
                Ok(_) => Ok(()),
                Err(_) => Err(transaction.error().map_or_else(aborted, |error| failed(&error))),
            }
        })
    }
}

/// The result of a request.
async fn done(request: &IdbRequest) -> Result<JsValue> {
    let ended = Promise::new(&mut |resolve, reject| {
        request.set_onsuccess(Some(&resolve));
        request.set_onerror(Some(&reject));
    });
    match JsFuture::from(ended).await {
        Ok(_) => request.result().map_err(|error| failed(&error)),
        Err(_) => Err(request.error().ok().flatten().map_or_else(aborted, |error| failed(&error))),
    }
}

fn aborted() -> StorageError {
    StorageError::Io("the browser ended the transaction".into())
}

fn failed(error: &JsValue) -> StorageError {
    let (name, message) = match error.dyn_ref::<DomException>() {
        Some(error) => (error.name(), error.message()),
        None => (String::new(), JsString::from(error.clone()).into()),
    };
    if name == "QuotaExceededError" {
        StorageError::Full { message }
    } else {
        StorageError::Io(format!("{name} {message}").trim().to_owned())
    }
}

fn text(key: &[String]) -> String {
    key.iter().flat_map(|part| [part.as_str(), "\0"]).collect()
}

fn parts(text: &str) -> Key {
    text.split_terminator('\0').map(str::to_owned).collect()
}
