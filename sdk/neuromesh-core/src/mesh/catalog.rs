//! Who is there, and who holds what.

use std::{cmp::Ordering, collections::BTreeMap, time::Duration};

use super::{Event, Mesh, ModelInfo, Path, PeerInfo};
use crate::{
    Digest, PeerId, ShapeClass, Tier, Timestamp,
    presence::{Offer, Profile},
    router::Source,
};

impl Mesh {
    /// Every other peer that is heard of through presence, connected or not.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.shown_peers.values().cloned().collect()
    }

    /// Another peer, if it is heard of.
    pub fn peer(&self, id: &PeerId) -> Option<&PeerInfo> {
        self.shown_peers.get(id)
    }

    /// Every model that this peer or another one holds, by name.
    pub fn models(&self) -> Vec<ModelInfo> {
        let mut models: BTreeMap<Digest, ModelInfo> = BTreeMap::new();
        for (digest, held) in &self.held {
            let info = ModelInfo {
                name: held.name.clone(),
                digest: *digest,
                size: held.bytes,
                local: true,
                loaded: held.loaded,
                holders: Vec::new(),
            };
            models.insert(*digest, info);
        }
        for (peer, profile) in self.presence.nodes() {
            for offer in &profile.models {
                let info = models.entry(offer.digest).or_insert_with(|| ModelInfo {
                    name: offer.name.clone(),
                    digest: offer.digest,
                    size: offer.bytes,
                    local: false,
                    loaded: false,
                    holders: Vec::new(),
                });
                info.holders.push(*peer);
            }
        }
        let mut models: Vec<ModelInfo> = models.into_values().collect();
        models.sort_by(|a, b| a.name.cmp(&b.name).then(a.digest.cmp(&b.digest)));
        models
    }

    /// The model that callers mean by `name`: a digest means itself when anybody holds it; a name means the model that
    /// this peer holds under it, else the one that most peers offer under it, else the one with the smallest digest.
    pub fn resolve(&self, name: &str) -> Option<Digest> {
        if let Ok(digest) = name.parse::<Digest>() {
            let offered = || self.presence.nodes().any(|(_, profile)| profile.offer(&digest).is_some());
            return (self.held.contains_key(&digest) || offered()).then_some(digest);
        }
        if let Some((digest, _)) = self.held.iter().find(|(_, held)| held.name == name) {
            return Some(*digest);
        }
        let mut votes: BTreeMap<Digest, usize> = BTreeMap::new();
        for (_, profile) in self.presence.nodes() {
            for offer in profile.models.iter().filter(|offer| offer.name == name) {
                *votes.entry(offer.digest).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(digest, votes)| (*votes, std::cmp::Reverse(*digest))).map(|(digest, _)| digest)
    }

    /// The connected peers from which a model's files can be fetched, nearest first.
    pub fn holders(&self, model: &Digest) -> Vec<PeerId> {
        let offers = |peer: &&PeerId| self.presence.profile(peer).is_some_and(|p| p.offer(model).is_some());
        let mut holders: Vec<PeerId> = self.links.keys().filter(offers).copied().collect();
        // A relayed path costs somebody else's bandwidth.
        let far = |peer: &PeerId| (self.links[peer] == Path::Relayed, self.router.rtt(peer).unwrap_or_default());
        holders.sort_by(|a, b| far(a).partial_cmp(&far(b)).unwrap_or(Ordering::Equal).then(a.cmp(b)));
        holders
    }

    /// How far this peer is from running a model.
    pub(super) fn own_source(&self, model: &Digest) -> Source {
        match self.held.get(model) {
            Some(held) if held.loaded => Source::Loaded,
            Some(_) => Source::Held,
            None if !self.holders(model).is_empty() => Source::Fetch,
            None => Source::Missing,
        }
    }

    pub(super) fn model_bytes(&self, model: &Digest) -> u64 {
        let offered = || self.presence.nodes().find_map(|(_, profile)| Some(profile.offer(model)?.bytes));
        self.held.get(model).map(|held| held.bytes).or_else(offered).unwrap_or(0)
    }

    /// What runs here take, by class: as seen in requests, else as the engine remembers.
    pub(super) fn own_times(&self, model: &Digest) -> BTreeMap<ShapeClass, Duration> {
        let remembered = self.held.get(model).into_iter().flat_map(|held| held.times.iter().copied());
        remembered.chain(self.router.services(model, &self.me)).collect()
    }

    pub(super) fn own_profile(&self) -> Profile {
        let offer = |(digest, held): (&Digest, &super::Held)| Offer {
            name: held.name.clone(),
            digest: *digest,
            bytes: held.bytes,
            loaded: held.loaded,
            service_us: self.router.service(digest, &self.me).map(|time| coarse(time.as_micros())),
            times: self.own_times(digest).into_iter().map(|(class, time)| (class, coarse(time.as_micros()))).collect(),
        };
        Profile {
            tier: self.config.tier,
            agent: self.config.agent.clone(),
            addresses: self.listening.addresses.clone(),
            http: self.listening.http.clone(),
            serves: self.config.serves || self.room_names.values().any(|room| room.serves),
            slots: self.config.limits.slots,
            queue: u32::try_from(self.tasks.len()).unwrap_or(u32::MAX),
            models: self.held.iter().map(offer).collect(),
            rooms: self.rooms.joined().collect(),
            grants: self.rooms.grants().cloned().collect(),
            issuers: self.config.room_issuers.clone(),
        }
    }

    /// Tells listeners when what they see of a peer changed.
    pub(super) fn refresh_peer(&mut self, now: Timestamp, peer: PeerId) {
        self.models_stale = true;
        self.asking_stale |= self.chosen.contains(&peer);
        match self.presence.profile(&peer) {
            Some(profile) => {
                self.rooms.seen(peer, &profile.rooms, self.presence.granted(&peer), &profile.addresses);
            }
            None => self.rooms.gone(&peer),
        }
        let event = match (self.peer_info(now, &peer), self.shown_peers.get(&peer)) {
            (None, None) => {
                if !self.links.contains_key(&peer) {
                    self.router.forget(&peer);
                }
                return;
            }
            (None, Some(_)) => {
                self.shown_peers.remove(&peer);
                self.router.forget(&peer);
                Event::PeerDown(peer)
            }
            (Some(info), Some(shown)) if info == *shown => return,
            (Some(info), shown) => {
                let event = if shown.is_none() { Event::PeerUp } else { Event::PeerChanged };
                self.shown_peers.insert(peer, info.clone());
                event(info)
            }
        };
        self.event(event);
    }

    pub(super) fn refresh_models(&mut self) {
        let models = self.models();
        if models != self.shown_models {
            self.shown_models = models;
            self.event(Event::ModelsChanged);
        }
    }

    fn peer_info(&self, now: Timestamp, peer: &PeerId) -> Option<PeerInfo> {
        // A connection alone makes no peer of the mesh: whoever hears of one can rely on what it offers.
        let profile = self.presence.profile(peer)?;
        let path = self.links.get(peer).copied();
        let times = profile.models.iter().filter_map(|offer| {
            let measured = self.router.service(&offer.digest, peer).map(|time| coarse(time.as_micros()));
            Some((offer.name.clone(), f64::from(measured.or(offer.service_us)?) / 1e3))
        });
        let mut models: Vec<String> = profile.models.iter().map(|offer| offer.name.clone()).collect();
        models.sort();
        models.dedup();
        Some(PeerInfo {
            id: *peer,
            tier: seen_as(profile.tier),
            rtt_ms: self.router.rtt(peer).map(|rtt| f64::from(coarse(rtt.as_micros())) / 1e3),
            connected: path.is_some(),
            path: path.unwrap_or_default(),
            agent: profile.agent.clone(),
            models,
            queue: profile.queue,
            service_ms: times.collect(),
            addresses: profile.addresses.clone(),
            http: profile.http.clone(),
            rooms: self.shared_rooms(now, peer),
        })
    }
}

/// Another device is a peer.
pub(super) fn seen_as(tier: Tier) -> Tier {
    if tier == Tier::Device { Tier::Peer } else { tier }
}

/// Two significant digits: what jitters below that is no news.
fn coarse(micros: u128) -> u32 {
    let micros = u32::try_from(micros).unwrap_or(u32::MAX);
    let mut unit = 1;
    while micros / unit >= 100 {
        unit *= 10;
    }
    micros / unit * unit
}
