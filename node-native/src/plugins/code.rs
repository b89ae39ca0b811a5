//! Compiled components, kept by digest.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use neuromesh::Digest;
use wasmtime::{
    Engine,
    component::{Component, HasSelf, Linker},
};

use super::{
    PluginError,
    bindings::{Pipeline, PipelinePre},
    sandbox::State,
};

/// A component, compiled and linked.
pub(super) type Compiled = PipelinePre<State>;

type Slot = Arc<OnceLock<Result<Compiled, PluginError>>>;

/// Compiles each component once, however many calls wait for it, and keeps those used last.
pub(super) struct Code {
    engine: Engine,
    linker: Linker<State>,
    kept: usize,
    largest: usize,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    by_digest: BTreeMap<Digest, (Slot, u64)>,
    clock: u64,
}

impl Code {
    pub(super) fn new(engine: Engine, kept: usize, largest: usize) -> Result<Self, PluginError> {
        let mut linker = Linker::new(&engine);
        Pipeline::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)
            .map_err(|error| PluginError::Host(format!("{error:#}")))?;
        Ok(Self { engine, linker, kept, largest, slots: Mutex::default() })
    }

    pub(super) fn get(&self, digest: Digest, bytes: &[u8]) -> Result<Compiled, PluginError> {
        if bytes.len() > self.largest {
            let text = format!("component of {} bytes, at most {} are allowed", bytes.len(), self.largest);
            return Err(PluginError::Invalid(text));
        }
        let slot = self.slot(digest);
        slot.get_or_init(|| self.compile(bytes)).clone()
    }

    fn slot(&self, digest: Digest) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.clock += 1;
        let clock = slots.clock;
        let (slot, used) = slots.by_digest.entry(digest).or_default();
        *used = clock;
        let slot = slot.clone();
        while slots.by_digest.len() > self.kept.max(1) {
            let oldest = slots.by_digest.iter().min_by_key(|(_, (_, used))| *used).map(|(digest, _)| *digest);
            slots.by_digest.remove(&oldest.expect("more than one is kept"));
        }
        slot
    }

    fn compile(&self, bytes: &[u8]) -> Result<Compiled, PluginError> {
        let invalid = |error: wasmtime::Error| {
            // Wasmtime's words may be a dump of many lines.
            let words = format!("{error:#}");
            PluginError::Invalid(words.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        let component = Component::from_binary(&self.engine, bytes).map_err(invalid)?;
        let linked = self.linker.instantiate_pre(&component).map_err(invalid)?;
        PipelinePre::new(linked).map_err(invalid)
    }
}
