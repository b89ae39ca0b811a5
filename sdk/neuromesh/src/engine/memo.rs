//! What the engine has learned of its own speed, kept in the document store.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use neuromesh_core::{
    Digest, Numerics, ShapeClass,
    choice::{Backend, Chooser},
};

use crate::{
    platform,
    storage::{DocStore, StoreChange},
};

/// Where learned times lie in the store.
const KEY: [&str; 2] = ["engine", "choices"];

/// A [`Chooser`] and where it is kept, if anywhere.
pub(super) struct Memo {
    chooser: Mutex<Chooser>,
    store: Option<Arc<dyn DocStore>>,
    /// One write at a time, or an older snapshot could come last.
    saving: tokio::sync::Mutex<()>,
}

impl Memo {
    /// Kept nowhere.
    pub fn transient() -> Self {
        Self { chooser: Mutex::new(Chooser::new("", seed())), store: None, saving: Default::default() }
    }

    /// Kept in `store`; what lies there is used if it was learned on the same `machine`.
    pub async fn open(store: Arc<dyn DocStore>, machine: &str) -> Self {
        let restored = match store.load(key()).await {
            Ok(Some(bytes)) => Chooser::restore(machine, seed(), &bytes)
                .inspect_err(|error| tracing::info!(%error, "speeds are learned anew")),
            Ok(None) => Ok(Chooser::new(machine, seed())),
            Err(error) => {
                tracing::warn!(%error, "learned speeds cannot be read; they are learned anew");
                Ok(Chooser::new(machine, seed()))
            }
        };
        let chooser = restored.unwrap_or_else(|_| Chooser::new(machine, seed()));
        Self { chooser: Mutex::new(chooser), store: Some(store), saving: Default::default() }
    }

    pub fn choose(&self, model: Digest, class: ShapeClass, candidates: &[Backend]) -> Backend {
        self.chooser().choose(model, class, candidates)
    }

    pub fn observe(&self, model: Digest, class: ShapeClass, backend: Backend, elapsed: Duration) {
        self.chooser().observe(model, class, backend, elapsed);
    }

    pub fn expected(&self, model: &Digest, class: ShapeClass, numerics: Numerics) -> Option<Duration> {
        self.chooser().expected(model, class, numerics)
    }

    pub fn expectations(&self, model: &Digest) -> Vec<(ShapeClass, Duration)> {
        self.chooser().expectations(model)
    }

    /// Begins to write what is new, if anything is; nobody waits for it.
    pub fn save(self: &Arc<Self>) {
        if self.store.is_some() && self.chooser().is_changed() {
            let memo = self.clone();
            platform::spawn(async move { memo.write().await });
        }
    }

    async fn write(&self) {
        let Some(store) = &self.store else { return };
        let _one = self.saving.lock().await;
        let value = {
            let mut chooser = self.chooser();
            if !chooser.is_changed() {
                return;
            }
            chooser.snapshot()
        };
        if let Err(error) = store.commit(vec![StoreChange::Put { key: key(), value }]).await {
            tracing::warn!(%error, "learned speeds are not kept");
        }
    }

    fn chooser(&self) -> MutexGuard<'_, Chooser> {
        // It stays usable whatever happened beside it.
        self.chooser.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key() -> Vec<String> {
    KEY.map(str::to_owned).to_vec()
}

fn seed() -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = platform::random_seed();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
