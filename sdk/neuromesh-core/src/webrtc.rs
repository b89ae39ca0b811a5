//! libp2p's WebRTC, as machines: what is said on a data channel and while a connection is made.
//!
//! ```text
//!   relayed connection ─ bytes ─▶ signal::Negotiation ─ offer, answer, candidates ─▶ peer connection
//!   data channel ─ messages ────▶ channel::Channel    ─ reads, end, reset ─────────▶ stream
//!   connections of a peer ──────▶ paths::Paths        ─ which to use, which to close
//! ```
//!
//! Specification: libp2p/specs `webrtc/README.md` (framing, closing) and `webrtc/webrtc.md` (signalling), revision r0 of 2023-03-03.
//! Peer connections, clocks and libp2p's types are the driver's.

pub mod channel;
pub mod frame;
pub mod paths;
pub mod signal;
mod varint;
