//! The machine: hub, document actors and loader of samod-core behind `handle` and `poll_*`.

mod documents;
mod peers;

use std::collections::{BTreeMap, VecDeque};

use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use samod_core::{
    BackoffConfig, ConnectionId, DocumentActorId, DocumentId, ListenerConfig, ListenerId, LoaderState, SamodLoader,
    UnixTimestamp,
    actors::{
        DocToHubMsg, HubToDocMsg,
        document::{
            DocActorResult, DocumentActor, SpawnArgs,
            io::{DocumentIoResult, DocumentIoTask},
        },
        hub::{CommandId, CommandResult, DispatchedCommand, Hub, HubEvent, HubResults, io::HubIoAction},
    },
    io::{IoResult, IoTask, StorageTask},
    network::ConnectionEvent,
};
use serde_json::Value;

use crate::{PeerId, TaskId, Timestamp};

use super::{
    Config, Input, Limits, Output, StoreFailure, StoreOp, Stored, SyncError, guard, json,
    stores::{Finished, Owner, Stores},
};
use documents::Document;
use peers::Link;

/// The name of the connection by which a document's beginning enters: see [`documents`].
const GENESIS_PEER: &str = "genesis";

/// Documents that converge with those of all connected peers. See the [module](super).
///
/// The driver feeds inputs, and after each takes all outputs. It performs storage operations in the order given (puts
/// and deletes that follow each other may be one transaction) and answers each by its task.
pub struct Sync {
    limits: Limits,
    own_name: String,
    rng: ChaCha12Rng,
    phase: Phase,
    waiting: VecDeque<Input>,
    waiting_bytes: usize,
    stores: Stores,
    links: BTreeMap<PeerId, Link>,
    /// Peers by their connections' numbers in the hub.
    connections: BTreeMap<u32, PeerId>,
    genesis: Option<ConnectionId>,
    documents: BTreeMap<DocumentActorId, Document>,
    by_id: BTreeMap<DocumentId, DocumentActorId>,
    names: BTreeMap<String, DocumentId>,
    work: VecDeque<Work>,
    sends: Vec<(PeerId, Vec<u8>)>,
    outputs: VecDeque<Output>,
}

enum Phase {
    Idle,
    Loading(Box<SamodLoader>),
    Running { hub: Box<Hub>, listener: ListenerId },
}

/// A step between hub and document actors. They answer each other at once, one step after the other.
enum Work {
    ToHub(Box<HubEvent>, Option<DocumentActorId>),
    Spawn(Box<SpawnArgs>),
    ToDocument(DocumentActorId, Box<HubToDocMsg>),
    IoDone(DocumentActorId, IoResult<DocumentIoResult>),
}

impl Sync {
    /// A machine that has not begun.
    pub fn new(config: Config) -> Self {
        Self {
            limits: config.limits,
            own_name: config.peer.to_string(),
            rng: ChaCha12Rng::from_seed(config.seed),
            phase: Phase::Idle,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            stores: Stores::default(),
            links: BTreeMap::new(),
            connections: BTreeMap::new(),
            genesis: None,
            documents: BTreeMap::new(),
            by_id: BTreeMap::new(),
            names: BTreeMap::new(),
            work: VecDeque::new(),
            sends: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Something happened.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Start => self.on_start(now),
            Input::Wake => self.on_wake(now),
            Input::StorageDone { task, result } => self.on_storage_done(now, task, result),
            input if matches!(self.phase, Phase::Running { .. }) => self.on_running(now, input),
            input => self.wait(input),
        }
        self.settle(now);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to be woken with [`Input::Wake`], if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.stores.next_retry()
    }

    /// Heads and value of an open document.
    pub fn value(&self, name: &str) -> Option<(Vec<String>, Value)> {
        let document = self.documents.get(self.by_id.get(self.names.get(name)?)?)?;
        document.is_open().then(|| {
            let doc = document.actor.document();
            (documents::heads(doc), json::read(doc, self.limits.depth))
        })
    }

    fn on_start(&mut self, now: Timestamp) {
        if matches!(self.phase, Phase::Idle) {
            self.phase = Phase::Loading(Box::new(SamodLoader::new(self.own_name.as_str().into())));
            self.step_loader(now);
        }
    }

    fn step_loader(&mut self, now: Timestamp) {
        let Phase::Loading(loader) = &mut self.phase else { return };
        match loader.step(&mut self.rng, unix(now)) {
            LoaderState::NeedIo(tasks) => {
                for task in tasks {
                    let (task, op) = self.stores.issue(Owner::Loader, task);
                    self.outputs.push_back(Output::Store { task, op });
                }
            }
            LoaderState::Loaded(mut hub) => {
                let config = ListenerConfig { url: url() };
                let command = HubEvent::add_listener(config);
                let results = hub.handle_event(&mut self.rng, unix(now), command.event);
                let Some(CommandResult::AddListener { listener_id }) =
                    results.completed_commands.get(&command.command_id).cloned()
                else {
                    unreachable!("a listener is added at once");
                };
                self.phase = Phase::Running { hub, listener: listener_id };
                self.connect_genesis(now);
                self.waiting_bytes = 0;
                for input in std::mem::take(&mut self.waiting) {
                    self.on_running(now, input);
                }
            }
        }
    }

    /// Keeps an input until storage is open.
    fn wait(&mut self, input: Input) {
        let bytes = if let Input::Message { bytes, .. } = &input { bytes.len() } else { 0 };
        if self.waiting.len() < self.limits.waiting && self.waiting_bytes + bytes <= self.limits.waiting_bytes {
            self.waiting_bytes += bytes;
            self.waiting.push_back(input);
            return;
        }
        let busy = SyncError::Busy { limit: self.limits.waiting };
        match input {
            Input::Open { request, .. } => self.outputs.push_back(Output::Opened { request, result: Err(busy) }),
            Input::Change { request, .. } => self.outputs.push_back(Output::ChangeDone { request, result: Err(busy) }),
            Input::Connected { peer, .. } | Input::Message { peer, .. } | Input::Disconnected { peer } => {
                let of_peer = |waiting: &Input| matches!(waiting, Input::Connected { peer: p, .. } | Input::Message { peer: p, .. } if *p == peer);
                self.waiting.retain(|waiting| !of_peer(waiting));
                self.outputs.push_back(Output::Disconnect { peer, reason: "storage is not open yet".into() });
            }
            Input::Start | Input::Wake | Input::StorageDone { .. } => {}
        }
    }

    fn on_running(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Connected { peer, dialer } => self.on_connected(now, peer, dialer),
            Input::Disconnected { peer } => self.disconnect(now, peer),
            Input::Message { peer, bytes } => self.on_message(now, peer, bytes),
            Input::Open { request, name, init } => self.on_open(now, request, name, init),
            Input::Change { request, name, heads, value } => self.on_change(now, request, name, &heads, &value),
            Input::Start | Input::Wake | Input::StorageDone { .. } => {}
        }
    }

    fn on_wake(&mut self, now: Timestamp) {
        for (task, op) in self.stores.due(now) {
            self.outputs.push_back(Output::Store { task, op });
        }
    }

    fn on_storage_done(&mut self, now: Timestamp, task: TaskId, result: Result<Stored, StoreFailure>) {
        match self.stores.finish(now, task, result) {
            Finished::Done { owner: Owner::Loader, io, result } => {
                if let Phase::Loading(loader) = &mut self.phase {
                    loader.provide_io_result(IoResult { task_id: io, payload: result });
                    self.step_loader(now);
                }
            }
            Finished::Done { owner: Owner::Document(actor), io, result } => {
                let result = self.on_document_stored(actor, task, result);
                let done = IoResult { task_id: io, payload: DocumentIoResult::Storage(result) };
                self.run(now, Work::IoDone(actor, done));
            }
            Finished::Failed { owner: Owner::Document(actor), failure } => {
                self.on_document_failure(actor, task, &failure);
            }
            Finished::Failed { owner: Owner::Loader, failure } => {
                let waiting = std::mem::take(&mut self.waiting);
                let (opens, others): (Vec<_>, Vec<_>) =
                    waiting.into_iter().partition(|input| matches!(input, Input::Open { .. }));
                self.waiting.extend(others);
                for open in opens {
                    if let Input::Open { request, .. } = open {
                        let result = Err(SyncError::NotLoaded(failure.clone()));
                        self.outputs.push_back(Output::Opened { request, result });
                    }
                }
            }
            Finished::Unknown => tracing::warn!(%task, "an unknown storage operation ended"),
        }
    }

    /// Runs a command of the hub that is done at once.
    fn command(&mut self, now: Timestamp, command: DispatchedCommand) -> Option<CommandResult> {
        let mut results = self.hub_event(now, command.event)?;
        let id: CommandId = command.command_id;
        let done = results.completed_commands.remove(&id);
        self.take_hub_results(results, None);
        self.run_all(now);
        done
    }

    fn hub_event(&mut self, now: Timestamp, event: HubEvent) -> Option<HubResults> {
        let Phase::Running { hub, .. } = &mut self.phase else { return None };
        Some(hub.handle_event(&mut self.rng, unix(now), event))
    }

    fn run(&mut self, now: Timestamp, work: Work) {
        self.work.push_back(work);
        self.run_all(now);
    }

    fn run_all(&mut self, now: Timestamp) {
        while let Some(work) = self.work.pop_front() {
            match work {
                Work::ToHub(event, cause) => {
                    if let Some(results) = self.hub_event(now, *event) {
                        self.take_hub_results(results, cause);
                    }
                }
                Work::Spawn(args) => {
                    let (actor_id, id) = (args.actor_id(), args.document_id().clone());
                    let (actor, results) = DocumentActor::new(unix(now), *args);
                    self.by_id.insert(id.clone(), actor_id);
                    self.documents.insert(actor_id, Document::new(id, actor));
                    self.take_document_results(actor_id, results);
                }
                Work::ToDocument(actor_id, message) => {
                    let results = self
                        .documents
                        .get_mut(&actor_id)
                        .map(|document| document.actor.handle_message(unix(now), *message));
                    self.take_document_outcome(actor_id, results);
                }
                Work::IoDone(actor_id, done) => {
                    let results = self
                        .documents
                        .get_mut(&actor_id)
                        .map(|document| document.actor.handle_io_complete(unix(now), done));
                    self.take_document_outcome(actor_id, results);
                }
            }
        }
    }

    /// Turns what the hub wants into work and outputs. `cause` is the document whose message the hub has handled.
    fn take_hub_results(&mut self, results: HubResults, cause: Option<DocumentActorId>) {
        let HubResults { new_tasks, spawn_actors, actor_messages, connection_events, .. } = results;
        let mut reasons = BTreeMap::new();
        for event in connection_events {
            if let ConnectionEvent::ConnectionFailed { connection_id, error, .. } = event {
                reasons.insert(u32::from(connection_id), error);
            }
        }
        for task in new_tasks {
            match task.action {
                HubIoAction::Send { connection_id, msg } => {
                    // What is said to the genesis connection needs no answer.
                    if let Some(peer) = self.connections.get(&u32::from(connection_id)).copied() {
                        self.send(cause, peer, msg);
                    }
                }
                HubIoAction::Disconnect { connection_id } => {
                    let number = u32::from(connection_id);
                    self.on_hub_disconnected(number, reasons.remove(&number).unwrap_or_default());
                }
            }
        }
        self.work.extend(spawn_actors.into_iter().map(|args| Work::Spawn(Box::new(args))));
        self.work.extend(actor_messages.into_iter().map(|(actor, message)| Work::ToDocument(actor, Box::new(message))));
    }

    fn take_document_outcome(
        &mut self,
        actor_id: DocumentActorId,
        results: Option<Result<DocActorResult, samod_core::actors::DocumentError>>,
    ) {
        match results {
            Some(Ok(results)) => self.take_document_results(actor_id, results),
            Some(Err(error)) => tracing::warn!(?actor_id, %error, "document refused a message"),
            None => {}
        }
    }

    /// Turns what a document wants into work and outputs: first its puts, so that its messages wait for them.
    fn take_document_results(&mut self, actor_id: DocumentActorId, results: DocActorResult) {
        let (mut stores, mut deletes) = (Vec::new(), Vec::new());
        for IoTask { task_id, action } in results.io_tasks {
            match action {
                DocumentIoTask::Storage(action @ StorageTask::Delete { .. }) => {
                    deletes.push(IoTask { task_id, action })
                }
                DocumentIoTask::Storage(action) => stores.push(IoTask { task_id, action }),
                DocumentIoTask::CheckSharePolicy { peer_id } => {
                    let payload = DocumentIoResult::CheckSharePolicy(documents::share_with(&peer_id));
                    self.work.push_back(Work::IoDone(actor_id, IoResult { task_id, payload }));
                }
            }
        }
        // They come out of a hash set.
        deletes.sort_by_key(|task| match &task.action {
            StorageTask::Delete { key } => key.to_string(),
            _ => String::new(),
        });
        for task in stores.into_iter().chain(deletes) {
            let (task, op) = self.stores.issue(Owner::Document(actor_id), task);
            if let Some(document) = self.documents.get_mut(&actor_id) {
                document.on_store(task, &op);
            }
            self.outputs.push_back(Output::Store { task, op });
        }
        if let Some(document) = self.documents.get_mut(&actor_id) {
            document.changed |= !results.change_events.is_empty();
        }
        let to_hub =
            |message: DocToHubMsg| Work::ToHub(Box::new(HubEvent::actor_message(actor_id, message)), Some(actor_id));
        self.work.extend(results.outgoing_messages.into_iter().map(to_hub));
    }

    fn send(&mut self, cause: Option<DocumentActorId>, peer: PeerId, bytes: Vec<u8>) {
        let document = cause.and_then(|actor| self.documents.get_mut(&actor));
        let now = match document {
            Some(document) => document.outbox.send(peer, guard::without_flags(bytes, &self.limits)),
            None => Some(bytes),
        };
        self.sends.extend(now.map(|bytes| (peer, bytes)));
    }

    /// After an input: what has become possible.
    fn settle(&mut self, now: Timestamp) {
        self.settle_documents(now);
        self.bound_outboxes(now);
        // Hash maps inside samod-core mix the peers; each peer's own order is kept.
        self.sends.sort_by_key(|(peer, _)| *peer);
        self.outputs.extend(self.sends.drain(..).map(|(peer, bytes)| Output::Send { peer, bytes }));
    }
}

impl std::fmt::Debug for Sync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sync")
            .field("peer", &self.own_name)
            .field("links", &self.links.len())
            .field("documents", &self.documents.len())
            .finish_non_exhaustive()
    }
}

fn unix(now: Timestamp) -> UnixTimestamp {
    UnixTimestamp::from_millis(u128::from(now.as_millis()))
}

/// samod-core names every way to a peer by a URL; the driver knows the real ways.
fn url<T: std::str::FromStr>() -> T
where
    T::Err: std::fmt::Debug,
{
    "neuromesh:sync".parse().expect("a URL")
}

fn no_retries() -> BackoffConfig {
    BackoffConfig { max_retries: Some(0), ..BackoffConfig::default() }
}

/// Whether this operation makes something durable that a message may tell of.
fn is_put(op: &StoreOp) -> bool {
    matches!(op, StoreOp::Put { .. })
}
