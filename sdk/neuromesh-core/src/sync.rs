//! Documents: JSON that every peer may edit, offline as well, and that converges.
//!
//! [`Sync`] wraps samod-core's hub, document actors and loader (Automerge documents, the wire protocol and storage
//! convention of automerge-repo) in the shape of our machines, and adds what they leave to an application:
//!
//! ```text
//!   Open, Change ─▶ ┌──────────────── Sync ─────────────────┐ ─▶ Opened, Changed, ChangeDone
//!   peers' bytes ─▶ │ guard ─▶ hub ─▶ document actors       │ ─▶ bytes to peers
//!   StorageDone  ─▶ │ genesis   diff   outbox (put < send)  │ ─▶ Store
//!                   └───────────────────────────────────────┘
//! ```
//!
//! - [`guard`]: bytes from a peer are checked for everything that would panic or allocate without bound further in.
//! - [`genesis`]: a document is named by the application; all peers that open a name derive the same first changes, so that
//!   documents opened offline merge.
//! - [`json`]: a change is a whole new JSON value at the heads at which it was read; the difference becomes operations
//!   (strings merge by character, lists by element), so that what others changed meanwhile is merged, not undone.
//! - `outbox`: what was learned is stored before any peer hears of it, and before the application is told so.
//!
//! Every document is shared with every connected peer: a node without an application relays what tabs write.

mod config;
mod error;
pub mod genesis;
pub mod guard;
mod input;
pub mod json;
mod machine;
mod outbox;
mod output;
mod stores;
#[cfg(test)]
mod tests;

pub use config::{Config, Limits, MAX_MESSAGE_BYTES};
pub use error::SyncError;
pub use input::{Input, StoreFailure, Stored};
pub use machine::Sync;
pub use output::{Output, StoreOp};
