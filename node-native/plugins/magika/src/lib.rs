//! File type detection as a sandboxed component: Magika's features and labels around its model.
//!
//! ```text
//!   source ──▶ features ──▶ engine (host) ──▶ answer ──▶ JSON
//!   files: config (sizes, labels, thresholds), labels (content types)
//! ```
//!
//! The steps follow `magika.py` of the PyPI package 1.0.3 (Apache-2.0, Google LLC) in the prediction mode
//! `high-confidence`, and `reference/` holds that package's own features and answers. The logic is plain Rust,
//! tested natively; only [`component`] touches the host.

mod answer;
mod component;
mod config;
mod features;
mod pipeline;

pub use answer::{Answer, ContentType, ContentTypes};
pub use config::Config;
pub use features::Features;
pub use pipeline::{Host, detect};
