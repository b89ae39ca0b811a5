//! How two peers agree on a direct connection: libp2p/specs `webrtc/webrtc.md`.

mod admission;
mod message;
mod negotiation;

pub use admission::{Admission, MAX_NEGOTIATIONS, MAX_PER_MINUTE, MAX_PER_PEER, Refused};
pub use message::{Candidate, MAX_SIGNAL, Reader, Signal, SignalError};
pub use negotiation::{
    ConnectionState, Input, MAX_CANDIDATES, Negotiation, NegotiationError, Output, Role, TIME_LIMIT,
};

/// libp2p protocol of the streams that carry [`Signal`]s.
pub const SIGNALING_PROTOCOL: &str = "/webrtc-signaling/0.0.1";
