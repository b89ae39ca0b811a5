//! libp2p's WebRTC over whatever the platform has: `RTCPeerConnection` in a browser, an own implementation on a server.
//!
//! ```text
//!   Substream, Muxer ◀──▶ Hub ◀──▶ the platform's task ◀──▶ peer connection, data channels
//!                          └─ core::webrtc::channel, one machine per stream
//!   signalling stream ◀──▶ negotiate ◀──▶ transport::connect (orders, events)
//!                          └─ core::webrtc::signal::Negotiation
//! ```
//!
//! A platform gives [`Backend`], what its task does with data channels, and `transport::connect`, which starts such a task.

mod address;
mod certificate;
pub(crate) mod direct;
mod hub;
mod muxer;
mod negotiate;
mod peer;
mod signalling;
pub(crate) mod transport;

pub(crate) use address::{is_circuit, is_webrtc};
pub use certificate::Certificate;
pub(crate) use hub::{Backend, ChannelId, Hub};
pub(crate) use muxer::Muxer;
#[cfg(test)]
pub(crate) use muxer::Substream;
pub use peer::IceServer;
pub(crate) use peer::{Order, Orders, RtcConfig};
pub(crate) use signalling::Behaviour;
pub(crate) use transport::{Transport, new};
