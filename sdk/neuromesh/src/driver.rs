//! The task that carries out what the core's mesh machine decides.

mod streams;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::channel::oneshot;
use neuromesh_core::{
    Answer, Digest, ExchangeId, Mesh as Machine, Numerics, Part, Payload, PeerId, Request, RequestId, TaskId, Tier,
    Timestamp,
    mesh::{
        self, ErrorKind as RunKind, ExchangeError, Input, LocalModel, ModelInfo, Output, PeerInfo, RunError, TaskError,
        TaskOutput,
    },
    rooms::{Grant, RoomId},
};
use serde::Serialize;
use tokio::sync::{broadcast, mpsc};

use crate::{
    blobs::Fetcher,
    catalogue::{self, Installed},
    docs::{self, Docs},
    engine::{Cancel, Engine, Job, JobError, PartSink},
    error::{Error, ErrorKind},
    platform,
    swarm::{self, Notice},
};

/// Commands and happenings that wait for the driver.
pub(crate) const QUEUE: usize = 1024;
/// How long [`Command::Close`] waits for requests under way.
const DRAIN: Duration = Duration::from_secs(4);

/// What the gossip topics of rooms begin with.
const ROOM_TOPIC: &str = "neuromesh/room/";

/// The gossip topic of a room's messages.
pub(crate) fn room_topic(room: &RoomId) -> String {
    format!("{ROOM_TOPIC}{room}")
}

/// What a mesh reports to whoever listens.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Event {
    /// A peer appeared or what is known of it changed.
    Peer {
        /// The peer now.
        peer: PeerInfo,
    },
    /// A peer left.
    PeerGone {
        /// Which.
        id: PeerId,
    },
    /// A request was given to a peer, or to this one.
    Request {
        /// Which request.
        request_id: u64,
        /// To whom.
        peer: PeerId,
        /// Its tier.
        tier: Tier,
        /// The model, as the caller named it.
        model: String,
    },
    /// A try failed or was late; another follows.
    Retry {
        /// Which request.
        request_id: u64,
        /// Whose try.
        peer: PeerId,
        /// How it ended.
        outcome: String,
    },
    /// A request was answered.
    Answer {
        /// Which request.
        request_id: u64,
        /// By whom.
        peer: PeerId,
        /// Its tier.
        tier: Tier,
        /// As the caller saw it.
        elapsed_ms: u64,
    },
    /// A request failed for good.
    Failed {
        /// Which request.
        request_id: u64,
        /// Why.
        error: String,
    },
    /// Bytes of a model that have come.
    Progress {
        /// Its name.
        model: String,
        /// Its digest.
        digest: Digest,
        /// Bytes had.
        loaded: u64,
        /// Bytes in all.
        total: u64,
    },
    /// This peer went on or off line.
    Status {
        /// Whether it is on line now.
        online: bool,
    },
    /// Models came or went, here or elsewhere.
    Models,
    /// This peer is not in a room any more, though nobody left it: a token is needed, and there is none that holds.
    RoomClosed {
        /// Its name.
        room: String,
        /// Why; of the kind [`ErrorKind::RoomDenied`].
        error: String,
    },
    /// A message on a topic that was joined.
    Message {
        /// The topic.
        topic: String,
        /// Who signed it.
        from: Option<PeerId>,
        /// What it says.
        data: Vec<u8>,
    },
}

/// Who waits for an answer.
pub(crate) struct Waiter {
    pub reply: oneshot::Sender<Result<Answer, Error>>,
    /// Where parts of it go; all that there are have gone there before the reply.
    pub parts: PartSink,
}

pub(crate) enum Command {
    Run { id: RequestId, request: Box<Request>, waiter: Waiter },
    Cancel(RequestId),
    Peers(oneshot::Sender<Vec<PeerInfo>>),
    Models(oneshot::Sender<Vec<ModelInfo>>),
    Manifest(Digest, oneshot::Sender<Option<neuromesh_core::Manifest>>),
    Fetch(String, oneshot::Sender<Result<Digest, Error>>),
    ModelsChanged(oneshot::Sender<()>),
    JoinRoom { name: String, serves: bool, grant: Option<Grant>, reply: oneshot::Sender<Result<RoomId, Error>> },
    LeaveRoom(String),
    Close(oneshot::Sender<()>),
}

/// What the driver's own tasks report back to it.
pub(crate) enum Happened {
    Presence(PeerId, Vec<u8>),
    Asked(PeerId, Vec<u8>, mpsc::Sender<Vec<u8>>, oneshot::Sender<ExchangeId>),
    AskAborted(ExchangeId),
    PartSent(ExchangeId),
    PartCame(ExchangeId, Vec<u8>),
    Replied(ExchangeId, Result<Vec<u8>, ExchangeError>),
    TaskPart(TaskId, Part),
    TaskDone(TaskId, Result<TaskOutput, TaskError>),
    /// The models held now, and who waits until they are offered.
    Installed(Vec<Installed>, Option<oneshot::Sender<()>>),
}

pub(crate) struct Driver {
    pub machine: Machine,
    pub engine: Arc<dyn Engine>,
    pub fetcher: Arc<Fetcher>,
    pub installed: Vec<Installed>,
    pub events: broadcast::Sender<Event>,
    pub happened: mpsc::Sender<Happened>,
    pub links: streams::Links,
    pub docs: Docs,
    pub waiting: BTreeMap<RequestId, Waiter>,
    pub serving: BTreeMap<ExchangeId, mpsc::Sender<Vec<u8>>>,
    pub asking: BTreeMap<ExchangeId, Cancel>,
    pub tasks: BTreeMap<TaskId, Cancel>,
    next_exchange: u64,
    /// With whom alone the swarm gossips, as it was told last.
    gossips_with: Option<BTreeSet<PeerId>>,
    closing: Option<(Timestamp, oneshot::Sender<()>)>,
}

pub(crate) use streams::{INFER, Links, PRESENCE, accept_infer, accept_presence};

impl Driver {
    pub(crate) fn new(
        machine: Machine,
        engine: Arc<dyn Engine>,
        fetcher: Arc<Fetcher>,
        installed: Vec<Installed>,
        links: Links,
        happened: mpsc::Sender<Happened>,
        docs: Docs,
    ) -> Self {
        Self {
            machine,
            engine,
            events: fetcher.events.clone(),
            fetcher,
            installed,
            happened,
            links,
            docs,
            waiting: BTreeMap::new(),
            serving: BTreeMap::new(),
            asking: BTreeMap::new(),
            tasks: BTreeMap::new(),
            next_exchange: 0,
            gossips_with: None,
            closing: None,
        }
    }

    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut notices: mpsc::Receiver<Notice>,
        mut happened: mpsc::Receiver<Happened>,
    ) {
        self.offer_models();
        loop {
            self.carry_out();
            self.limit_gossip();
            if self.drained() {
                break;
            }
            let wake = [self.machine.poll_timeout(), self.closing.as_ref().map(|(at, _)| *at)];
            let wake = wake.into_iter().flatten().min();
            let timer = async {
                match wake {
                    Some(at) => platform::sleep(at.since(platform::now())).await,
                    None => futures::future::pending().await,
                }
            };
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => break,
                },
                Some(notice) = notices.recv() => self.on_notice(notice).await,
                Some(event) = happened.recv() => self.on_happened(event),
                () = timer => self.machine.handle(platform::now(), Input::Tick),
            }
        }
        for cancel in self.tasks.values().chain(self.asking.values()) {
            cancel.cancel();
        }
        for (_, waiter) in std::mem::take(&mut self.waiting) {
            let _ = waiter.reply.send(Err(Error::closed()));
        }
        if let Some((_, done)) = self.closing.take() {
            let _ = done.send(());
        }
    }

    /// Whether the mesh is closing and nothing is left to wait for.
    fn drained(&self) -> bool {
        self.closing
            .as_ref()
            .is_some_and(|(until, _)| (self.waiting.is_empty() && self.serving.is_empty()) || platform::now() >= *until)
    }

    fn input(&mut self, input: Input) {
        self.machine.handle(platform::now(), input);
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Run { waiter, .. } if self.closing.is_some() => {
                let _ = waiter.reply.send(Err(Error::closed()));
            }
            Command::Run { id, request, waiter } => {
                self.waiting.insert(id, waiter);
                self.input(Input::Run { id, request: *request });
            }
            Command::Cancel(id) => self.input(Input::Cancel { id }),
            Command::Peers(reply) => {
                let _ = reply.send(self.machine.peers());
            }
            Command::Models(reply) => {
                // A model may have become warm since its run began.
                self.offer_models();
                let _ = reply.send(self.machine.models());
            }
            Command::Manifest(digest, reply) => {
                let found = self.installed.iter().find(|installed| installed.digest == digest);
                let _ = reply.send(found.map(|installed| installed.manifest.clone()));
            }
            Command::Fetch(name, reply) => self.fetch(&name, reply),
            Command::ModelsChanged(done) => {
                let (fetcher, happened) = (self.fetcher.clone(), self.happened.clone());
                platform::spawn(async move { report_installed(&fetcher, &happened, Some(done)).await });
            }
            Command::JoinRoom { name, serves, grant, reply } => {
                let joined = self.machine.join_room(platform::now(), &name, serves, grant);
                let _ = reply.send(joined.map_err(Error::from));
            }
            Command::LeaveRoom(name) => self.machine.leave_room(platform::now(), &name),
            Command::Close(done) => {
                self.closing.get_or_insert((platform::now() + DRAIN, done));
            }
        }
    }

    async fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Connected(peer, path) => {
                self.docs.notify(docs::Event::Connected(peer)).await;
                self.input(Input::Connected { peer, path });
            }
            Notice::Path(peer, path) => self.input(Input::Connected { peer, path }),
            Notice::Addresses(addresses) => {
                let addresses = addresses.iter().map(ToString::to_string).collect();
                self.input(Input::Listening { addresses, http: None });
            }
            Notice::Disconnected(peer) => {
                self.links.forget(&peer);
                self.docs.notify(docs::Event::Disconnected(peer)).await;
                self.input(Input::Disconnected { peer });
            }
            Notice::Rtt(peer, rtt) => self.input(Input::Rtt { peer, rtt }),
            Notice::Chosen(peer) => self.input(Input::Chosen { peer }),
            Notice::Gossip { topic, from, data } => {
                if self.hears(&topic, from) {
                    self.emit(Event::Message { topic, from, data });
                }
            }
            Notice::Online(online) => self.emit(Event::Status { online }),
        }
    }

    /// Whether a message is for whoever listens: in a room that takes a token, members alone are heard.
    fn hears(&self, topic: &str, from: Option<PeerId>) -> bool {
        let Some(room) = topic.strip_prefix(ROOM_TOPIC).and_then(RoomId::from_hex) else { return true };
        self.machine.hears(platform::now(), &room, from.as_ref())
    }

    fn on_happened(&mut self, happened: Happened) {
        match happened {
            Happened::Presence(peer, bytes) => self.input(Input::Presence { peer, bytes }),
            Happened::Asked(peer, bytes, reply, number) => {
                if self.closing.is_some() {
                    return;
                }
                self.next_exchange += 1;
                let exchange = ExchangeId(self.next_exchange);
                if number.send(exchange).is_ok() {
                    self.serving.insert(exchange, reply);
                    self.input(Input::Asked { exchange, peer, bytes });
                }
            }
            Happened::AskAborted(exchange) => {
                if self.serving.remove(&exchange).is_some() {
                    self.input(Input::AskAborted { exchange });
                }
            }
            Happened::PartSent(exchange) => self.input(Input::PartSent { exchange }),
            Happened::PartCame(exchange, bytes) => self.input(Input::PartCame { exchange, bytes }),
            Happened::TaskPart(task, part) => self.input(Input::TaskPart { task, part }),
            Happened::Replied(exchange, result) => {
                if self.asking.remove(&exchange).is_some() {
                    self.input(Input::Replied { exchange, result });
                }
            }
            Happened::TaskDone(task, result) => {
                if self.tasks.remove(&task).is_some() {
                    self.input(Input::TaskDone { task, result });
                    self.offer_models();
                }
            }
            Happened::Installed(installed, done) => {
                for gone in &self.installed {
                    if !installed.iter().any(|kept| kept.digest == gone.digest) {
                        self.engine.unload(&gone.digest);
                    }
                }
                self.installed = installed;
                self.offer_models();
                self.emit(Event::Models);
                if let Some(done) = done {
                    let _ = done.send(());
                }
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Presence { peer, bytes } => self.links.send_presence(peer, bytes),
                Output::Ask { exchange, peer, bytes } => {
                    let cancel = Cancel::new();
                    self.asking.insert(exchange, cancel.clone());
                    self.links.ask(exchange, peer, bytes, cancel, self.happened.clone());
                }
                Output::AbortAsk { exchange } => {
                    if let Some(cancel) = self.asking.remove(&exchange) {
                        cancel.cancel();
                    }
                }
                // There is room: at most one part is under way when the reply comes.
                Output::Part { exchange, bytes } => {
                    if let Some(frames) = self.serving.get(&exchange) {
                        let _ = frames.try_send(bytes);
                    }
                }
                Output::Reply { exchange, bytes } => {
                    if let Some(frames) = self.serving.remove(&exchange) {
                        let _ = frames.try_send(bytes);
                    }
                }
                Output::Infer { task, model, numerics, stream, input } => {
                    let cancel = Cancel::new();
                    self.tasks.insert(task, cancel.clone());
                    self.infer(task, model, numerics, input, stream.then(PartSink::new), cancel);
                }
                Output::CancelInfer { task } => {
                    if let Some(cancel) = self.tasks.get(&task) {
                        cancel.cancel();
                    }
                }
                Output::Dial { peer, address } => {
                    if let Ok(address) = address.parse() {
                        self.links.tell_swarm(swarm::Command::Reach(peer, address));
                    }
                }
                Output::Disconnect { peer } => {
                    self.links.tell_swarm(swarm::Command::HangUp(peer));
                }
                Output::Event(event) => self.on_event(event),
            }
        }
    }

    fn limit_gossip(&mut self) {
        let only = self.machine.gossips_with(platform::now());
        if only != self.gossips_with && self.links.tell_swarm(swarm::Command::GossipWith(only.clone())) {
            self.gossips_with = only;
        }
    }

    fn on_event(&mut self, event: mesh::Event) {
        match event {
            mesh::Event::PeerUp(peer) | mesh::Event::PeerChanged(peer) => self.emit(Event::Peer { peer }),
            mesh::Event::PeerDown(id) => self.emit(Event::PeerGone { id }),
            mesh::Event::ModelsChanged => self.emit(Event::Models),
            mesh::Event::RoomClosed { room, name, error } => {
                tracing::info!(room = %name, %error, "not in the room any more");
                self.links.tell_swarm(swarm::Command::Leave(room_topic(&room)));
                self.emit(Event::RoomClosed { room: name, error: error.to_string() });
            }
            mesh::Event::Sent { id, peer, tier, model } => {
                self.emit(Event::Request { request_id: id.0, peer, tier, model });
            }
            mesh::Event::Retried { id, peer, outcome } => {
                tracing::info!(request = %id, %peer, %outcome, "tried elsewhere");
                self.emit(Event::Retry { request_id: id.0, peer, outcome });
            }
            mesh::Event::Part { id, part } => {
                if let Some(waiter) = self.waiting.get(&id) {
                    waiter.parts.push(part);
                }
            }
            mesh::Event::Answered { id, result } => {
                match &result {
                    Ok(answer) => self.emit(Event::Answer {
                        request_id: id.0,
                        peer: answer.route.peer,
                        tier: answer.route.tier,
                        elapsed_ms: answer.route.elapsed_ms,
                    }),
                    Err(error) => self.emit(Event::Failed { request_id: id.0, error: error.to_string() }),
                }
                if let Some(waiter) = self.waiting.remove(&id) {
                    let _ = waiter.reply.send(result.map_err(Error::from));
                }
            }
        }
    }

    fn infer(
        &self,
        task: TaskId,
        model: Digest,
        numerics: Numerics,
        input: Payload,
        parts: Option<PartSink>,
        cancel: Cancel,
    ) {
        let (engine, fetcher, happened) = (self.engine.clone(), self.fetcher.clone(), self.happened.clone());
        let sources = self.machine.holders(&model);
        platform::spawn(async move {
            let watch = platform::Stopwatch::start();
            let fetched = tokio::select! {
                fetched = fetcher.ensure(model, &sources) => fetched,
                () = cancel.cancelled() => Err(JobError::Cancelled),
            };
            let (result, fresh) = match fetched {
                Err(error) => (Err(error), false),
                Ok((installed, fresh)) => {
                    let fetch = if fresh { watch.elapsed() } else { Duration::ZERO };
                    let job = Job { model, manifest: installed.manifest, numerics, input, parts: parts.clone() };
                    let mut run = engine.run(job, cancel);
                    let done = loop {
                        tokio::select! {
                            biased;
                            part = next_part(parts.as_ref()) => {
                                let _ = happened.send(Happened::TaskPart(task, part)).await;
                            }
                            done = &mut run => break done,
                        }
                    };
                    let done = done.map(|done| TaskOutput {
                        output: done.output,
                        load: fetch + done.load,
                        service: done.service,
                        expected: done.expected,
                        exactness: done.exactness,
                    });
                    (done, fresh)
                }
            };
            if fresh {
                report_installed(&fetcher, &happened, None).await;
            }
            let _ = happened.send(Happened::TaskDone(task, result.map_err(task_error))).await;
        });
    }

    fn fetch(&self, name: &str, reply: oneshot::Sender<Result<Digest, Error>>) {
        let Some(digest) = self.machine.resolve(name) else {
            let text = format!("no peer in the mesh holds a model named {name:?}");
            let _ = reply.send(Err(Error::new(ErrorKind::ModelNotFound, text)));
            return;
        };
        let (fetcher, happened, sources) = (self.fetcher.clone(), self.happened.clone(), self.machine.holders(&digest));
        platform::spawn(async move {
            let result = fetcher.ensure(digest, &sources).await;
            if matches!(result, Ok((_, true))) {
                report_installed(&fetcher, &happened, None).await;
            }
            let _ = reply.send(result.map(|(installed, _)| installed.digest).map_err(|error| job_error(&error)));
        });
    }

    /// Tells the machine which models this peer holds, and which of them are warm.
    fn offer_models(&mut self) {
        let loaded = self.engine.loaded();
        let models = self.installed.iter().map(|installed| LocalModel {
            name: installed.manifest.name.clone(),
            digest: installed.digest,
            bytes: installed.manifest.size(),
            loaded: loaded.contains(&installed.digest),
            times: self.engine.expectations(&installed.digest),
        });
        let models = models.collect();
        self.input(Input::Models(models));
    }

    fn emit(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

async fn next_part(parts: Option<&PartSink>) -> Part {
    match parts {
        Some(parts) => parts.next().await,
        None => futures::future::pending().await,
    }
}

async fn report_installed(fetcher: &Fetcher, happened: &mpsc::Sender<Happened>, done: Option<oneshot::Sender<()>>) {
    match catalogue::list(&*fetcher.docs, &*fetcher.blobs).await {
        Ok(installed) => {
            let _ = happened.send(Happened::Installed(installed, done)).await;
        }
        Err(error) => tracing::error!(%error, "cannot read the list of models"),
    }
}

fn task_error(error: JobError) -> TaskError {
    let kind = match &error {
        JobError::Missing(_) => RunKind::StorageError,
        JobError::InvalidModel(_) => RunKind::ModelInvalid,
        JobError::InvalidInput(_) => RunKind::InvalidInput,
        JobError::Plugin(_) => RunKind::PluginFailed,
        JobError::TooLarge { .. } => RunKind::TooLarge,
        JobError::StorageFull(_) => RunKind::QuotaExceeded,
        JobError::Cancelled => RunKind::Cancelled,
        JobError::Device(_) | JobError::Failed(_) => RunKind::Failed,
    };
    TaskError::new(kind, error.to_string())
}

fn job_error(error: &JobError) -> Error {
    let kind = match error {
        JobError::Missing(_) => ErrorKind::Network,
        JobError::InvalidModel(_) | JobError::TooLarge { .. } => ErrorKind::ModelInvalid,
        JobError::StorageFull(_) => ErrorKind::QuotaExceeded,
        JobError::Cancelled => ErrorKind::Aborted,
        _ => ErrorKind::RunFailed,
    };
    Error::new(kind, error.to_string())
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        let name = error.name();
        let all = [
            ErrorKind::Aborted,
            ErrorKind::ModelNotFound,
            ErrorKind::NoCandidate,
            ErrorKind::DeadlineExceeded,
            ErrorKind::Diverged,
            ErrorKind::InvalidInput,
            ErrorKind::ModelInvalid,
            ErrorKind::Storage,
            ErrorKind::QuotaExceeded,
            ErrorKind::Network,
            ErrorKind::PluginFailed,
        ];
        let kind = all.into_iter().find(|kind| kind.name() == name).unwrap_or(ErrorKind::RunFailed);
        Self::new(kind, error.to_string())
    }
}
