//! One peer of the mesh: presence, routing, requests of its own callers, and runs for others, in one machine.
//!
//! ```text
//!   Run ──▶ resolve name ──▶ router ──┬─▶ Infer (here) ──▶ TaskDone ──┐
//!                              ▲      └─▶ Ask (a peer) ──▶ Replied ───┼─▶ receipt checked ──▶ Answered
//!                              └── failed, lost or late: the next one ┘
//!   Asked ──▶ bounds ──▶ Infer ──▶ TaskDone ──▶ Reply, signed
//! ```
//!
//! Where the caller asked for parts of the answer, they come in between: `TaskPart` ──▶ `Part` ──▶ `PartCame` ──▶
//! [`Event::Part`].
//!
//! Duties of the driver: call [`Mesh::handle`] with everything that happens, then poll outputs until there are none,
//! then sleep until [`Mesh::poll_timeout`] at most. Each [`Output::Infer`] is answered by exactly one
//! [`Input::TaskDone`] and each [`Output::Ask`] by one [`Input::Replied`], also when they were cancelled; answers that
//! nobody waits for any more are ignored. Waking late is harmless.
//!
//! Promises: each [`Input::Run`] ends with exactly one [`Event::Answered`]; the parts given before it are, joined, a beginning of
//! the answer's text, and all of it once there is an answer; an input with
//! [`Privacy::Device`](crate::Privacy::Device) is in no output but [`Output::Infer`]; an answer is given only when its
//! receipt is signed by the peer that was asked, over this model, this input and this output.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ed25519_dalek::SigningKey;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{
    Digest, ExchangeId, Numerics, Payload, PeerId, RequestId, TaskId, Timestamp,
    presence::{self, Presence, Profile},
    rooms::{RoomId, Rooms},
    router::Router,
};

mod catalog;
mod config;
mod error;
mod info;
mod input;
mod job;
mod output;
mod request;
mod room;
mod serve;
mod stream;
#[cfg(test)]
mod tests;

pub use crate::rooms::RoomError;
pub use config::{Config, Limits};
pub use error::{ErrorKind, ExchangeError, RunError, TaskError};
pub use info::{LocalModel, ModelInfo, Path, PeerInfo};
pub use input::{Input, TaskOutput};
pub use output::{Event, Output};

use input::Held;
use job::{Asking, Job};
use room::Joined;
use serve::Serving;

/// One peer of the mesh. See the [module](self) for the driver's duties.
#[derive(Debug)]
pub struct Mesh {
    key: SigningKey,
    me: PeerId,
    config: Config,
    rng: ChaCha8Rng,
    presence: Presence,
    router: Router,
    rooms: Rooms,
    room_names: BTreeMap<RoomId, Joined>,
    /// Peers that a caller or the settings chose to connect to.
    chosen: BTreeSet<PeerId>,
    links: BTreeMap<PeerId, Path>,
    held: BTreeMap<Digest, Held>,
    listening: Listening,
    jobs: BTreeMap<RequestId, Job>,
    asking: BTreeMap<ExchangeId, Asking>,
    serving: BTreeMap<ExchangeId, Serving>,
    /// What was handed to the engine and is not done.
    tasks: BTreeMap<TaskId, Task>,
    next_exchange: u64,
    next_task: u64,
    /// What listeners were told last.
    shown_peers: BTreeMap<PeerId, PeerInfo>,
    shown_models: Vec<ModelInfo>,
    /// Something that this peer says of itself changed.
    profile_stale: bool,
    /// Which nodes ask for grants, or whose they ask for, may have changed.
    asking_stale: bool,
    /// Something that [`Mesh::models`] lists changed.
    models_stale: bool,
    outputs: VecDeque<Output>,
}

#[derive(Debug, Default)]
struct Listening {
    addresses: Vec<String>,
    http: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Task {
    owner: Owner,
    /// Of the input.
    bytes: usize,
}

/// Who waits for a task of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Job(RequestId),
    Exchange(ExchangeId),
    /// Cancelled; the engine has not said so yet.
    Nobody,
}

impl Mesh {
    /// A peer that knows nobody and holds nothing.
    pub fn new(config: Config, now: Timestamp) -> Self {
        let key = SigningKey::from_bytes(&config.key);
        let me = PeerId::from_public_key(key.verifying_key().to_bytes());
        let profile = Profile {
            tier: config.tier,
            agent: config.agent.clone(),
            serves: config.serves,
            slots: config.limits.slots,
            issuers: config.room_issuers.clone(),
            ..Profile::default()
        };
        // Three streams of randomness, so that one machine's draws do not move another's.
        let seed = config.seed.wrapping_mul(3);
        let timing = config.presence.clone();
        Self {
            presence: Presence::new(&config.key, config.generation, profile, timing, seed, now),
            router: Router::new(me, config.router.clone(), seed.wrapping_add(1)),
            rng: ChaCha8Rng::seed_from_u64(seed.wrapping_add(2)),
            rooms: Rooms::new(me),
            room_names: BTreeMap::new(),
            chosen: BTreeSet::new(),
            key,
            me,
            config,
            links: BTreeMap::new(),
            held: BTreeMap::new(),
            listening: Listening::default(),
            jobs: BTreeMap::new(),
            asking: BTreeMap::new(),
            serving: BTreeMap::new(),
            tasks: BTreeMap::new(),
            next_exchange: 0,
            next_task: 0,
            shown_peers: BTreeMap::new(),
            shown_models: Vec::new(),
            profile_stale: false,
            // What the settings say is heard, too.
            asking_stale: true,
            models_stale: false,
            outputs: VecDeque::new(),
        }
    }

    /// Takes what happened. Never fails: what a caller did wrong comes back as an event, what a peer did wrong is
    /// dropped and logged.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Connected { peer, path } => self.on_connected(now, peer, path),
            Input::Chosen { peer } => self.on_chosen(peer),
            Input::Disconnected { peer } => self.on_disconnected(now, peer),
            Input::Rtt { peer, rtt } => self.on_rtt(now, peer, rtt),
            Input::Presence { peer, bytes } => self.presence.handle(now, presence::Input::Frame { peer, bytes }),
            Input::Models(models) => self.on_models(models),
            Input::Listening { addresses, http } => {
                self.listening = Listening { addresses, http };
                self.profile_stale = true;
            }
            Input::Run { id, request } => self.on_run(now, id, request),
            Input::Cancel { id } => self.on_cancel(id),
            Input::TaskDone { task, result } => self.on_task_done(now, task, result),
            Input::TaskPart { task, part } => self.on_task_part(now, task, part),
            Input::PartSent { exchange } => self.on_part_sent(exchange),
            Input::PartCame { exchange, bytes } => self.on_part_came(now, exchange, &bytes),
            Input::Asked { exchange, peer, bytes } => self.on_asked(now, exchange, peer, &bytes),
            Input::AskAborted { exchange } => self.stop_serving(exchange),
            Input::Replied { exchange, result } => self.on_replied(now, exchange, result),
            Input::Tick => {}
        }
        self.on_time(now);
    }

    /// What must be done, in order; `None` when nothing is left.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to be woken with [`Input::Tick`], unless something else happens first.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let jobs = self.jobs.values().filter_map(Job::wake_at);
        let serving = self.serving.values().map(|serving| serving.deadline);
        let rooms = self.rooms.poll_timeout();
        self.presence.poll_timeout().into_iter().chain(jobs).chain(serving).chain(rooms).min()
    }

    /// This peer.
    pub fn id(&self) -> PeerId {
        self.me
    }

    /// Whether no request is open, for callers here or elsewhere, and no task is with the engine. A node that drains
    /// waits for this.
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.asking.is_empty() && self.serving.is_empty() && self.tasks.is_empty()
    }

    fn on_connected(&mut self, now: Timestamp, peer: PeerId, path: Path) {
        if peer == self.me {
            return;
        }
        self.rooms.linked(peer, Some(path));
        if self.links.insert(peer, path).is_none() {
            self.presence.handle(now, presence::Input::Connected(peer));
        }
        self.refresh_peer(now, peer);
    }

    fn on_disconnected(&mut self, now: Timestamp, peer: PeerId) {
        if self.links.remove(&peer).is_none() {
            return;
        }
        self.rooms.linked(peer, None);
        self.presence.handle(now, presence::Input::Disconnected(peer));
        self.abandon_peer(now, peer);
        self.refresh_peer(now, peer);
    }

    fn on_rtt(&mut self, now: Timestamp, peer: PeerId, rtt: std::time::Duration) {
        if self.links.contains_key(&peer) {
            self.router.observe_rtt(now, peer, rtt);
            self.refresh_peer(now, peer);
        }
    }

    fn on_models(&mut self, models: Vec<LocalModel>) {
        self.held = models.into_iter().map(Into::into).collect();
        self.profile_stale = true;
        self.models_stale = true;
    }

    fn on_time(&mut self, now: Timestamp) {
        self.wake_jobs(now);
        self.wake_serving(now);
        self.wake_presence(now);
        self.wake_rooms(now);
        // A room that was closed is not claimed any longer.
        if self.profile_stale {
            self.wake_presence(now);
        }
        if std::mem::take(&mut self.models_stale) {
            self.refresh_models();
        }
    }

    fn wake_presence(&mut self, now: Timestamp) {
        if std::mem::take(&mut self.profile_stale) {
            let profile = self.own_profile();
            self.presence.handle(now, presence::Input::Profile(profile));
        } else {
            self.presence.handle(now, presence::Input::Tick);
        }
        while let Some(output) = self.presence.poll_output() {
            self.on_presence(now, output);
        }
    }

    fn on_presence(&mut self, now: Timestamp, output: presence::Output) {
        match output {
            presence::Output::Send { peer, bytes } if self.links.contains_key(&peer) => {
                self.outputs.push_back(Output::Presence { peer, bytes });
            }
            presence::Output::Send { .. } => {}
            presence::Output::Up(peer) | presence::Output::Changed(peer) | presence::Output::Down(peer) => {
                self.refresh_peer(now, peer);
            }
            presence::Output::Rejected { peer, error } => {
                tracing::warn!(%peer, %error, "dropped a presence frame");
            }
        }
    }

    /// Whether the engine takes another task with an input of so many bytes.
    fn has_room(&self, bytes: usize) -> bool {
        let limits = &self.config.limits;
        // An input that is over the bound by itself runs alone rather than never.
        let taken: usize = self.tasks.values().map(|task| task.bytes).sum();
        self.tasks.len() < limits.tasks && (taken == 0 || taken + bytes <= limits.task_bytes)
    }

    fn start_task(&mut self, owner: Owner, model: Digest, numerics: Numerics, stream: bool, input: Payload) -> TaskId {
        let task = TaskId(self.next_task);
        self.next_task += 1;
        self.tasks.insert(task, Task { owner, bytes: input.size() });
        self.profile_stale = true;
        self.outputs.push_back(Output::Infer { task, model, numerics, stream, input });
        task
    }

    /// The task keeps its place in the engine's bound until the engine says that it is done.
    fn cancel_task(&mut self, task: TaskId) {
        if let Some(cancelled) = self.tasks.get_mut(&task) {
            cancelled.owner = Owner::Nobody;
            self.outputs.push_back(Output::CancelInfer { task });
        }
    }

    fn on_task_done(&mut self, now: Timestamp, task: TaskId, result: Result<TaskOutput, TaskError>) {
        let Some(Task { owner, .. }) = self.tasks.remove(&task) else { return };
        self.profile_stale = true;
        match owner {
            Owner::Job(id) => self.on_ran_here(now, id, task, result),
            Owner::Exchange(exchange) => self.on_served(now, exchange, result),
            Owner::Nobody => {}
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}
