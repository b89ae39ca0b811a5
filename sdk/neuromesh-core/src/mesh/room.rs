//! Rooms, as callers see them.

use std::collections::BTreeSet;

use super::{Mesh, Output};
use crate::{
    PeerId, Timestamp,
    rooms::{self, MAX_ROOM_NAME, MAX_ROOMS, RoomId},
};

/// A room that this peer is in.
#[derive(Clone, Debug)]
pub(super) struct Joined {
    name: String,
    /// Whether it runs models for the room's members.
    pub serves: bool,
}

/// Why a room was not joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoomError {
    /// The name is empty or over its bound.
    #[error("a room's name has 1 to {MAX_ROOM_NAME} bytes")]
    Name,
    /// In too many.
    #[error("over the limit of {MAX_ROOMS} rooms; leave one first")]
    TooMany,
}

impl Mesh {
    /// Joins a room, or changes whether models are run for its members: those that are not connected yet are dialled, and members
    /// may ask this peer when `serves` says so, whatever [`Config::serves`](super::Config::serves) does.
    ///
    /// # Errors
    /// [`RoomError`].
    pub fn join_room(&mut self, now: Timestamp, name: &str, serves: bool) -> Result<RoomId, RoomError> {
        if name.is_empty() || name.len() > MAX_ROOM_NAME {
            return Err(RoomError::Name);
        }
        let room = RoomId::of(name);
        if !self.rooms.join(room) {
            return Err(RoomError::TooMany);
        }
        self.room_names.insert(room, Joined { name: name.to_owned(), serves });
        self.rooms_changed(now);
        Ok(room)
    }

    /// Leaves a room; connections that no other room needs are closed after a while.
    pub fn leave_room(&mut self, now: Timestamp, name: &str) {
        let room = RoomId::of(name);
        self.rooms.leave(&room);
        self.room_names.remove(&room);
        self.rooms_changed(now);
    }

    fn rooms_changed(&mut self, now: Timestamp) {
        self.profile_stale = true;
        let known: Vec<PeerId> = self.presence.nodes().map(|(peer, _)| *peer).collect();
        known.into_iter().for_each(|peer| self.refresh_peer(peer));
        self.on_time(now);
    }

    /// Names of those of a peer's rooms that this peer is in, too.
    pub(super) fn shared_rooms(&self, rooms: &[RoomId]) -> Vec<String> {
        let mut names: Vec<_> =
            rooms.iter().filter_map(|room| self.room_names.get(room)).map(|joined| joined.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    pub(super) fn serves_in_a_room(&self, peer: &PeerId) -> bool {
        let rooms = self.presence.profile(peer).map(|profile| profile.rooms.as_slice()).unwrap_or_default();
        rooms.iter().filter_map(|room| self.room_names.get(room)).any(|joined| joined.serves)
    }

    pub(super) fn wake_rooms(&mut self, now: Timestamp) {
        let asked: BTreeSet<PeerId> = self.asking.values().map(|asking| asking.peer).collect();
        let serving: BTreeSet<PeerId> = self.serving.values().map(|serving| serving.peer).collect();
        let busy = |peer: &PeerId| asked.contains(peer) || serving.contains(peer);
        while let Some(output) = self.rooms.poll_output(now, busy) {
            self.outputs.push_back(match output {
                rooms::Output::Dial(peer, address) => Output::Dial { peer, address },
                rooms::Output::Drop(peer) => Output::Disconnect { peer },
            });
        }
    }
}
