//! What waits for a document's storage: messages to peers, and the application's changes.
//!
//! Tasks are numbered as they are issued. Whatever is put in here names the last put of the document so far, its
//! barrier, and comes out when no put up to the barrier is under way.

use std::collections::{BTreeSet, VecDeque};

use crate::{PeerId, TaskId};

/// A change that is applied, and answered when it is stored.
#[derive(Debug)]
pub(super) struct PendingChange {
    pub(super) request: u64,
    pub(super) heads: Vec<String>,
    barrier: TaskId,
}

/// The queue of one document.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    puts: BTreeSet<TaskId>,
    last: Option<TaskId>,
    messages: VecDeque<(TaskId, PeerId, Vec<u8>)>,
    bytes: usize,
    changes: Vec<PendingChange>,
}

impl Outbox {
    /// A put was issued.
    pub(super) fn put(&mut self, task: TaskId) {
        self.puts.insert(task);
        self.last = Some(task);
    }

    /// A put is durable.
    pub(super) fn stored(&mut self, task: TaskId) {
        self.puts.remove(&task);
    }

    /// Whether everything is durable.
    pub(super) fn is_clear(&self) -> bool {
        self.puts.is_empty()
    }

    /// Bytes of messages that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives the message back when it need not wait.
    pub(super) fn send(&mut self, peer: PeerId, bytes: Vec<u8>) -> Option<Vec<u8>> {
        match self.last.filter(|_| !self.is_clear()) {
            None => Some(bytes),
            Some(barrier) => {
                self.bytes += bytes.len();
                self.messages.push_back((barrier, peer, bytes));
                None
            }
        }
    }

    /// Answers a change when it is stored.
    pub(super) fn change(&mut self, request: u64, heads: Vec<String>) {
        self.changes.push(PendingChange { request, heads, barrier: self.last.unwrap_or(TaskId(0)) });
    }

    /// The messages that need wait no longer.
    pub(super) fn sendable(&mut self) -> Vec<(PeerId, Vec<u8>)> {
        let mut ready = Vec::new();
        while let Some((_, peer, bytes)) = self.messages.pop_front_if(|(barrier, ..)| is_past(&self.puts, *barrier)) {
            self.bytes -= bytes.len();
            ready.push((peer, bytes));
        }
        ready
    }

    /// The changes that are stored.
    pub(super) fn done(&mut self) -> Vec<PendingChange> {
        self.changes.extract_if(.., |change| is_past(&self.puts, change.barrier)).collect()
    }

    /// The changes that wait for `task`, which failed.
    pub(super) fn failed(&mut self, task: TaskId) -> Vec<PendingChange> {
        self.changes.extract_if(.., |change| task <= change.barrier).collect()
    }

    /// Forgets what waits for a peer that is gone.
    pub(super) fn forget(&mut self, gone: PeerId) {
        self.messages.retain(|(_, peer, _)| *peer != gone);
        self.bytes = self.messages.iter().map(|(_, _, bytes)| bytes.len()).sum();
    }

    /// The peers for whom messages wait.
    pub(super) fn peers(&self) -> BTreeSet<PeerId> {
        self.messages.iter().map(|(_, peer, _)| *peer).collect()
    }
}

fn is_past(puts: &BTreeSet<TaskId>, barrier: TaskId) -> bool {
    puts.first().is_none_or(|first| *first > barrier)
}
