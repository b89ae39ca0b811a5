//! Which addresses to dial and when: addresses that were asked for stay wanted, and are tried again with growing pauses.

use std::{collections::BTreeMap, time::Duration};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Timestamp;

/// The most addresses kept.
pub const MAX_ADDRESSES: usize = 256;
/// The pause after the first failure; it doubles from there.
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Wanted addresses and the state of each; the driver dials what [`Dialer::poll_dial`] names and reports how it ended.
#[derive(Debug)]
pub struct Dialer {
    wanted: BTreeMap<String, State>,
    online: bool,
    rng: ChaCha8Rng,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting { at: Timestamp, failures: u32 },
    Dialing { failures: u32 },
    Connected,
}

impl Dialer {
    /// Wants `addresses`, at once.
    pub fn new(addresses: impl IntoIterator<Item = String>, seed: u64) -> Self {
        let now = Timestamp::default();
        let wanted = addresses.into_iter().take(MAX_ADDRESSES);
        Self {
            wanted: wanted.map(|address| (address, State::Waiting { at: now, failures: 0 })).collect(),
            online: true,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Wants `address` too, now; an address that waits is tried at once. False when the limit refuses it.
    pub fn add(&mut self, address: String, now: Timestamp) -> bool {
        let full = self.wanted.len() >= MAX_ADDRESSES;
        match self.wanted.get_mut(&address) {
            Some(state @ State::Waiting { .. }) => *state = State::Waiting { at: now, failures: 0 },
            Some(_) => {}
            None if full => return false,
            None => {
                self.wanted.insert(address, State::Waiting { at: now, failures: 0 });
            }
        }
        true
    }

    /// Whether a connection made by this dial lives.
    pub fn is_connected(&self, address: &str) -> bool {
        self.wanted.get(address) == Some(&State::Connected)
    }

    /// The next address to dial, if its time has come.
    pub fn poll_dial(&mut self, now: Timestamp) -> Option<String> {
        if !self.online {
            return None;
        }
        self.wanted.iter_mut().find_map(|(address, state)| match *state {
            State::Waiting { at, failures } if at <= now => {
                *state = State::Dialing { failures };
                Some(address.clone())
            }
            _ => None,
        })
    }

    /// When to call [`Dialer::poll_dial`] again.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let waiting = self.wanted.values().filter_map(|state| match state {
            State::Waiting { at, .. } => Some(*at),
            State::Dialing { .. } | State::Connected => None,
        });
        waiting.min().filter(|_| self.online)
    }

    /// The dial ended in a connection.
    pub fn connected(&mut self, address: &str) {
        if let Some(state) = self.wanted.get_mut(address) {
            *state = State::Connected;
        }
    }

    /// The dial ended without one.
    pub fn failed(&mut self, address: &str, now: Timestamp) {
        let failures = match self.wanted.get(address) {
            Some(State::Dialing { failures } | State::Waiting { failures, .. }) => failures.saturating_add(1),
            Some(State::Connected) | None => return,
        };
        let at = now + self.pause(failures);
        self.wanted.insert(address.to_owned(), State::Waiting { at, failures });
    }

    /// A connection made by this dial is gone.
    pub fn lost(&mut self, address: &str, now: Timestamp) {
        let at = now + self.pause(1);
        if let Some(state @ State::Connected) = self.wanted.get_mut(address) {
            *state = State::Waiting { at, failures: 1 };
        }
    }

    /// Stops dialing, or starts again with every address at once.
    pub fn set_online(&mut self, online: bool, now: Timestamp) {
        self.online = online;
        for state in self.wanted.values_mut() {
            *state = State::Waiting { at: now, failures: 0 };
        }
    }

    /// Doubling from [`FIRST_PAUSE`] to [`LONGEST_PAUSE`], with a quarter of jitter so that tabs do not return in step.
    fn pause(&mut self, failures: u32) -> Duration {
        let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10));
        doubled.min(LONGEST_PAUSE).mul_f64(self.rng.random_range(0.75..1.25))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "/ip4/127.0.0.1/tcp/1/ws";

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn failures_pause_longer_and_longer_up_to_a_bound() {
        let mut dialer = Dialer::new([A.to_owned()], 1);
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert_eq!(dialer.poll_dial(now).as_deref(), Some(A));
            assert_eq!(dialer.poll_dial(now), None, "one dial at a time");
            dialer.failed(A, now);
            let next = dialer.poll_timeout().expect("still wanted");
            pauses.push(next.since(now));
            now = next;
        }
        assert!(pauses[0] < Duration::from_secs(1) && pauses[3] > pauses[0]);
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE.mul_f64(1.25)));
    }

    #[test]
    fn a_lost_connection_is_dialed_again_and_a_live_one_is_not() {
        let mut dialer = Dialer::new([A.to_owned()], 2);
        assert!(dialer.poll_dial(at(0)).is_some());
        dialer.connected(A);
        assert_eq!((dialer.poll_timeout(), dialer.poll_dial(at(1_000_000))), (None, None));
        dialer.lost(A, at(10));
        let next = dialer.poll_timeout().expect("wanted again");
        assert_eq!(dialer.poll_dial(next).as_deref(), Some(A));
    }

    #[test]
    fn offline_dials_nothing_and_online_dials_at_once() {
        let mut dialer = Dialer::new([A.to_owned()], 3);
        dialer.set_online(false, at(5));
        assert_eq!((dialer.poll_dial(at(9)), dialer.poll_timeout()), (None, None));
        dialer.set_online(true, at(10));
        assert_eq!(dialer.poll_dial(at(10)).as_deref(), Some(A));
    }

    #[test]
    fn the_number_of_addresses_is_bounded() {
        let mut dialer = Dialer::new((0..2 * MAX_ADDRESSES).map(|n| n.to_string()), 4);
        assert!(!dialer.add("one more".into(), at(0)));
        assert_eq!(std::iter::from_fn(|| dialer.poll_dial(at(0))).count(), MAX_ADDRESSES);
    }
}
