//! What must be done.

use crate::{
    Answer, Digest, ExchangeId, Numerics, Part, Payload, PeerId, RequestId, TaskId, Tier,
    mesh::{PeerInfo, RunError},
    rooms::{RoomError, RoomId},
};

/// What [`Mesh`](super::Mesh) wants of the driver.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "moved once, from the queue to the driver")]
pub enum Output {
    /// Send a presence frame. Best effort: it may be lost, and it may be dropped when the peer is slow.
    Presence {
        /// A connected peer.
        peer: PeerId,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// Open a stream of the infer protocol, write `bytes`, read parts and the reply; give each part with
    /// [`Input::PartCame`](super::Input::PartCame), and answer with [`Input::Replied`](super::Input::Replied).
    Ask {
        /// To be given back.
        exchange: ExchangeId,
        /// A connected peer.
        peer: PeerId,
        /// The request.
        bytes: Vec<u8>,
    },
    /// Reset the stream of an [`Output::Ask`]; a reply that still comes is ignored.
    AbortAsk {
        /// The exchange.
        exchange: ExchangeId,
    },
    /// Write a part of the answer to an [`Input::Asked`](super::Input::Asked), then say
    /// [`Input::PartSent`](super::Input::PartSent): at most one is under way, and the reply may come behind it.
    Part {
        /// The exchange.
        exchange: ExchangeId,
        /// The part.
        bytes: Vec<u8>,
    },
    /// Write the reply to an [`Input::Asked`](super::Input::Asked) and close the stream.
    Reply {
        /// The exchange.
        exchange: ExchangeId,
        /// The reply.
        bytes: Vec<u8>,
    },
    /// Run a model on this peer, fetching it first from [`Mesh::holders`](super::Mesh::holders) when the store lacks
    /// it. Answer with exactly one [`Input::TaskDone`](super::Input::TaskDone), also after a cancel.
    Infer {
        /// To be given back.
        task: TaskId,
        /// Digest of the model's manifest.
        model: Digest,
        /// How exact its numbers must be; exact ones always will do.
        numerics: Numerics,
        /// Whether parts of the output are wanted as they are made, with [`Input::TaskPart`](super::Input::TaskPart).
        stream: bool,
        /// A payload that passed [`Payload::validate`].
        input: Payload,
    },
    /// Stop an [`Output::Infer`] as soon as possible.
    CancelInfer {
        /// The task.
        task: TaskId,
    },
    /// Connect to this peer; that it fails needs no report.
    Dial {
        /// Whom.
        peer: PeerId,
        /// A multiaddress, as text.
        address: String,
    },
    /// Close the connections with this peer.
    Disconnect {
        /// Whose.
        peer: PeerId,
    },
    /// Tell whoever listens.
    Event(Event),
}

/// Something that callers and pages like to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A peer is new: what it offers is known. A connected one says so within moments of connecting.
    PeerUp(PeerInfo),
    /// What is known of a peer changed.
    PeerChanged(PeerInfo),
    /// A peer is gone: disconnected, and not heard of for a while.
    PeerDown(PeerId),
    /// The list of [`Mesh::models`](super::Mesh::models) changed.
    ModelsChanged,
    /// This peer is not in a room any more, though nobody left it: a node asks for a grant and there is none that holds, or not any
    /// longer. Joining it again with a new one goes on.
    RoomClosed {
        /// The room.
        room: RoomId,
        /// Its name.
        name: String,
        /// Why.
        error: RoomError,
    },
    /// A request went to a peer; this peer itself when it runs here.
    Sent {
        /// The request.
        id: RequestId,
        /// Who runs it.
        peer: PeerId,
        /// Its tier, from the caller's point of view.
        tier: Tier,
        /// The model, as the caller named it.
        model: String,
    },
    /// The next part of the answer to a request that asked for them. Joined, the parts are the text of the answer, whoever
    /// made them; the last may come with the answer itself.
    Part {
        /// The request.
        id: RequestId,
        /// What is new.
        part: Part,
    },
    /// An attempt did not give the answer: it failed, was lost, or is late (and goes on beside another one).
    Retried {
        /// The request.
        id: RequestId,
        /// Who had been asked.
        peer: PeerId,
        /// `failed: …`, `late`, `lost`.
        outcome: String,
    },
    /// A request ended.
    Answered {
        /// The request.
        id: RequestId,
        /// The answer, or why there is none.
        result: Result<Answer, RunError>,
    },
}
