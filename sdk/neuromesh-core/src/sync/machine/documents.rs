//! Documents: opening, changing, storing.
//!
//! A document that storage does not know gets its [`Genesis`]. An actor of samod-core takes changes of ours only when it
//! has some content, and content only from storage or from a peer. So the genesis comes from a peer as well: a
//! connection inside the machine that is allowed nothing until a document needs its beginning.

use std::collections::{BTreeSet, VecDeque};

use automerge::{
    ActorId, Automerge, ChangeHash, PatchLog,
    sync::{ChunkList, Message, MessageVersion},
    transaction::{CommitOptions, Transactable},
};
use rand::RngCore;
use samod_core::{
    DocumentActorId, DocumentId, ShareConfig,
    actors::{document::DocumentActor, hub::HubEvent},
    io::StorageResult,
};
use serde_json::{Map, Value};

use crate::{PeerId, TaskId, Timestamp};

use super::{GENESIS_PEER, Limits, Output, StoreFailure, StoreOp, Sync, SyncError, Work, is_put, unix};
use crate::sync::{
    genesis::{self, Genesis},
    guard::{self, Known},
    json,
    outbox::Outbox,
};

/// A document and what goes with it.
pub(super) struct Document {
    id: DocumentId,
    pub(super) actor: DocumentActor,
    pub(super) outbox: Outbox,
    /// Whether it reads differently than when the application was last told.
    pub(super) changed: bool,
    /// Loads under way.
    loads: BTreeSet<TaskId>,
    /// Messages of peers that wait for the load.
    inbox: VecDeque<(PeerId, Vec<u8>)>,
    inbox_bytes: usize,
    known: Known,
    name: Option<String>,
    open: bool,
    opening: Vec<Opening>,
    /// The actor id of our changes, for this run.
    author: Option<ActorId>,
}

/// A request to open.
struct Opening {
    request: u64,
    name: String,
    init: Map<String, Value>,
    /// Whether its beginning is in the document.
    begun: bool,
}

impl Document {
    pub(super) fn new(id: DocumentId, actor: DocumentActor) -> Self {
        Self {
            id,
            actor,
            outbox: Outbox::default(),
            changed: false,
            loads: BTreeSet::new(),
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            known: Known::default(),
            name: None,
            open: false,
            opening: Vec::new(),
            author: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn is_loading(&self) -> bool {
        !self.loads.is_empty()
    }

    /// Keeps a message until the document is loaded; false when there are too many.
    pub(super) fn queue(&mut self, peer: PeerId, bytes: Vec<u8>, limits: &Limits) -> bool {
        self.inbox_bytes += bytes.len();
        self.inbox.push_back((peer, bytes));
        self.inbox.len() <= limits.waiting && self.inbox_bytes <= limits.waiting_bytes
    }

    /// Whether changes of a peer fit.
    pub(super) fn check(&mut self, chunks: &[Vec<u8>]) -> Result<(), guard::Refused> {
        if chunks.is_empty() { Ok(()) } else { self.known.check(self.actor.document(), chunks) }
    }

    /// Bytes of all its changes.
    pub(super) fn bytes(&mut self) -> usize {
        self.known.bytes(self.actor.document())
    }

    /// Forgets what waits for, or came from, a peer that is gone.
    pub(super) fn forget(&mut self, gone: PeerId) {
        self.outbox.forget(gone);
        self.inbox.retain(|(peer, _)| *peer != gone);
        self.inbox_bytes = self.inbox.iter().map(|(_, bytes)| bytes.len()).sum();
    }

    /// An operation of this document was issued.
    pub(super) fn on_store(&mut self, task: TaskId, op: &StoreOp) {
        if is_put(op) {
            self.outbox.put(task);
        } else if !matches!(op, StoreOp::Delete { .. }) {
            self.loads.insert(task);
        }
    }
}

/// With whom documents are shared: with every peer. The genesis connection is let in only when it is needed.
pub(super) fn share_with(peer: &samod_core::PeerId) -> ShareConfig {
    if peer.as_str() == GENESIS_PEER { ShareConfig::none() } else { ShareConfig::read_write() }
}

/// The heads as text.
pub(super) fn heads(doc: &Automerge) -> Vec<String> {
    doc.get_heads().iter().map(ChangeHash::to_string).collect()
}

impl Sync {
    pub(super) fn on_open(&mut self, now: Timestamp, request: u64, name: String, init: Value) {
        if let Err(error) = self.try_open(now, request, name, init) {
            self.outputs.push_back(Output::Opened { request, result: Err(error) });
        }
    }

    fn try_open(&mut self, now: Timestamp, request: u64, name: String, init: Value) -> Result<(), SyncError> {
        genesis::check_name(&name)?;
        // It is made of at most as many operations as bytes are counted.
        json::check(&init, self.limits.depth, self.limits.value_bytes.min(self.limits.change_ops))?;
        let Value::Object(init) = init else { return Err(SyncError::NotAnObject) };
        let id = genesis::document_id(&name);
        if !self.by_id.contains_key(&id) {
            if self.documents.len() >= self.limits.documents {
                return Err(SyncError::TooManyDocuments { limit: self.limits.documents });
            }
            self.command(now, HubEvent::search_for_doc(id.clone()));
        }
        let document = self.by_id.get(&id).and_then(|actor| self.documents.get_mut(actor));
        let document = document.expect("a search starts the document's actor");
        if document.opening.len() >= self.limits.waiting {
            return Err(SyncError::Busy { limit: self.limits.waiting });
        }
        document.opening.push(Opening { request, name, init, begun: false });
        Ok(())
    }

    pub(super) fn on_change(&mut self, now: Timestamp, request: u64, name: String, at: &[String], value: &Value) {
        if let Err(error) = self.try_change(now, request, name, at, value) {
            self.outputs.push_back(Output::ChangeDone { request, result: Err(error) });
        }
    }

    fn try_change(
        &mut self,
        now: Timestamp,
        request: u64,
        name: String,
        at: &[String],
        value: &Value,
    ) -> Result<(), SyncError> {
        let Limits { depth, value_bytes, document_bytes, change_ops, .. } = self.limits;
        let map = json::check(value, depth, value_bytes)?;
        let actor_id = self.names.get(&name).and_then(|id| self.by_id.get(id)).copied();
        let document = actor_id.and_then(|actor| self.documents.get_mut(&actor)).filter(|document| document.open);
        let (Some(actor_id), Some(document)) = (actor_id, document) else { return Err(SyncError::NotOpen { name }) };
        if document.bytes() > document_bytes {
            return Err(SyncError::TooLarge { limit: document_bytes });
        }
        let mut hashes = Vec::with_capacity(at.len());
        for head in at {
            let hash: ChangeHash = head.parse().map_err(|_| SyncError::UnknownHeads)?;
            document.actor.document().get_change_meta_by_hash(&hash).ok_or(SyncError::UnknownHeads)?;
            hashes.push(hash);
        }
        hashes.sort_unstable();
        hashes.dedup();
        if hashes.is_empty() {
            return Err(SyncError::UnknownHeads);
        }
        let author = document.author.get_or_insert_with(|| {
            let mut id = [0; 16];
            self.rng.fill_bytes(&mut id);
            ActorId::from(id.as_slice())
        });
        let author = author.clone();
        let seconds = i64::try_from(now.as_millis() / 1000).unwrap_or(i64::MAX);
        let made = document
            .actor
            .with_document(unix(now), |doc| apply(doc, author, &hashes, map, (depth, change_ops), seconds));
        let made = made.map_err(|error| SyncError::Document(error.to_string()))?;
        let new_heads = made.value.map(|made| made.map_or_else(|| at.to_vec(), |hash| vec![hash.to_string()]));
        self.take_document_results(actor_id, made.actor_result);
        self.run_all(now);
        let new_heads = new_heads?;
        if let Some(document) = self.documents.get_mut(&actor_id) {
            document.outbox.change(request, new_heads);
        }
        Ok(())
    }

    /// A storage operation of a document is done; what of its result Automerge may see.
    pub(super) fn on_document_stored(
        &mut self,
        actor: DocumentActorId,
        task: TaskId,
        mut result: StorageResult,
    ) -> StorageResult {
        let Some(document) = self.documents.get_mut(&actor) else { return result };
        document.loads.remove(&task);
        document.outbox.stored(task);
        if let StorageResult::LoadRange { values } = &mut result {
            values.retain(|key, value| match guard::check_stored(value) {
                Ok(()) => true,
                Err(error) => {
                    tracing::error!(%key, %error, "stored part of a document is damaged; it is left out");
                    false
                }
            });
        }
        result
    }

    /// A storage operation of a document failed; it will be tried again.
    pub(super) fn on_document_failure(&mut self, actor: DocumentActorId, task: TaskId, failure: &StoreFailure) {
        let Some(document) = self.documents.get_mut(&actor) else { return };
        tracing::warn!(document = %document.id, %failure, "storage failed; it will be tried again");
        for change in document.outbox.failed(task) {
            let result = Err(SyncError::NotStored(failure.clone()));
            self.outputs.push_back(Output::ChangeDone { request: change.request, result });
        }
        for opening in document.opening.drain(..) {
            let result = Err(SyncError::NotLoaded(failure.clone()));
            self.outputs.push_back(Output::Opened { request: opening.request, result });
        }
    }

    /// After an input: documents that can be opened, changes that are stored, messages that may go.
    pub(super) fn settle_documents(&mut self, now: Timestamp) {
        let opening: Vec<_> =
            self.documents.iter().filter(|(_, document)| !document.opening.is_empty()).map(|(id, _)| *id).collect();
        for actor in opening {
            self.begin(now, actor);
        }
        let mut came = Vec::new();
        for document in self.documents.values_mut().filter(|document| !document.is_loading()) {
            came.extend(document.inbox.drain(..));
            document.inbox_bytes = 0;
        }
        for (peer, bytes) in came {
            self.on_message(now, peer, bytes);
        }
        for document in self.documents.values_mut() {
            self.sends.extend(document.outbox.sendable());
            if document.outbox.is_clear() && document.actor.is_document_ready() {
                for opening in document.opening.extract_if(.., |opening| opening.begun) {
                    self.names.insert(opening.name.clone(), document.id.clone());
                    document.name = Some(opening.name);
                    document.open = true;
                    self.outputs.push_back(Output::Opened { request: opening.request, result: Ok(()) });
                }
            }
            if std::mem::take(&mut document.changed)
                && document.open
                && let Some(name) = &document.name
            {
                self.outputs.push_back(Output::Changed { name: name.clone() });
            }
            for change in document.outbox.done() {
                self.outputs.push_back(Output::ChangeDone { request: change.request, result: Ok(change.heads) });
            }
        }
    }

    /// Gives a document that is to be opened what it lacks of its beginning, once it is known what storage has.
    fn begin(&mut self, now: Timestamp, actor_id: DocumentActorId) {
        let Some(document) = self.documents.get_mut(&actor_id) else { return };
        if document.is_loading() {
            return;
        }
        let mut beginnings = Vec::new();
        document.opening.retain_mut(|opening| {
            if opening.begun {
                return true;
            }
            match Genesis::new(&opening.name, &opening.init) {
                Ok(genesis) => {
                    opening.begun = true;
                    beginnings.push(genesis);
                    true
                }
                Err(error) => {
                    self.outputs.push_back(Output::Opened { request: opening.request, result: Err(error) });
                    false
                }
            }
        });
        for beginning in beginnings {
            let Some(document) = self.documents.get_mut(&actor_id) else { return };
            if !document.actor.is_document_ready() {
                self.introduce(now, actor_id, &beginning);
                continue;
            }
            let missing = beginning.missing_in(document.actor.document());
            if missing.is_empty() {
                continue;
            }
            match document.actor.with_document(unix(now), |doc| doc.apply_changes(missing)) {
                Ok(done) => {
                    if let Err(error) = done.value {
                        tracing::warn!(%error, "a document did not take its beginning");
                    }
                    self.take_document_results(actor_id, done.actor_result);
                    self.run_all(now);
                }
                Err(error) => tracing::warn!(%error, "a document did not take its beginning"),
            }
        }
    }

    /// Lets the genesis connection tell a document, which has no content yet, its beginning.
    fn introduce(&mut self, now: Timestamp, actor_id: DocumentActorId, beginning: &Genesis) {
        let (Some(connection), Some(document)) = (self.genesis, self.documents.get(&actor_id)) else { return };
        let id = document.id.clone();
        let policy = |config| {
            Work::ToHub(Box::new(HubEvent::update_share_policy(id.clone(), GENESIS_PEER.into(), config)), None)
        };
        let changes: Vec<_> = beginning.changes().collect();
        // The first change is the parent of all others: it is a head only when there are none.
        let heads = if changes.len() == 1 { &changes[..] } else { &changes[1..] };
        let mut heads: Vec<_> = heads.iter().map(|change| change.hash()).collect();
        heads.sort_unstable();
        let message = Message {
            heads,
            need: Vec::new(),
            have: Vec::new(),
            changes: ChunkList::from(changes.iter().map(|change| change.raw_bytes().to_vec()).collect::<Vec<_>>()),
            flags: None,
            version: MessageVersion::V1,
        };
        let frame = guard::sync(GENESIS_PEER, &self.own_name, &id, &message.encode());
        self.run(now, policy(ShareConfig::read_write().with_announce(false)));
        self.receive(now, connection, frame);
        self.run(now, policy(ShareConfig::none()));
    }
}

/// Makes the document, at `heads`, read as `map`; the change's hash, if there was anything to change.
fn apply(
    doc: &mut Automerge,
    author: ActorId,
    heads: &[ChangeHash],
    map: &Map<String, Value>,
    (depth, max_ops): (usize, usize),
    seconds: i64,
) -> Result<Option<ChangeHash>, SyncError> {
    let refused = |error: String| SyncError::Document(error);
    let mut current = doc.get_heads();
    current.sort_unstable();
    doc.set_actor(author);
    let mut tx = if current == heads {
        doc.transaction()
    } else {
        doc.transaction_at(PatchLog::inactive(), heads).map_err(|error| refused(error.to_string()))?
    };
    match json::reconcile(&mut tx, map, depth) {
        Ok(()) if tx.pending_ops() == 0 => {
            tx.rollback();
            Ok(None)
        }
        Ok(()) if tx.pending_ops() > max_ops => {
            tx.rollback();
            Err(SyncError::TooMuchAtOnce { limit: max_ops })
        }
        Ok(()) => Ok(tx.commit_with(CommitOptions::default().with_time(seconds)).0),
        Err(error) => {
            tx.rollback();
            Err(refused(error.to_string()))
        }
    }
}
