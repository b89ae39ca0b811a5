//! Storage operations under way, and those that failed and are tried again.

use std::{collections::BTreeMap, time::Duration};

use samod_core::{
    DocumentActorId, StorageKey,
    io::{IoTask, IoTaskId, StorageResult, StorageTask},
};

use crate::{TaskId, Timestamp};

use super::{StoreFailure, StoreOp, Stored};

/// Between a failed operation and its next try: doubled each time, within these.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Whose operation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Loader,
    Document(DocumentActorId),
}

#[derive(Debug)]
struct Job {
    owner: Owner,
    io: IoTaskId,
    op: StoreOp,
    failures: u32,
    retry_at: Option<Timestamp>,
}

/// What the end of an operation means.
#[derive(Debug)]
pub(super) enum Finished {
    Done {
        owner: Owner,
        io: IoTaskId,
        result: StorageResult,
    },
    Failed {
        owner: Owner,
        failure: StoreFailure,
    },
    /// Not under way.
    Unknown,
}

/// All operations of one machine.
#[derive(Debug, Default)]
pub(super) struct Stores {
    last: u64,
    jobs: BTreeMap<TaskId, Job>,
}

impl Stores {
    /// Numbers an operation.
    pub(super) fn issue(&mut self, owner: Owner, task: IoTask<StorageTask>) -> (TaskId, StoreOp) {
        let op = match task.action {
            StorageTask::Load { key } => StoreOp::Load { key: key.into_iter().collect() },
            StorageTask::LoadRange { prefix } => StoreOp::LoadRange { prefix: prefix.into_iter().collect() },
            StorageTask::Put { key, value } => StoreOp::Put { key: key.into_iter().collect(), value },
            StorageTask::Delete { key } => StoreOp::Delete { key: key.into_iter().collect() },
        };
        self.last += 1;
        let id = TaskId(self.last);
        self.jobs.insert(id, Job { owner, io: task.task_id, op: op.clone(), failures: 0, retry_at: None });
        (id, op)
    }

    /// An operation ended.
    pub(super) fn finish(&mut self, now: Timestamp, task: TaskId, result: Result<Stored, StoreFailure>) -> Finished {
        let Some(job) = self.jobs.get_mut(&task) else { return Finished::Unknown };
        let result = result.and_then(|stored| convert(&job.op, stored));
        match result {
            Ok(result) => {
                let job = self.jobs.remove(&task).expect("it was there");
                Finished::Done { owner: job.owner, io: job.io, result }
            }
            Err(failure) => {
                let wait = FIRST_RETRY.saturating_mul(1 << job.failures.min(16)).min(LAST_RETRY);
                job.failures += 1;
                job.retry_at = Some(now + wait);
                Finished::Failed { owner: job.owner, failure }
            }
        }
    }

    /// The operations to try again now.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<(TaskId, StoreOp)> {
        self.jobs
            .iter_mut()
            .filter(|(_, job)| job.retry_at.is_some_and(|at| at <= now))
            .map(|(id, job)| {
                job.retry_at = None;
                (*id, job.op.clone())
            })
            .collect()
    }

    /// When the next operation is to be tried again.
    pub(super) fn next_retry(&self) -> Option<Timestamp> {
        self.jobs.values().filter_map(|job| job.retry_at).min()
    }
}

fn convert(op: &StoreOp, stored: Stored) -> Result<StorageResult, StoreFailure> {
    Ok(match (op, stored) {
        (StoreOp::Load { .. }, Stored::Value(value)) => StorageResult::Load { value },
        (StoreOp::LoadRange { .. }, Stored::Range(entries)) => {
            let values = entries.into_iter().filter_map(|(key, value)| match StorageKey::from_parts(key) {
                Ok(key) => Some((key, value)),
                Err(error) => {
                    tracing::warn!(%error, "stored key left out");
                    None
                }
            });
            StorageResult::LoadRange { values: values.collect() }
        }
        (StoreOp::Put { .. }, Stored::Done) => StorageResult::Put,
        (StoreOp::Delete { .. }, Stored::Done) => StorageResult::Delete,
        (op, stored) => {
            let message = format!("storage answered {op:?} with {stored:?}");
            return Err(StoreFailure { full: false, message });
        }
    })
}
