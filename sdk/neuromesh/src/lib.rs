//! The async API of Neuromesh, and the drivers that carry out what the core decides.
//!
//! ```text
//!   Mesh (handle, Clone) ──commands──▶ driver ◀─▶ core::mesh::Mesh    decides: presence, router, receipts
//!                                        │  ▲
//!             Engine (runs models) ◀─────┘  └───── swarm  libp2p: connections, streams, ping
//!                    ▲                                │
//!             BlobStore (model files) ◀── blobs ──────┤   /neuromesh/blob/1
//!                                                     │
//!   Doc (handle) ───────commands──▶ docs ◀─▶ core::sync::Sync        decides: Automerge documents
//!                                    └─▶ DocStore
//! ```
//!
//! Three tasks run per mesh: `swarm` owns the connections, `driver` the core's mesh machine, `docs` the core's sync
//! machine. They talk over bounded channels. Nothing here decides: a branch that needs a protocol test belongs
//! in the core. The platform's differences are sibling files with one signature under [`platform`], `transport`
//! and [`storage`].

#![forbid(unsafe_code)]
// What is shared between threads on a server is shared between tasks of one thread in a browser.
#![allow(clippy::arc_with_non_send_sync)]
// The engine alone uses its own part of what both share.
#![cfg_attr(not(feature = "mesh"), allow(dead_code))]

#[cfg(feature = "mesh")]
mod blobs;
#[cfg(feature = "mesh")]
pub mod catalogue;
#[cfg(feature = "mesh")]
mod docs;
#[cfg(feature = "mesh")]
mod driver;
pub mod engine;
mod error;
#[cfg(feature = "mesh")]
mod frames;
#[cfg(feature = "mesh")]
mod handle;
pub mod platform;
#[cfg(feature = "mesh")]
mod rtc;
pub mod storage;
#[cfg(feature = "mesh")]
mod streams;
#[cfg(feature = "mesh")]
mod swarm;
#[cfg(feature = "mesh")]
mod transport;

#[cfg(feature = "mesh")]
pub use docs::Doc;
#[cfg(feature = "mesh")]
pub use driver::Event;
pub use error::{Error, ErrorKind};
#[cfg(feature = "mesh")]
pub use handle::{Accepted, Config, Mesh, Parts, Progress, Room, RoomOptions};
#[cfg(feature = "mesh")]
pub use libp2p::Multiaddr;
pub use neuromesh_core as core;
pub use neuromesh_core::{
    Answer, Digest, Manifest, Numerics, Options, Part, Payload, PeerId, Pipeline, Privacy, Receipt, Request,
    SparseBytes, Tensor, Tier,
    mesh::{ModelInfo, PeerInfo},
};
pub use neuromesh_infer as infer;
#[cfg(feature = "mesh")]
pub use rtc::{Certificate, IceServer};
#[cfg(feature = "mesh")]
pub use streams::Stream;
