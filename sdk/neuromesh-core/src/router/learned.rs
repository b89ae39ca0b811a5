//! Smoothed measurements.

use std::time::Duration;

use crate::{ShapeClass, Timestamp};

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

    /// Takes a value that was smoothed already.
    pub fn set(&mut self, now: Timestamp, value: f64) {
        *self = Self { value: Some(value), at: now };
    }

    pub fn is_fresh(&self, now: Timestamp, stale: Duration) -> bool {
        self.value.is_some() && now.since(self.at) < stale
    }
}

/// The time at `class`, from the times of classes that are known, in ascending order: between two of them on the line that
/// they make on logarithmic scales, above the largest in proportion to the size, below the smallest as long as that.
pub(crate) fn at_class(known: impl Iterator<Item = (ShapeClass, f64)>, class: ShapeClass) -> Option<f64> {
    let mut below: Option<(ShapeClass, f64)> = None;
    for (other, time) in known {
        if other >= class {
            return Some(match below {
                Some((least, from)) if other > class && from > 0.0 && time > 0.0 => {
                    let part = f64::from(class.log2() - least.log2()) / f64::from(other.log2() - least.log2());
                    from * (time / from).powf(part)
                }
                _ => time,
            });
        }
        below = Some((other, time));
    }
    let (largest, time) = below?;
    Some(time * 2f64.powi(i32::from(class.log2() - largest.log2())))
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
