//! What the driver chooses once.

use std::time::Duration;

use crate::{PeerId, Tier, presence, router};

/// Settings of a [`Mesh`](super::Mesh).
#[derive(Clone, Debug)]
pub struct Config {
    /// Seed of the Ed25519 key that names this peer and signs its presence and receipts.
    pub key: [u8; 32],
    /// Where this peer stands; other peers see `device` as `peer`.
    pub tier: Tier,
    /// Software and version, for people.
    pub agent: String,
    /// Source of all randomness.
    pub seed: u64,
    /// Higher at every start of the same identity (milliseconds since 1970 will do): it tells a restart from old news.
    pub generation: u64,
    /// Whether this peer runs models for others.
    pub serves: bool,
    /// Whose grants this peer asks of whoever is in a room, at most [`MAX_ISSUERS`](crate::rooms::MAX_ISSUERS); none when it does not
    /// ask. It says so in presence, and peers that chose to connect to it follow; it tells nobody of those that claim to be in a room
    /// without one.
    pub room_issuers: Vec<PeerId>,
    /// How long a request may take when its options do not say.
    pub deadline: Duration,
    /// Bounds.
    pub limits: Limits,
    /// Intervals of presence.
    pub presence: presence::Timing,
    /// Constants of the router.
    pub router: router::Tuning,
}

impl Config {
    /// The defaults for a peer of this tier. Browsers do not serve, servers do.
    pub fn new(key: [u8; 32], tier: Tier) -> Self {
        Self {
            key,
            tier,
            agent: concat!("neuromesh/", env!("CARGO_PKG_VERSION")).to_owned(),
            seed: 0,
            generation: 0,
            serves: matches!(tier, Tier::Edge | Tier::Cloud),
            room_issuers: Vec::new(),
            deadline: Duration::from_secs(30),
            limits: Limits::default(),
            presence: presence::Timing::default(),
            router: router::Tuning::default(),
        }
    }
}

/// Bounds of a [`Mesh`](super::Mesh).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Model runs that the engine does at the same time; others predict their waiting time from it.
    pub slots: u32,
    /// The most tasks handed to the engine and not done; beyond it peers hear that this one is busy.
    pub tasks: usize,
    /// The most bytes of inputs among them.
    pub task_bytes: usize,
    /// The most requests of local callers at a time.
    pub requests: usize,
    /// The most attempts of one request.
    pub attempts: usize,
    /// The most attempts of one request that run at the same time (the first and its hedge).
    pub hedges: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { slots: 1, tasks: 64, task_bytes: 256 << 20, requests: 1024, attempts: 4, hedges: 2 }
    }
}
