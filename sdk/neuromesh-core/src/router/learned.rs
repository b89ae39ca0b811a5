//! Smoothed measurements.

use std::time::Duration;

use crate::Timestamp;

/// Weight of the newest sample.
const NEWEST: f64 = 0.3;

/// An exponentially weighted mean.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Learned {
    pub value: Option<f64>,
    pub at: Timestamp,
}

impl Learned {
    pub fn add(&mut self, now: Timestamp, sample: f64) {
        self.value = Some(self.value.map_or(sample, |old| old + NEWEST * (sample - old)));
        self.at = now;
    }

    pub fn is_fresh(&self, now: Timestamp, stale: Duration) -> bool {
        self.value.is_some() && now.since(self.at) < stale
    }
}

/// What was measured of a peer, whatever the model.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    /// Milliseconds.
    pub rtt: Learned,
    /// Bytes per second.
    pub bandwidth: Learned,
    /// Milliseconds that are neither round trip nor transfer nor engine: queues, encoding, a busy main thread.
    pub overhead: Learned,
    /// Failures since the last answer.
    pub strikes: u32,
    /// Until when it is the last choice.
    pub avoid_until: Timestamp,
}
