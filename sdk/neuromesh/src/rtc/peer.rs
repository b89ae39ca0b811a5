use neuromesh_core::webrtc::signal::{Candidate, Input};
use tokio::sync::mpsc;

/// How connections are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct RtcConfig {
    /// STUN and TURN servers (RFC 7064, RFC 7065 URIs). Empty: only the machines' own addresses are tried.
    pub ice_servers: Vec<IceServer>,
}

/// A server that helps to find a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:host:port`, `turn:host:port?transport=udp`.
    pub urls: Vec<String>,
    /// For TURN.
    pub username: Option<String>,
    /// For TURN.
    pub credential: Option<String>,
}

/// What a platform's peer connection is told while it is made; the answers are [`Input`]s of the negotiation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Make an offer, with a data channel `init` in it; set it; [`Input::Described`].
    CreateOffer,
    /// Set this offer, [`Input::RemoteSet`]; make an answer, set it; [`Input::Described`].
    AnswerTo(String),
    /// Set this answer; [`Input::RemoteSet`].
    SetAnswer(String),
    /// Use this candidate.
    Add(Candidate),
    /// The connection is up and wanted: close the channel `init` if it was made here.
    Established,
}

/// The way to a peer connection that is being made: `transport::connect` gives it with the muxer of the connection to be. Dropped
/// without [`Order::Established`], the peer connection closes.
pub(crate) struct Orders {
    pub(crate) orders: mpsc::UnboundedSender<Order>,
    /// Bounded: a platform that finds more than fits has to leave some out.
    pub(crate) events: mpsc::Receiver<Input>,
}
