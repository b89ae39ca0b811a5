//! The keys of a record that this build knows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Digest, PeerId, ShapeClass, Tier,
    model::{MAX_MODEL_NAME, is_model_name},
    rooms::{GRANT_BYTES, Grant, MAX_ISSUERS, MAX_ROOMS, RoomId},
    wire::clip,
};

/// The most models that a node offers.
pub const MAX_OFFERS: usize = 64;
/// The most times of models by class that a node states, all models together.
pub const MAX_TIMES: usize = 256;
/// The most addresses that a node states.
pub const MAX_ADDRESSES: usize = 16;
/// The longest address or URL, in bytes.
const MAX_ADDRESS_BYTES: usize = 256;
/// The longest agent text, in bytes.
const MAX_AGENT_BYTES: usize = 64;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Where it stands, from its own point of view.
    pub tier: Tier,
    /// Software and version.
    pub agent: String,
    /// Multiaddresses that it can be reached at.
    pub addresses: Vec<String>,
    /// Base URL of its HTTP API.
    pub http: Option<String>,
    /// Whether it runs models for others.
    pub serves: bool,
    /// Model runs that it does at the same time.
    pub slots: u32,
    /// Model runs that it has taken and not finished.
    pub queue: u32,
    /// The models that it holds.
    pub models: Vec<Offer>,
    /// The rooms that it is in.
    pub rooms: Vec<RoomId>,
    /// By what it is in them; nobody has looked yet whether they hold.
    pub grants: Vec<Grant>,
    /// Whose grants it asks of whoever is in a room; none when it does not.
    pub issuers: Vec<PeerId>,
}

/// A model that a node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What callers say.
    pub name: String,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Whether it is in memory.
    pub loaded: bool,
    /// Smoothed time in the engine, in microseconds, once measured; whatever the input.
    pub service_us: Option<u32>,
    /// The same by class of the input, in ascending order. On the wire these have a key of their own.
    #[serde(skip)]
    pub times: Vec<(ShapeClass, u32)>,
}

/// A time on the wire: the place of the model among the offers, the class, microseconds.
type Time = (u8, ShapeClass, u32);

impl Default for Profile {
    fn default() -> Self {
        Self {
            tier: Tier::Device,
            agent: String::new(),
            addresses: Vec::new(),
            http: None,
            serves: false,
            slots: 1,
            queue: 0,
            models: Vec::new(),
            rooms: Vec::new(),
            grants: Vec::new(),
            issuers: Vec::new(),
        }
    }
}

impl Profile {
    /// The offer of this model.
    pub fn offer(&self, model: &Digest) -> Option<&Offer> {
        self.models.iter().find(|offer| offer.digest == *model)
    }

    /// As key-values, cut to the bounds: loaded models first.
    pub fn to_entries(&self) -> BTreeMap<String, Vec<u8>> {
        let fits = |text: &&String| text.len() <= MAX_ADDRESS_BYTES;
        let addresses: Vec<&String> = self.addresses.iter().filter(fits).take(MAX_ADDRESSES).collect();
        let mut models: Vec<&Offer> = self.models.iter().filter(|offer| is_model_name(&offer.name)).collect();
        models.sort_by_key(|offer| (!offer.loaded, &offer.name, offer.digest));
        models.truncate(MAX_OFFERS);
        let times = models
            .iter()
            .zip(0u8..)
            .flat_map(|(offer, place)| offer.times.iter().map(move |(class, micros)| (place, *class, *micros)));
        let times: Vec<Time> = times.take(MAX_TIMES).collect();
        let mut entries = BTreeMap::from([
            ("tier".to_owned(), value(&self.tier)),
            ("agent".to_owned(), value(&clip(&self.agent, MAX_AGENT_BYTES))),
            ("addresses".to_owned(), value(&addresses)),
            ("http".to_owned(), value(&self.http.as_ref().filter(fits))),
            ("serves".to_owned(), value(&self.serves)),
            ("slots".to_owned(), value(&self.slots)),
            ("queue".to_owned(), value(&self.queue)),
            ("models".to_owned(), value(&models)),
        ]);
        // Absent where there are none.
        if !self.rooms.is_empty() {
            entries.insert("rooms".to_owned(), value(&self.rooms[..self.rooms.len().min(MAX_ROOMS)]));
        }
        if !self.grants.is_empty() {
            let grants: Vec<Vec<u8>> = self.grants.iter().take(MAX_ROOMS).map(|one| one.to_bytes().to_vec()).collect();
            entries.insert("grants".to_owned(), value(&grants));
        }
        if !self.issuers.is_empty() {
            entries.insert("issuers".to_owned(), value(&self.issuers[..self.issuers.len().min(MAX_ISSUERS)]));
        }
        if !times.is_empty() {
            entries.insert("times".to_owned(), value(&times));
        }
        entries
    }

    /// From key-values: absent keys take their default, unknown ones are ignored, a known one with a malformed value
    /// is the error.
    pub(super) fn from_entries(entries: &BTreeMap<String, Vec<u8>>) -> Result<Self, &'static str> {
        let default = Self::default();
        let mut profile = Self {
            tier: parse(entries, "tier")?.unwrap_or(default.tier),
            agent: parse(entries, "agent")?.unwrap_or(default.agent),
            addresses: parse(entries, "addresses")?.unwrap_or(default.addresses),
            http: parse(entries, "http")?.unwrap_or(default.http),
            serves: parse(entries, "serves")?.unwrap_or(default.serves),
            slots: parse(entries, "slots")?.unwrap_or(default.slots),
            queue: parse(entries, "queue")?.unwrap_or(default.queue),
            models: parse(entries, "models")?.unwrap_or(default.models),
            rooms: parse(entries, "rooms")?.unwrap_or(default.rooms),
            grants: grants(entries)?,
            issuers: parse(entries, "issuers")?.unwrap_or(default.issuers),
        };
        profile.check()?;
        let times: Vec<Time> = parse(entries, "times")?.unwrap_or_default();
        if times.len() > MAX_TIMES {
            return Err("times");
        }
        for (place, class, micros) in times {
            profile.models.get_mut(usize::from(place)).ok_or("times")?.times.push((class, micros));
        }
        for offer in &mut profile.models {
            offer.times.sort_unstable();
        }
        Ok(profile)
    }

    fn check(&self) -> Result<(), &'static str> {
        let address = |text: &String| text.len() <= MAX_ADDRESS_BYTES;
        let rules = [
            ("agent", self.agent.len() <= MAX_AGENT_BYTES),
            ("addresses", self.addresses.len() <= MAX_ADDRESSES && self.addresses.iter().all(address)),
            ("http", self.http.iter().all(address)),
            ("rooms", self.rooms.len() <= MAX_ROOMS),
            ("issuers", self.issuers.len() <= MAX_ISSUERS),
            ("models", self.models.len() <= MAX_OFFERS && self.models.iter().all(|o| is_model_name(&o.name))),
        ];
        rules.into_iter().find(|(_, holds)| !holds).map_or(Ok(()), |(key, _)| Err(key))
    }
}

// The largest value of the largest key stays within its bound.
const _: () = assert!(MAX_OFFERS * (MAX_MODEL_NAME + 1 + 32 + 10 + 1 + 6) <= super::MAX_VALUE_BYTES);
const _: () = assert!(MAX_TIMES * (1 + 1 + 5) + 2 <= super::MAX_VALUE_BYTES);
const _: () = assert!(MAX_OFFERS <= 1 << 8);
const _: () = assert!(MAX_ROOMS * (GRANT_BYTES + 2) < super::MAX_VALUE_BYTES);
const _: () = assert!(MAX_ADDRESSES * (MAX_ADDRESS_BYTES + 2) <= super::MAX_VALUE_BYTES);

fn value<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("profiles have known lengths")
}

fn grants(entries: &BTreeMap<String, Vec<u8>>) -> Result<Vec<Grant>, &'static str> {
    let grants: Vec<Vec<u8>> = parse(entries, "grants")?.unwrap_or_default();
    if grants.len() > MAX_ROOMS {
        return Err("grants");
    }
    grants.iter().map(|bytes| Grant::from_bytes(bytes).map_err(|_| "grants")).collect()
}

fn parse<T: DeserializeOwned>(
    entries: &BTreeMap<String, Vec<u8>>,
    key: &'static str,
) -> Result<Option<T>, &'static str> {
    let Some(bytes) = entries.get(key) else { return Ok(None) };
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(Some(value)),
        _ => Err(key),
    }
}
