//! What callers and pages see of peers and models.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Digest, PeerId, ShapeClass, Tier};

/// How a connected peer is reached; later is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// Through another peer's relay.
    Relayed,
    /// A connection of our own.
    #[default]
    Direct,
}

/// What is known of another peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerInfo {
    /// The peer.
    pub id: PeerId,
    /// Its tier, from this peer's point of view: another tab is a `peer`.
    pub tier: Tier,
    /// Smoothed round trip in milliseconds, once measured.
    pub rtt_ms: Option<f64>,
    /// Whether a connection stands.
    pub connected: bool,
    /// How it is reached.
    pub path: Path,
    /// Its software.
    pub agent: String,
    /// Names of the models that it offers.
    pub models: Vec<String>,
    /// Model runs that it has taken and not finished.
    pub queue: u32,
    /// Smoothed time in its engine per model name, in milliseconds.
    pub service_ms: BTreeMap<String, f64>,
    /// Multiaddresses that it says it can be reached at.
    pub addresses: Vec<String>,
    /// Base URL of its HTTP API, if it has one.
    pub http: Option<String>,
    /// The rooms that it is in and this peer too, by name.
    pub rooms: Vec<String>,
}

/// A model that this peer or another one holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelInfo {
    /// What callers say.
    pub name: String,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Bytes of all its files.
    pub size: u64,
    /// Whether this peer holds it.
    pub local: bool,
    /// Whether it is in this peer's memory.
    pub loaded: bool,
    /// The other peers that hold it.
    pub holders: Vec<PeerId>,
}

/// A model in the local store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalModel {
    /// The manifest's name.
    pub name: String,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Whether it is in memory.
    pub loaded: bool,
    /// What the engine expects of a run, by class in ascending order; empty where it knows nothing yet.
    pub times: Vec<(ShapeClass, Duration)>,
}
