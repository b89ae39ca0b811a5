//! Who may be in a room.
//!
//! A node may ask for grants and names the issuers whose grants it takes. A room is *gated* for a peer once one of the nodes that it
//! chose to connect to asks (what a stranger asks for gates nothing), or once it joined with a grant itself. It stays so until the peer
//! leaves: that the node is gone opens no room. In a gated room whoever shows a grant of an issuer that counts is a member, and this
//! peer too is one only as long as it has such a grant. The issuers that count are those that any of the nodes named since the room was
//! joined; before any did, that of the peer's own grant.

use std::collections::BTreeSet;

use super::{
    RoomError, RoomId,
    grant::{Grant, GrantError, Granted},
};
use crate::{PeerId, Timestamp};

/// The most issuers that a node names.
pub const MAX_ISSUERS: usize = 8;
/// The most issuers that count in a room, whoever named them; further ones are not heard.
pub(super) const MAX_COUNTED: usize = 64;

/// A room that this peer is in, and by what.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    pub grant: Option<Grant>,
    asked: BTreeSet<PeerId>,
}

impl Gate {
    /// Hears whose grants are asked for now. Whether that changes anything.
    pub fn ask(&mut self, issuers: &BTreeSet<PeerId>) -> bool {
        let before = self.asked.len();
        let free = MAX_COUNTED.saturating_sub(before);
        let new: Vec<PeerId> = issuers.difference(&self.asked).take(free).copied().collect();
        self.asked.extend(new);
        self.asked.len() != before
    }

    /// Whether it takes a grant to be in.
    pub fn is_closed(&self) -> bool {
        !self.asked.is_empty() || self.grant.is_some()
    }

    /// Whether somebody who claims to be in the room, and shows these grants, is in.
    pub fn admits(&self, room: &RoomId, granted: &[Granted], now: Timestamp) -> bool {
        let good = |one: &Granted| one.room == *room && self.counts(&one.issuer) && one.holds(now);
        !self.is_closed() || granted.iter().any(good)
    }

    /// Whether this peer may be in, and go on to be.
    pub fn admits_self(&self, now: Timestamp) -> Result<(), RoomError> {
        match &self.grant {
            None if self.asked.is_empty() => Ok(()),
            None => Err(RoomError::NoGrant),
            Some(grant) if !self.counts(&grant.issuer) => Err(GrantError::UnknownIssuer(grant.issuer).into()),
            Some(grant) if now >= grant.until() => Err(GrantError::Expired.into()),
            Some(_) => Ok(()),
        }
    }

    fn counts(&self, issuer: &PeerId) -> bool {
        if self.asked.is_empty() {
            self.grant.as_ref().is_some_and(|grant| grant.issuer == *issuer)
        } else {
            self.asked.contains(issuer)
        }
    }
}
