//! How peers are reached: QUIC, TCP and WebSocket from a server, WebSocket from a tab.

#[cfg(not(target_arch = "wasm32"))]
#[path = "transport/native.rs"]
mod imp;
#[cfg(target_arch = "wasm32")]
#[path = "transport/web.rs"]
mod imp;

pub(crate) use imp::{build, swarm_config};
