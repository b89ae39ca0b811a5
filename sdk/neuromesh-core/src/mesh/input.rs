//! What happened.

use std::time::Duration;

use crate::{
    Digest, ExchangeId, Part, Payload, PeerId, Request, RequestId, ShapeClass, TaskId,
    mesh::{ExchangeError, LocalModel, Path, TaskError},
    receipt::Exactness,
};

/// What the driver tells [`Mesh`](super::Mesh).
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A connection to `peer` stands. Say it again when the path changes (a relayed connection became direct).
    Connected {
        /// The peer, as authenticated by the transport.
        peer: PeerId,
        /// How it is reached.
        path: Path,
    },
    /// A connection led to `peer` that a caller or the settings asked for by its address, as they ask for nodes. Peers of a room that
    /// are dialled because [`Output::Dial`](super::Output::Dial) says so are not chosen, nor those that connect by themselves.
    Chosen {
        /// The peer, as authenticated by the transport.
        peer: PeerId,
    },
    /// The last connection to `peer` is gone.
    Disconnected {
        /// The peer.
        peer: PeerId,
    },
    /// A round trip to `peer` was measured.
    Rtt {
        /// The peer.
        peer: PeerId,
        /// The measurement; the machine smooths it.
        rtt: Duration,
    },
    /// A presence frame arrived, whole, of at most [`MAX_PRESENCE_BYTES`](crate::wire::MAX_PRESENCE_BYTES).
    Presence {
        /// The connected peer that sent it.
        peer: PeerId,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// The models that this peer holds; replaces what was said before. Say it at start, when one is added or removed,
    /// and when one is loaded into memory or dropped from it.
    Models(Vec<LocalModel>),
    /// Where this peer can be reached; replaces what was said before.
    Listening {
        /// Multiaddresses, as text.
        addresses: Vec<String>,
        /// Base URL of the HTTP API, if there is one.
        http: Option<String>,
    },
    /// A local caller asks. Ends with exactly one [`Event::Answered`](super::Event::Answered) of the same id.
    Run {
        /// Chosen by the driver, unique within one run.
        id: RequestId,
        /// The question.
        request: Request,
    },
    /// The caller of [`Input::Run`] gave up.
    Cancel {
        /// The request.
        id: RequestId,
    },
    /// The answer to [`Output::Infer`](super::Output::Infer).
    TaskDone {
        /// The task.
        task: TaskId,
        /// What became of it.
        result: Result<TaskOutput, TaskError>,
    },
    /// What a task of which parts are wanted has made since it was told last.
    TaskPart {
        /// The task.
        task: TaskId,
        /// The next part of its output.
        part: Part,
    },
    /// A peer asks on a stream of its own; to be answered by [`Output::Reply`](super::Output::Reply) with the same id.
    Asked {
        /// Numbered by the driver; unique among incoming exchanges.
        exchange: ExchangeId,
        /// The peer that asks.
        peer: PeerId,
        /// The whole request, of at most [`MAX_INFER_BYTES`](crate::wire::MAX_INFER_BYTES).
        bytes: Vec<u8>,
    },
    /// The peer of an [`Input::Asked`] closed or reset the stream before the reply was written.
    AskAborted {
        /// The exchange.
        exchange: ExchangeId,
    },
    /// The part of [`Output::Part`](super::Output::Part) was written; the next may come.
    PartSent {
        /// The exchange.
        exchange: ExchangeId,
    },
    /// A part came on the stream of an [`Output::Ask`](super::Output::Ask), before the reply.
    PartCame {
        /// The exchange.
        exchange: ExchangeId,
        /// The whole frame; [`is_part`](crate::wire::is_part) says so.
        bytes: Vec<u8>,
    },
    /// The answer to [`Output::Ask`](super::Output::Ask).
    Replied {
        /// The exchange.
        exchange: ExchangeId,
        /// The whole reply, of at most [`MAX_INFER_BYTES`](crate::wire::MAX_INFER_BYTES), or what went wrong.
        result: Result<Vec<u8>, ExchangeError>,
    },
    /// Nothing but that time passed: the wake-up for [`Mesh::poll_timeout`](super::Mesh::poll_timeout).
    Tick,
}

/// What a model run gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskOutput {
    /// What the model said.
    pub output: Payload,
    /// Fetching and loading the model; zero when it was loaded.
    pub load: Duration,
    /// Time in the engine.
    pub service: Duration,
    /// What the engine expects of the next run on such an input, if it knows better than this run shows.
    pub expected: Option<Duration>,
    /// Whether running again gives the same bits.
    pub exactness: Exactness,
}

/// A model as the local store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub name: String,
    pub bytes: u64,
    pub loaded: bool,
    pub times: Vec<(ShapeClass, Duration)>,
}

impl From<LocalModel> for (Digest, Held) {
    fn from(model: LocalModel) -> Self {
        (model.digest, Held { name: model.name, bytes: model.bytes, loaded: model.loaded, times: model.times })
    }
}
