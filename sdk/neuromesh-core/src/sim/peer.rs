//! A peer of the mesh with a virtual engine.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{Machine, Outgoing};
use crate::{
    Digest, ExchangeId, Mesh, Part, Payload, PeerId, Request, RequestId, TaskId, Timestamp,
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
    /// A part of the answer to a question of that number.
    Part(ExchangeId, Vec<u8>),
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
    /// To write a part of an answer to whoever asked.
    pub write: Duration,
}

impl Default for Speed {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self { service: ms(20), load: ms(300), fetch: ms(2000), write: ms(0) }
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
    /// While it is set, the engine says nothing more, but for runs that were cancelled.
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
    tasks: BTreeMap<TaskId, Virtual>,
    /// Parts that are being written, and until when.
    writing: BTreeMap<ExchangeId, Timestamp>,
    asking: BTreeMap<ExchangeId, PeerId>,
    /// The asker and its number of each question that was put to this peer.
    asked: BTreeMap<ExchangeId, (PeerId, ExchangeId)>,
    next_asked: u64,
    links: VecDeque<(PeerId, bool)>,
    frames: VecDeque<Outgoing<Frame>>,
}

/// A run of the virtual engine.
#[derive(Debug)]
struct Virtual {
    /// What it tells on the way, in order.
    parts: VecDeque<(Timestamp, Part)>,
    done: Timestamp,
    result: Result<TaskOutput, TaskError>,
    cancelled: bool,
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
            writing: BTreeMap::new(),
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

    /// The parts of an answer that a caller was given so far, one by one.
    pub fn parts(&self, id: u64) -> Vec<Part> {
        let part = |(_, event): &(Timestamp, Event)| match event {
            Event::Part { id: of, part } if of.0 == id => Some(part.clone()),
            _ => None,
        };
        self.events.iter().filter_map(part).collect()
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
            Output::Part { exchange, bytes } => {
                if let Some((peer, theirs)) = self.asked.get(&exchange).copied() {
                    self.send(peer, Frame::Part(theirs, bytes));
                    self.writing.insert(exchange, now + self.speed.write);
                }
            }
            Output::Infer { task, model, input, stream, .. } => self.infer(now, task, model, stream, &input),
            Output::CancelInfer { task } => {
                self.cancels += 1;
                let cancelled = TaskError::new(ErrorKind::Cancelled, "cancelled");
                if let Some(entry) = self.tasks.get_mut(&task) {
                    *entry = Virtual { parts: VecDeque::new(), done: now, result: Err(cancelled), cancelled: true };
                }
            }
            Output::Dial { peer, .. } => self.links.push_back((peer, true)),
            Output::Disconnect { peer } => self.links.push_back((peer, false)),
            Output::Event(event) => self.events.push((now, event)),
        }
    }

    fn infer(&mut self, now: Timestamp, task: TaskId, model: Digest, stream: bool, input: &Payload) {
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
        let whole = result.as_ref().ok().filter(|_| stream).and_then(|done| Part::of_answer(&done.output));
        let parts = token_by_token(whole.unwrap_or_default(), now + load, service);
        self.tasks.insert(task, Virtual { parts, done: now + load + service, result, cancelled: false });
    }

    /// When the engine or the network has something to say.
    fn due(&self) -> Option<Timestamp> {
        let tasks = self.tasks.values().filter(|task| task.cancelled || !self.hangs);
        let tasks = tasks.map(|task| task.parts.front().map_or(task.done, |(at, _)| *at));
        tasks.chain(self.writing.values().copied()).min()
    }

    fn work(&mut self, now: Timestamp) {
        while self.due().is_some_and(|due| due <= now) {
            if let Some(exchange) = self.writing.iter().find(|(_, until)| **until <= now).map(|(id, _)| *id) {
                self.writing.remove(&exchange);
                self.tell(now, Input::PartSent { exchange });
                continue;
            }
            let next = |task: &Virtual| task.parts.front().map_or(task.done, |(at, _)| *at);
            let ready = |task: &Virtual| (task.cancelled || !self.hangs) && next(task) <= now;
            let ready: Vec<TaskId> = self.tasks.iter().filter(|(_, task)| ready(task)).map(|(id, _)| *id).collect();
            for task in ready {
                let part = self.tasks.get_mut(&task).and_then(|running| running.parts.pop_front());
                match part {
                    Some((_, part)) => self.tell(now, Input::TaskPart { task, part }),
                    None => {
                        let Some(ended) = self.tasks.remove(&task) else { continue };
                        self.tell(now, Input::TaskDone { task, result: ended.result });
                        self.tell(now, Input::Models(self.models.clone()));
                    }
                }
            }
        }
    }

    fn send(&mut self, to: PeerId, frame: Frame) {
        let (reliable, bytes) = match &frame {
            Frame::Presence(bytes) => (false, bytes.len()),
            Frame::Ask(_, bytes) | Frame::Part(_, bytes) | Frame::Reply(_, bytes) => (true, bytes.len()),
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
            Frame::Part(exchange, bytes) => self.tell(now, Input::PartCame { exchange, bytes }),
            Frame::Reply(exchange, bytes) => {
                if self.asking.remove(&exchange).is_some() {
                    self.tell(now, Input::Replied { exchange, result: Ok(bytes) });
                }
            }
        }
    }

    fn on_time(&mut self, now: Timestamp) {
        self.work(now);
        self.tell(now, Input::Tick);
    }

    fn poll_link(&mut self) -> Option<(PeerId, bool)> {
        self.links.pop_front()
    }

    fn poll_frame(&mut self) -> Option<Outgoing<Frame>> {
        self.frames.pop_front()
    }

    fn timeout(&self) -> Option<Timestamp> {
        self.due().into_iter().chain(self.mesh.poll_timeout()).min()
    }
}

/// Spreads a text over the time that its run takes.
fn token_by_token(mut whole: Part, begin: Timestamp, service: Duration) -> VecDeque<(Timestamp, Part)> {
    let count = u32::try_from(whole.tokens.len()).unwrap_or(u32::MAX);
    let mut parts = VecDeque::new();
    for number in 0..count {
        let left = whole.tokens.split_off(1);
        let chars = whole.text.chars().count().div_ceil(left.len() + 1);
        let end = whole.text.char_indices().nth(chars).map_or(whole.text.len(), |(at, _)| at);
        let text = whole.text.split_off(end);
        let part = std::mem::replace(&mut whole, Part { text, tokens: left });
        parts.push_back((begin + service * number / count, part));
    }
    parts
}

/// A generated text of some hundred tokens that depends on model and input.
pub fn tale(model: &Digest, input: &Payload) -> Result<Payload, TaskError> {
    let seed = Digest::of(&[model.as_bytes().as_slice(), input.digest().as_bytes()].concat());
    let tokens: Vec<u32> =
        (0..200u32).map(|place| u32::from(seed.as_bytes()[place as usize % 32]) * 7 + place).collect();
    let text: String = tokens.iter().map(|token| ["ab ", "ñ", "🦀", "word "][*token as usize % 4]).collect();
    Ok(Payload::Json(serde_json::json!({"text": text, "tokens": tokens, "finish": "length"}).to_string()))
}

/// A JSON text that names model and input: what two peers say to the same question is the same.
fn echo(model: &Digest, input: &Payload) -> Result<Payload, TaskError> {
    Ok(Payload::Json(format!(r#"{{"model":"{model}","input":"{}"}}"#, input.digest())))
}
