//! The Neuromesh server: one binary, `neuromesh`.
//!
//! ```text
//!   cli ──▶ node ──▶ neuromesh::Mesh            connections, routing, documents, receipts
//!    │       ├─────▶ neuromesh::LocalEngine ──▶ plugins     sandboxed components (Wasmtime)
//!    │       ├─────▶ data: identity, model files, documents
//!    │       └─────▶ http: page, health, `/v1`; and a control port for the command line
//!    └─ client ────▶ the control port of the node that runs here, or another node's public port
//! ```
//!
//! [`config`] settles flags over environment over a TOML file. [`models`] brings a model's files into the store, directly
//! or through a running node. What decides anything about the mesh lives in `neuromesh-core`, not here.

pub mod certificate;
pub mod cli;
pub mod client;
pub mod config;
pub mod data;
pub mod http;
pub mod identity;
pub mod logs;
mod machine;
pub mod models;
pub mod node;
pub mod picture;
pub mod plugins;
