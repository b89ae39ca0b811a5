use std::{collections::BTreeMap, collections::VecDeque, time::Duration};

use crate::{PeerId, Timestamp};

/// The most negotiations that others began and that are under way at once.
pub const MAX_NEGOTIATIONS: usize = 64;
/// Of one peer. Two, so that one that is given up does not stand in the way of the next.
pub const MAX_PER_PEER: usize = 2;
/// The most that one peer may begin in a minute.
pub const MAX_PER_MINUTE: usize = 12;

const MINUTE: Duration = Duration::from_secs(60);
/// The most peers whose past is remembered.
const MAX_REMEMBERED: usize = 1024;

/// Who may begin a negotiation: each costs a peer connection, which browsers have few of.
#[derive(Debug, Default)]
pub struct Admission {
    peers: BTreeMap<PeerId, Record>,
    open: usize,
}

#[derive(Debug, Default)]
struct Record {
    open: usize,
    /// When the last ones began, at most [`MAX_PER_MINUTE`].
    begun: VecDeque<Timestamp>,
}

/// Why a negotiation was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// In all.
    #[error("{MAX_NEGOTIATIONS} connections are being made already")]
    Full,
    /// Of this peer.
    #[error("{MAX_PER_PEER} connections with this peer are being made already")]
    PeerBusy,
    /// Too often.
    #[error("this peer began {MAX_PER_MINUTE} connections within a minute")]
    TooOften,
}

impl Admission {
    /// Asks for a place; it is given back by [`Admission::end`].
    pub fn begin(&mut self, peer: PeerId, now: Timestamp) -> Result<(), Refused> {
        if self.open >= MAX_NEGOTIATIONS {
            return Err(Refused::Full);
        }
        if !self.peers.contains_key(&peer) && self.peers.len() >= MAX_REMEMBERED {
            self.forget(now);
        }
        let record = self.peers.entry(peer).or_default();
        while record.begun.front().is_some_and(|begun| now.since(*begun) >= MINUTE) {
            record.begun.pop_front();
        }
        if record.open >= MAX_PER_PEER {
            return Err(Refused::PeerBusy);
        }
        if record.begun.len() >= MAX_PER_MINUTE {
            return Err(Refused::TooOften);
        }
        record.begun.push_back(now);
        record.open += 1;
        self.open += 1;
        Ok(())
    }

    /// A negotiation with this peer has ended, however.
    pub fn end(&mut self, peer: &PeerId) {
        if let Some(record) = self.peers.get_mut(peer).filter(|record| record.open > 0) {
            record.open -= 1;
            self.open -= 1;
        }
    }

    /// Drops peers without a negotiation: those whose minute is over, and if none is, the one that was quiet the longest.
    fn forget(&mut self, now: Timestamp) {
        let quiet = |record: &Record| record.open == 0;
        self.peers
            .retain(|_, record| !quiet(record) || record.begun.back().is_some_and(|begun| now.since(*begun) < MINUTE));
        if self.peers.len() >= MAX_REMEMBERED {
            let oldest =
                self.peers.iter().filter(|(_, record)| quiet(record)).min_by_key(|(_, record)| record.begun.back());
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.peers.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u64) -> PeerId {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        PeerId::from_public_key(key)
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn each_peer_has_its_share() {
        let mut admission = Admission::default();
        for _ in 0..MAX_PER_PEER {
            admission.begin(peer(1), at(0)).unwrap();
        }
        assert_eq!(admission.begin(peer(1), at(0)), Err(Refused::PeerBusy));
        admission.begin(peer(2), at(0)).unwrap();
        admission.end(&peer(1));
        admission.begin(peer(1), at(0)).unwrap();
    }

    #[test]
    fn all_together_are_bounded() {
        let mut admission = Admission::default();
        for number in 0..MAX_NEGOTIATIONS as u64 {
            admission.begin(peer(number), at(0)).unwrap();
        }
        assert_eq!(admission.begin(peer(1000), at(0)), Err(Refused::Full));
        admission.end(&peer(1000));
        assert_eq!(admission.begin(peer(1000), at(0)), Err(Refused::Full), "ending what never began frees nothing");
        admission.end(&peer(3));
        admission.begin(peer(1000), at(0)).unwrap();
    }

    #[test]
    fn who_comes_again_and_again_has_to_wait() {
        let mut admission = Admission::default();
        for _ in 0..MAX_PER_MINUTE {
            admission.begin(peer(1), at(1000)).unwrap();
            admission.end(&peer(1));
        }
        assert_eq!(admission.begin(peer(1), at(60_999)), Err(Refused::TooOften));
        admission.begin(peer(1), at(61_000)).unwrap();
    }

    #[test]
    fn a_crowd_is_not_remembered() {
        let mut admission = Admission::default();
        for number in 0..3 * MAX_REMEMBERED as u64 {
            admission.begin(peer(number), at(number)).unwrap();
            admission.end(&peer(number));
        }
        assert!(admission.peers.len() <= MAX_REMEMBERED);
        assert_eq!(admission.open, 0);
    }
}
