//! How peers are reached: QUIC, TCP, WebSocket and WebRTC from a server, WebSocket and WebRTC from a tab.

#[cfg(not(target_arch = "wasm32"))]
#[path = "transport/native.rs"]
mod imp;
#[cfg(target_arch = "wasm32")]
#[path = "transport/web.rs"]
mod imp;

pub(crate) use imp::{build, connect, generate_certificate, swarm_config};
