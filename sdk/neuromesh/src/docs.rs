//! Shared documents: the task that carries out what the core's sync machine decides.

mod links;

use std::{collections::BTreeMap, sync::Arc};

use futures::channel::oneshot;
use libp2p::StreamProtocol;
use neuromesh_core::{
    PeerId, TaskId,
    sync::{self, Input, Output, StoreFailure, StoreOp, Stored, Sync, SyncError},
};
use tokio::sync::{mpsc, watch};

use crate::{
    docs::links::Links,
    error::{Error, ErrorKind},
    platform,
    storage::{DocStore, StorageError, StoreChange},
    streams::{Control, Incoming},
};

/// The version of a document: the hashes of its latest changes.
pub type Heads = Vec<String>;

pub(crate) const PROTOCOL: StreamProtocol = StreamProtocol::new("/neuromesh/sync/1");
/// Messages and commands that wait for the task; each message may have [`sync::MAX_MESSAGE_BYTES`].
const QUEUE: usize = 64;

type OpenReply = oneshot::Sender<Result<watch::Receiver<u64>, Error>>;

pub(crate) enum Event {
    Connected(PeerId),
    Disconnected(PeerId),
    NotOpened(PeerId),
    LinkUp { peer: PeerId, link: u64, opened_here: bool, sender: mpsc::Sender<Vec<u8>> },
    LinkDown { peer: PeerId, link: u64 },
    Message { peer: PeerId, link: u64, bytes: Vec<u8> },
    Open { name: String, init: serde_json::Value, reply: OpenReply },
    Value { name: String, reply: oneshot::Sender<Option<(Heads, serde_json::Value)>> },
    Change { name: String, heads: Heads, value: serde_json::Value, reply: oneshot::Sender<Result<Heads, Error>> },
    Close(oneshot::Sender<()>),
}

/// The way to the task; cheap to clone.
#[derive(Clone)]
pub(crate) struct Docs(mpsc::Sender<Event>);

/// A shared document: a JSON object that peers change at the same time and without a connection.
#[derive(Clone)]
pub struct Doc {
    name: String,
    docs: Docs,
    version: watch::Receiver<u64>,
}

/// Resolves after each change of a document.
pub struct Changes(watch::Receiver<u64>);

impl Changes {
    /// Waits for a change that was not seen yet, by this peer or another; several may be seen as one. False once the
    /// mesh is closed.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

impl Doc {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The content, and the version that it is.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub async fn value(&self) -> Result<(Heads, serde_json::Value), Error> {
        let name = self.name.clone();
        self.docs.ask(|reply| Event::Value { name, reply }).await?.ok_or_else(Error::closed)
    }

    /// Makes the content `value`, as seen from the version `heads`: what others changed since then is merged, not
    /// undone. Resolves with the version that holds the change once it is stored: it then survives a crash and reaches
    /// every peer in the end. Changes in a row go on from there, or from a fresh [`Doc::value`].
    ///
    /// # Errors
    /// A value that is too large, too deep, or no object: nothing changes. Storage errors: the change is kept in memory
    /// and stored once storage works again; it is lost if this peer stops before.
    pub async fn change(&self, heads: Heads, value: serde_json::Value) -> Result<Heads, Error> {
        let name = self.name.clone();
        self.docs.ask(|reply| Event::Change { name, heads, value, reply }).await?
    }

    /// Changes from now on.
    pub fn changes(&self) -> Changes {
        let mut version = self.version.clone();
        version.mark_unchanged();
        Changes(version)
    }
}

impl Docs {
    pub(crate) async fn open(&self, name: &str, init: serde_json::Value) -> Result<Doc, Error> {
        let owned = name.to_owned();
        let version = self.ask(|reply| Event::Open { name: owned, init, reply }).await??;
        Ok(Doc { name: name.to_owned(), docs: self.clone(), version })
    }

    pub(crate) async fn notify(&self, event: Event) {
        let _ = self.0.send(event).await;
    }

    pub(crate) async fn close(&self) {
        let _ = self.ask(Event::Close).await;
    }

    async fn ask<T>(&self, event: impl FnOnce(oneshot::Sender<T>) -> Event) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.0.send(event(reply)).await.map_err(|_| Error::closed())?;
        answer.await.map_err(|_| Error::closed())
    }
}

/// Hands the streams that peers open to the task.
pub(crate) async fn accept(incoming: Incoming, docs: Docs) {
    links::accept(incoming, docs).await;
}

/// Loads what storage holds and starts the task.
pub(crate) async fn start(
    id: PeerId,
    seed: [u8; 32],
    store: Arc<dyn DocStore>,
    control: Control,
) -> Result<Docs, Error> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let docs = Docs(sender);
    let mut task = Task {
        sync: Sync::new(sync::Config { peer: id, seed, limits: sync::Limits::default() }),
        store,
        links: Links::new(id, control, docs.clone()),
        opening: BTreeMap::new(),
        changing: BTreeMap::new(),
        versions: BTreeMap::new(),
        next_request: 0,
    };
    task.input(Input::Start);
    task.carry_out().await;
    platform::spawn(task.run(receiver));
    Ok(docs)
}

struct Task {
    sync: Sync,
    store: Arc<dyn DocStore>,
    links: Links,
    opening: BTreeMap<u64, (String, OpenReply)>,
    changing: BTreeMap<u64, oneshot::Sender<Result<Heads, Error>>>,
    versions: BTreeMap<String, watch::Sender<u64>>,
    next_request: u64,
}

impl Task {
    async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        loop {
            self.carry_out().await;
            let wake = self.sync.poll_timeout();
            let timer = async {
                match wake {
                    Some(at) => platform::sleep(at.since(platform::now())).await,
                    None => futures::future::pending().await,
                }
            };
            tokio::select! {
                event = events.recv() => match event {
                    Some(Event::Close(done)) => {
                        self.carry_out().await;
                        let _ = done.send(());
                        return;
                    }
                    Some(event) => self.on_event(event),
                    None => return,
                },
                () = timer => self.input(Input::Wake),
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.sync.handle(platform::now(), input);
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected(peer) => self.links.connected(peer),
            // A stream that is up says itself when it ends; it may already belong to the peer's next connection.
            Event::Disconnected(peer) => self.links.disconnected(&peer),
            Event::NotOpened(peer) => self.links.not_opened(peer),
            Event::LinkUp { peer, link, opened_here, sender } => {
                if self.links.up(peer, link, sender) {
                    self.input(Input::Disconnected { peer });
                }
                self.input(Input::Connected { peer, dialer: opened_here });
            }
            Event::LinkDown { peer, link } => {
                if self.links.down(&peer, link) {
                    self.input(Input::Disconnected { peer });
                }
            }
            Event::Message { peer, link, bytes } => {
                if self.links.is_current(&peer, link) {
                    self.input(Input::Message { peer, bytes });
                }
            }
            Event::Open { name, init, reply } => {
                let request = self.number();
                self.opening.insert(request, (name.clone(), reply));
                self.input(Input::Open { request, name, init });
            }
            Event::Value { name, reply } => {
                let _ = reply.send(self.sync.value(&name));
            }
            Event::Change { name, heads, value, reply } => {
                let request = self.number();
                self.changing.insert(request, reply);
                self.input(Input::Change { request, name, heads, value });
            }
            Event::Close(done) => {
                let _ = done.send(());
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request
    }

    /// Does what the machine wants, in its order; writes that follow each other are one commit.
    async fn carry_out(&mut self) {
        let mut writes = Writes::default();
        loop {
            match self.sync.poll_output() {
                Some(Output::Store { task, op: StoreOp::Put { key, value } }) => {
                    writes.push(task, StoreChange::Put { key, value });
                }
                Some(Output::Store { task, op: StoreOp::Delete { key } }) => {
                    writes.push(task, StoreChange::Delete { key });
                }
                Some(output) => {
                    self.commit(&mut writes).await;
                    self.carry_out_one(output).await;
                }
                None if writes.tasks.is_empty() => return,
                None => self.commit(&mut writes).await,
            }
        }
    }

    async fn commit(&mut self, writes: &mut Writes) {
        if writes.tasks.is_empty() {
            return;
        }
        let Writes { tasks, changes } = std::mem::take(writes);
        let committed = self.store.commit(changes).await;
        for task in tasks {
            self.stored(task, committed.clone().map(|()| Stored::Done));
        }
    }

    async fn write(&self, change: StoreChange) -> Result<Stored, StorageError> {
        self.store.commit(vec![change]).await.map(|()| Stored::Done)
    }

    fn stored(&mut self, task: TaskId, result: Result<Stored, StorageError>) {
        let result = result.map_err(|error| StoreFailure {
            full: matches!(error, StorageError::Full { .. }),
            message: error.to_string(),
        });
        self.input(Input::StorageDone { task, result });
    }

    async fn carry_out_one(&mut self, output: Output) {
        match output {
            Output::Send { peer, bytes } => self.links.send(&peer, bytes),
            Output::Disconnect { peer, reason } => {
                tracing::info!(%peer, %reason, "sync stream closed");
                self.links.close(&peer);
            }
            Output::Store { task, op } => {
                let result = match op {
                    StoreOp::Load { key } => self.store.load(key).await.map(Stored::Value),
                    StoreOp::LoadRange { prefix } => self.store.load_range(prefix).await.map(Stored::Range),
                    StoreOp::Put { key, value } => self.write(StoreChange::Put { key, value }).await,
                    StoreOp::Delete { key } => self.write(StoreChange::Delete { key }).await,
                };
                self.stored(task, result);
            }
            Output::Opened { request, result } => {
                if let Some((name, reply)) = self.opening.remove(&request) {
                    let version = self.versions.entry(name).or_insert_with(|| watch::Sender::new(0)).subscribe();
                    let _ = reply.send(result.map(|_| version).map_err(Error::from));
                }
            }
            Output::ChangeDone { request, result } => {
                if let Some(reply) = self.changing.remove(&request) {
                    let _ = reply.send(result.map_err(Error::from));
                }
            }
            Output::Changed { name } => {
                if let Some(version) = self.versions.get(&name) {
                    version.send_modify(|version| *version += 1);
                }
            }
        }
    }
}

/// Writes that wait for one commit.
#[derive(Default)]
struct Writes {
    tasks: Vec<TaskId>,
    changes: Vec<StoreChange>,
}

impl Writes {
    fn push(&mut self, task: TaskId, change: StoreChange) {
        self.tasks.push(task);
        self.changes.push(change);
    }
}

impl From<SyncError> for Error {
    fn from(error: SyncError) -> Self {
        let kind = match &error {
            SyncError::NotStored(failure) | SyncError::NotLoaded(failure) if failure.full => ErrorKind::QuotaExceeded,
            SyncError::NotStored(_) | SyncError::NotLoaded(_) => ErrorKind::Storage,
            _ => ErrorKind::InvalidInput,
        };
        Self::new(kind, error.to_string())
    }
}
