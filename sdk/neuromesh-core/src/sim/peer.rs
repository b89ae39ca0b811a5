//! A peer of the mesh with a virtual engine.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{Machine, Outgoing};
use crate::{
    Digest, ExchangeId, Mesh, Payload, PeerId, Request, RequestId, TaskId, Timestamp,
    mesh::{Config, ErrorKind, Event, ExchangeError, Input, LocalModel, Output, Path, TaskError, TaskOutput},
    receipt::Exactness,
};

/// What peers say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    /// Best effort.
    Presence(Vec<u8>),
    /// A question, numbered by the asker.
    Ask(ExchangeId, Vec<u8>),
    /// The asker lost interest.
    Abort(ExchangeId),
    /// The answer to a question of that number.
    Reply(ExchangeId, Vec<u8>),
}

/// How long the virtual engine takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speed {
    /// To run a model.
    pub service: Duration,
    /// To load a held one before its first run.
    pub load: Duration,
    /// To fetch one that is not held.
    pub fetch: Duration,
}

impl Default for Speed {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self { service: ms(20), load: ms(300), fetch: ms(2000) }
    }
}

/// What the virtual engine says: the same on every peer, unless a test makes one different.
type Answering = fn(&Digest, &Payload) -> Result<Payload, TaskError>;

/// A [`Mesh`] whose engine is virtual and whose neighbours are reached through a [`Network`](super::Network).
#[derive(Debug)]
pub struct Peer {
    /// The machine.
    pub mesh: Mesh,
    /// How long runs take from now on.
    pub speed: Speed,
    /// What runs give from now on.
    pub answering: Answering,
    /// When it is set, runs of the engine never end.
    pub hangs: bool,
    /// Everything that listeners were told.
    pub events: Vec<(Timestamp, Event)>,
    /// How often another peer was asked.
    pub asks: usize,
    /// How often the engine was started.
    pub runs: usize,
    /// How often it was stopped.
    pub cancels: usize,
    models: Vec<LocalModel>,
    tasks: BTreeMap<TaskId, (Timestamp, Result<TaskOutput, TaskError>)>,
    asking: BTreeMap<ExchangeId, PeerId>,
    /// The asker and its number of each question that was put to this peer.
    asked: BTreeMap<ExchangeId, (PeerId, ExchangeId)>,
    next_asked: u64,
    links: VecDeque<(PeerId, bool)>,
    frames: VecDeque<Outgoing<Frame>>,
}

impl Peer {
    /// A peer that holds these models.
    pub fn new(config: Config, models: Vec<LocalModel>, speed: Speed, now: Timestamp) -> Self {
        let mut peer = Self {
            mesh: Mesh::new(config, now),
            speed,
            answering: echo,
            hangs: false,
            events: Vec::new(),
            asks: 0,
            runs: 0,
            cancels: 0,
            models: models.clone(),
            tasks: BTreeMap::new(),
            asking: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_asked: 0,
            links: VecDeque::new(),
            frames: VecDeque::new(),
        };
        peer.tell(now, Input::Models(models));
        peer
    }

    /// A caller at this peer asks.
    pub fn run(&mut self, now: Timestamp, id: u64, request: Request) {
        self.tell(now, Input::Run { id: RequestId(id), request });
    }

    /// How a request ended, if it has.
    pub fn result(&self, id: u64) -> Option<&Result<crate::Answer, crate::mesh::RunError>> {
        self.events.iter().find_map(|(_, event)| match event {
            Event::Answered { id: of, result } if of.0 == id => Some(result),
            _ => None,
        })
    }

    /// Something happens to the machine, and its effects are carried out.
    pub fn tell(&mut self, now: Timestamp, input: Input) {
        self.mesh.handle(now, input);
        while let Some(output) = self.mesh.poll_output() {
            self.perform(now, output);
        }
    }

    fn perform(&mut self, now: Timestamp, output: Output) {
        match output {
            Output::Presence { peer, bytes } => self.send(peer, Frame::Presence(bytes)),
            Output::Ask { exchange, peer, bytes } => {
                self.asks += 1;
                self.asking.insert(exchange, peer);
                self.send(peer, Frame::Ask(exchange, bytes));
            }
            Output::AbortAsk { exchange } => {
                if let Some(peer) = self.asking.remove(&exchange) {
                    self.send(peer, Frame::Abort(exchange));
                }
            }
            Output::Reply { exchange, bytes } => {
                if let Some((peer, theirs)) = self.asked.remove(&exchange) {
                    self.send(peer, Frame::Reply(theirs, bytes));
                }
            }
            Output::Infer { task, model, input, .. } => self.infer(now, task, model, &input),
            Output::CancelInfer { task } => {
                self.cancels += 1;
                let cancelled = TaskError::new(ErrorKind::Cancelled, "cancelled");
                if let Some(entry) = self.tasks.get_mut(&task) {
                    *entry = (now, Err(cancelled));
                }
            }
            Output::Dial { peer, .. } => self.links.push_back((peer, true)),
            Output::Disconnect { peer } => self.links.push_back((peer, false)),
            Output::Event(event) => self.events.push((now, event)),
        }
    }

    fn infer(&mut self, now: Timestamp, task: TaskId, model: Digest, input: &Payload) {
        self.runs += 1;
        let load = match self.models.iter_mut().find(|held| held.digest == model) {
            Some(held) if held.loaded => Duration::ZERO,
            Some(held) => {
                held.loaded = true;
                self.speed.load
            }
            None => {
                let info = self.mesh.models().into_iter().find(|info| info.digest == model);
                let (name, bytes) = info.map_or((String::new(), 0), |info| (info.name, info.size));
                self.models.push(LocalModel { name, digest: model, bytes, loaded: true, times: Vec::new() });
                self.speed.fetch + self.speed.load
            }
        };
        let service = self.speed.service;
        let result = (self.answering)(&model, input).map(|output| TaskOutput {
            output,
            load,
            service,
            expected: None,
            exactness: Exactness::Exact,
        });
        let done = if self.hangs { Timestamp::from_millis(u64::MAX) } else { now + load + service };
        self.tasks.insert(task, (done, result));
    }

    fn finish_tasks(&mut self, now: Timestamp) {
        while let Some(task) = self.tasks.iter().find(|(_, (at, _))| *at <= now).map(|(task, _)| *task) {
            let (_, result) = self.tasks.remove(&task).expect("found just now");
            self.tell(now, Input::TaskDone { task, result });
            self.tell(now, Input::Models(self.models.clone()));
        }
    }

    fn send(&mut self, to: PeerId, frame: Frame) {
        let (reliable, bytes) = match &frame {
            Frame::Presence(bytes) => (false, bytes.len()),
            Frame::Ask(_, bytes) | Frame::Reply(_, bytes) => (true, bytes.len()),
            Frame::Abort(_) => (true, 0),
        };
        self.frames.push_back(Outgoing { to, frame, reliable, bytes });
    }
}

impl Machine for Peer {
    type Frame = Frame;

    fn on_connected(&mut self, now: Timestamp, peer: PeerId, rtt: Duration) {
        self.tell(now, Input::Connected { peer, path: Path::Direct });
        self.tell(now, Input::Rtt { peer, rtt });
    }

    fn on_disconnected(&mut self, now: Timestamp, peer: PeerId) {
        self.asked.retain(|_, (asker, _)| *asker != peer);
        let lost: Vec<ExchangeId> = self.asking.iter().filter(|(_, to)| **to == peer).map(|(id, _)| *id).collect();
        for exchange in lost {
            self.asking.remove(&exchange);
            let result = Err(ExchangeError::Lost("the link broke".to_owned()));
            self.tell(now, Input::Replied { exchange, result });
        }
        self.tell(now, Input::Disconnected { peer });
    }

    fn on_frame(&mut self, now: Timestamp, from: PeerId, frame: Frame) {
        match frame {
            Frame::Presence(bytes) => self.tell(now, Input::Presence { peer: from, bytes }),
            Frame::Ask(theirs, bytes) => {
                let exchange = ExchangeId(self.next_asked);
                self.next_asked += 1;
                self.asked.insert(exchange, (from, theirs));
                self.tell(now, Input::Asked { exchange, peer: from, bytes });
            }
            Frame::Abort(theirs) => {
                let exchange = self.asked.iter().find(|(_, of)| **of == (from, theirs)).map(|(id, _)| *id);
                if let Some(exchange) = exchange {
                    self.asked.remove(&exchange);
                    self.tell(now, Input::AskAborted { exchange });
                }
            }
            Frame::Reply(exchange, bytes) => {
                if self.asking.remove(&exchange).is_some() {
                    self.tell(now, Input::Replied { exchange, result: Ok(bytes) });
                }
            }
        }
    }

    fn on_time(&mut self, now: Timestamp) {
        self.finish_tasks(now);
        self.tell(now, Input::Tick);
    }

    fn poll_link(&mut self) -> Option<(PeerId, bool)> {
        self.links.pop_front()
    }

    fn poll_frame(&mut self) -> Option<Outgoing<Frame>> {
        self.frames.pop_front()
    }

    fn timeout(&self) -> Option<Timestamp> {
        self.tasks.values().map(|(at, _)| *at).chain(self.mesh.poll_timeout()).min()
    }
}

/// A JSON text that names model and input: what two peers say to the same question is the same.
fn echo(model: &Digest, input: &Payload) -> Result<Payload, TaskError> {
    Ok(Payload::Json(format!(r#"{{"model":"{model}","input":"{}"}}"#, input.digest())))
}
