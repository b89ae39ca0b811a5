//! Every decision of Neuromesh, without IO.
//!
//! The crate holds machines of one shape: [`handle`](mesh::Mesh::handle) takes what happened, `poll_output`
//! says what must be done about it, `poll_timeout` says when to be woken. Time and randomness come in as
//! values, so a seed replays byte for byte, and a whole mesh runs in one thread ([`sim`]).
//!
//! ```text
//!   caller ─ Request ─▶ ┌────────────── mesh::Mesh ──────────────┐ ─ Answer ─▶ caller
//!   peers  ─ bytes ───▶ │ presence   router   exchange   receipt │ ─ bytes ──▶ peers
//!   engine ─ result ──▶ └────────────────────────────────────────┘ ─ task ───▶ engine
//!   storage, peers ◀──▶ sync::Sync (Automerge documents)
//! ```
//!
//! Invariants: no clock, no socket, no thread, no file, no global state; bytes from a peer never panic and
//! never allocate beyond a named bound; ordered maps only.

#![forbid(unsafe_code)]

pub mod choice;
pub mod dialer;
pub mod ids;
pub mod mesh;
pub mod model;
pub mod payload;
pub mod presence;
pub mod receipt;
pub mod relays;
pub mod request;
pub mod rooms;
pub mod router;
pub mod sim;
#[cfg(feature = "sync")]
pub mod sync;
pub mod time;
pub mod webrtc;
pub mod wire;

pub use ids::{Digest, ExchangeId, PeerId, RequestId, TaskId};
pub use mesh::Mesh;
pub use model::{Manifest, Pipeline};
pub use payload::{DType, Payload, ShapeClass, SparseBytes, Tensor};
pub use receipt::Receipt;
pub use request::{Answer, Numerics, Options, Privacy, Request, Tier};
pub use time::Timestamp;
