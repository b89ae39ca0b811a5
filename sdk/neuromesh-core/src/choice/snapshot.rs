//! What is kept when the process ends.

use serde::{Deserialize, Serialize};

use super::{
    Backend, Chooser, Entry, MAX_BACKENDS, MAX_ENTRIES,
    entry::{Arm, WINDOW},
};
use crate::{Digest, ShapeClass};

/// The version of the format.
const VERSION: u32 = 1;
/// The longest snapshot: the most entries with the most backends fit.
pub const MAX_SNAPSHOT_BYTES: usize = 2 << 20;

/// A snapshot is of no use; begin anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Longer than [`MAX_SNAPSHOT_BYTES`].
    #[error("learned times of {0} bytes are over the limit of {MAX_SNAPSHOT_BYTES}")]
    TooLarge(usize),
    /// Not JSON of this shape.
    #[error("learned times cannot be read: {0}")]
    Syntax(String),
    /// Of a version that this build does not know.
    #[error("learned times have format {0}; this build reads format {VERSION}")]
    Version(u32),
    /// Times of another machine.
    #[error("learned times are those of another machine: {0}")]
    Machine(String),
}

#[derive(Serialize, Deserialize)]
struct Snapshot {
    version: u32,
    machine: String,
    /// The longest unused first.
    entries: Vec<Kept>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    model: Digest,
    class: ShapeClass,
    arms: Vec<KeptArm>,
}

#[derive(Serialize, Deserialize)]
struct KeptArm {
    #[serde(flatten)]
    backend: Backend,
    hopeless: bool,
    /// Samples in microseconds.
    us: Vec<u32>,
}

impl Chooser {
    /// What was learned, as JSON.
    pub fn snapshot(&mut self) -> Vec<u8> {
        self.changed = false;
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(_, entry)| entry.used);
        let arm = |(backend, arm): (&Backend, &Arm)| KeptArm {
            backend: *backend,
            hopeless: arm.hopeless,
            us: arm.samples.clone(),
        };
        let kept = |(&(model, class), entry): (&(Digest, ShapeClass), &Entry)| Kept {
            model,
            class,
            arms: entry.arms.iter().map(arm).collect(),
        };
        let entries = entries.into_iter().map(kept).collect();
        let snapshot = Snapshot { version: VERSION, machine: self.machine.clone(), entries };
        serde_json::to_vec(&snapshot).expect("a snapshot has string keys only")
    }

    /// Goes on where a snapshot ended.
    ///
    /// # Errors
    /// [`SnapshotError`]; [`Chooser::new`] begins anew.
    pub fn restore(machine: &str, seed: u64, bytes: &[u8]) -> Result<Self, SnapshotError> {
        if bytes.len() > MAX_SNAPSHOT_BYTES {
            return Err(SnapshotError::TooLarge(bytes.len()));
        }
        let snapshot: Snapshot =
            serde_json::from_slice(bytes).map_err(|error| SnapshotError::Syntax(error.to_string()))?;
        if snapshot.version != VERSION {
            return Err(SnapshotError::Version(snapshot.version));
        }
        if snapshot.machine != machine {
            return Err(SnapshotError::Machine(snapshot.machine));
        }
        let mut chooser = Self::new(machine, seed);
        let surplus = snapshot.entries.len().saturating_sub(MAX_ENTRIES);
        for kept in snapshot.entries.into_iter().skip(surplus) {
            let entry = chooser.entry(kept.model, kept.class);
            for KeptArm { backend, hopeless, mut us } in kept.arms.into_iter().take(MAX_BACKENDS) {
                us.truncate(WINDOW);
                if (backend.threads > 0 || backend.is_gpu()) && !us.is_empty() && !us.contains(&0) {
                    let mut arm = Arm { samples: us, hopeless, ..Arm::default() };
                    arm.reference = arm.median();
                    entry.arms.insert(backend, arm);
                }
            }
            entry.settle();
        }
        Ok(chooser)
    }
}
