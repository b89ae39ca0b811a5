//! Rooms, as callers see them.

use std::collections::BTreeSet;

use super::{Event, Mesh, Output};
use crate::{
    PeerId, Timestamp,
    rooms::{self, Grant, MAX_ROOM_NAME, RoomError, RoomId},
};

/// The most peers remembered as chosen; a connection to a further one takes the place of one that is not connected.
const MAX_CHOSEN: usize = 64;

/// A room that this peer is in.
#[derive(Clone, Debug)]
pub(super) struct Joined {
    name: String,
    /// Whether it runs models for the room's members.
    pub serves: bool,
}

impl Mesh {
    /// Joins a room, or changes whether models are run for its members, or goes on with a newer grant; without one, the grant that it
    /// was joined with stays. Members that are not connected yet are dialled, and may ask this peer when `serves` says so, whatever
    /// [`Config::serves`](super::Config::serves) does.
    ///
    /// Where a node that this peer chose to connect to asks for grants ([`Config::room_issuers`](super::Config::room_issuers)), only
    /// those count as members who show one, this peer too. What a node asks for is known once its presence has come: a room that was
    /// joined before, and one whose grant expires, ends with [`Event::RoomClosed`].
    ///
    /// # Errors
    /// [`RoomError`]; nothing has changed then.
    pub fn join_room(
        &mut self,
        now: Timestamp,
        name: &str,
        serves: bool,
        grant: Option<Grant>,
    ) -> Result<RoomId, RoomError> {
        if name.is_empty() || name.len() > MAX_ROOM_NAME {
            return Err(RoomError::Name);
        }
        self.hear_asking(now);
        let room = RoomId::of(name);
        self.rooms.join(now, room, grant)?;
        self.room_names.insert(room, Joined { name: name.to_owned(), serves });
        self.rooms_changed(now);
        self.on_time(now);
        Ok(room)
    }

    /// Leaves a room; connections that no other room needs are closed after a while.
    pub fn leave_room(&mut self, now: Timestamp, name: &str) {
        let room = RoomId::of(name);
        self.rooms.leave(&room);
        self.room_names.remove(&room);
        self.rooms_changed(now);
        self.on_time(now);
    }

    /// Whether a message of a room is to be heard: from anybody while it takes no grant to be in, else from members
    /// alone.
    pub fn hears(&self, now: Timestamp, room: &RoomId, from: Option<&PeerId>) -> bool {
        self.rooms.hears(room, from, now)
    }

    /// With whom alone to exchange messages of rooms while it takes a grant to be in one: members, and the nodes that this peer chose.
    /// With everybody, where it is none.
    pub fn gossips_with(&self, now: Timestamp) -> Option<BTreeSet<PeerId>> {
        self.rooms.is_gated().then(|| self.rooms.fellows(now).chain(self.chosen.iter().copied()).collect())
    }

    pub(super) fn on_chosen(&mut self, peer: PeerId) {
        if self.chosen.len() >= MAX_CHOSEN && !self.chosen.contains(&peer) {
            let Some(other) = self.chosen.iter().find(|other| !self.links.contains_key(other)).copied() else { return };
            self.chosen.remove(&other);
        }
        self.chosen.insert(peer);
        self.asking_stale = true;
    }

    fn rooms_changed(&mut self, now: Timestamp) {
        self.profile_stale = true;
        let known: Vec<PeerId> = self.presence.nodes().map(|(peer, _)| *peer).collect();
        known.into_iter().for_each(|peer| self.refresh_peer(now, peer));
    }

    /// Names of this peer's rooms that another one is a member of, too.
    pub(super) fn shared_rooms(&self, now: Timestamp, peer: &PeerId) -> Vec<String> {
        let joined = self.rooms.shared(peer, now).filter_map(|room| self.room_names.get(&room));
        let mut names: Vec<_> = joined.map(|joined| joined.name.clone()).collect();
        names.sort();
        names
    }

    pub(super) fn serves_in_a_room(&self, now: Timestamp, peer: &PeerId) -> bool {
        self.rooms.shared(peer, now).filter_map(|room| self.room_names.get(&room)).any(|joined| joined.serves)
    }

    /// Hears whose grants the nodes ask for: those that this peer chose, as what strangers ask for is nothing to it.
    fn hear_asking(&mut self, now: Timestamp) {
        if !std::mem::take(&mut self.asking_stale) {
            return;
        }
        let nodes = self.chosen.iter().filter(|peer| self.links.contains_key(peer));
        let named = nodes.filter_map(|peer| self.presence.profile(peer)).flat_map(|profile| &profile.issuers);
        let issuers: BTreeSet<PeerId> = named.chain(&self.config.room_issuers).copied().collect();
        if self.rooms.ask(issuers) {
            self.rooms_changed(now);
        }
    }

    pub(super) fn wake_rooms(&mut self, now: Timestamp) {
        self.hear_asking(now);
        let asked: BTreeSet<PeerId> = self.asking.values().map(|asking| asking.peer).collect();
        let serving: BTreeSet<PeerId> = self.serving.values().map(|serving| serving.peer).collect();
        let busy = |peer: &PeerId| asked.contains(peer) || serving.contains(peer);
        while let Some(output) = self.rooms.poll_output(now, busy) {
            match output {
                rooms::Output::Dial(peer, address) => self.outputs.push_back(Output::Dial { peer, address }),
                rooms::Output::Drop(peer) => self.outputs.push_back(Output::Disconnect { peer }),
                rooms::Output::Expired(peer) => self.refresh_peer(now, peer),
                rooms::Output::Closed(room, error) => {
                    if let Some(joined) = self.room_names.remove(&room) {
                        self.event(Event::RoomClosed { room, name: joined.name, error });
                    }
                    self.rooms_changed(now);
                }
            }
        }
    }
}
