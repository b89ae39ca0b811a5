//! At which relays to keep a slot, so that a peer that cannot be dialled is reached (libp2p/specs `relay/circuit-v2.md`).
//!
//! Every connected peer that offers to relay is a candidate; the first [`Slots::new`]'s `wanted` of them are asked. A relay that
//! refuses is asked again later; one that is gone makes place for the next.

use std::{collections::BTreeMap, time::Duration};

use crate::{PeerId, Timestamp};

/// Before a relay that refused is asked again.
pub const PAUSE: Duration = Duration::from_secs(10);
/// The most relays known at once.
pub const MAX_OFFERS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// May be asked from then on.
    Free(Timestamp),
    /// Asked, or granted.
    Held,
}

/// Slots at relays. The driver asks whom [`Slots::poll_reserve`] names.
#[derive(Debug)]
pub struct Slots {
    wanted: usize,
    relays: BTreeMap<PeerId, (String, State)>,
}

impl Slots {
    /// Wants so many slots.
    pub fn new(wanted: usize) -> Self {
        Self { wanted, relays: BTreeMap::new() }
    }

    /// A connected peer relays; it is reached at `address`.
    pub fn offered(&mut self, relay: PeerId, address: String, now: Timestamp) {
        if self.wanted > 0 && self.relays.len() < MAX_OFFERS {
            self.relays.entry(relay).or_insert((address, State::Free(now)));
        }
    }

    /// A relay is not connected any more.
    pub fn disconnected(&mut self, relay: &PeerId) {
        self.relays.remove(relay);
    }

    /// A slot was refused or ended.
    pub fn ended(&mut self, relay: &PeerId, now: Timestamp) {
        if let Some((_, state)) = self.relays.get_mut(relay) {
            *state = State::Free(now + PAUSE);
        }
    }

    /// A relay to ask for a slot now, and its address; it counts as held until [`Slots::ended`].
    pub fn poll_reserve(&mut self, now: Timestamp) -> Option<(PeerId, String)> {
        if self.held() >= self.wanted {
            return None;
        }
        let due = |state: &State| matches!(state, State::Free(at) if *at <= now);
        let (relay, (address, state)) = self.relays.iter_mut().find(|(_, (_, state))| due(state))?;
        *state = State::Held;
        Some((*relay, address.clone()))
    }

    /// When to call [`Slots::poll_reserve`] again.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let free = self.relays.values().filter_map(|(_, state)| match state {
            State::Free(at) => Some(*at),
            State::Held => None,
        });
        free.min().filter(|_| self.held() < self.wanted)
    }

    fn held(&self) -> usize {
        self.relays.values().filter(|(_, state)| *state == State::Held).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(number: u8) -> PeerId {
        PeerId::from_public_key([number; 32])
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn asked(slots: &mut Slots, now: Timestamp) -> Vec<PeerId> {
        std::iter::from_fn(|| slots.poll_reserve(now).map(|(relay, _)| relay)).collect()
    }

    #[test]
    fn so_many_relays_are_asked_and_another_when_one_is_gone() {
        let mut slots = Slots::new(2);
        for number in 1..=3 {
            slots.offered(relay(number), format!("/{number}"), at(0));
        }
        let held = asked(&mut slots, at(0));
        assert_eq!((held.len(), slots.poll_timeout()), (2, None));
        slots.disconnected(&held[0]);
        let next = asked(&mut slots, at(1));
        assert!(next.len() == 1 && !held.contains(&next[0]));
    }

    #[test]
    fn who_refuses_is_asked_again_later() {
        let mut slots = Slots::new(1);
        slots.offered(relay(1), "/a".into(), at(0));
        assert_eq!(slots.poll_reserve(at(0)), Some((relay(1), "/a".into())));
        slots.ended(&relay(1), at(5));
        assert_eq!((slots.poll_reserve(at(6)), slots.poll_timeout()), (None, Some(at(10_005))));
        assert!(slots.poll_reserve(at(10_005)).is_some());
        slots.offered(relay(1), "/b".into(), at(10_006));
        assert_eq!(slots.poll_reserve(at(99_000)), None, "offered twice is held once");
    }

    #[test]
    fn a_peer_that_wants_none_has_none_and_a_crowd_is_bounded() {
        let mut none = Slots::new(0);
        none.offered(relay(1), "/a".into(), at(0));
        assert_eq!((none.poll_reserve(at(0)), none.poll_timeout()), (None, None));
        let mut slots = Slots::new(MAX_OFFERS * 2);
        for number in 0..=255 {
            slots.offered(relay(number), String::new(), at(0));
        }
        assert_eq!(asked(&mut slots, at(0)).len(), MAX_OFFERS);
    }
}
