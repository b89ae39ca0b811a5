//! A caller's question and the answer it gets.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Payload, PeerId, Receipt};

#[cfg(test)]
mod tests;

/// Where a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// The caller's own process.
    Device,
    /// Another tab or phone.
    Peer,
    /// A small server near the users.
    Edge,
    /// A large server.
    Cloud,
}

impl Tier {
    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Peer => "peer",
            Self::Edge => "edge",
            Self::Cloud => "cloud",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text names no tier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown tier {0:?}: expected device, peer, edge or cloud")]
pub struct TierError(String);

impl FromStr for Tier {
    type Err = TierError;

    fn from_str(text: &str) -> Result<Self, TierError> {
        [Self::Device, Self::Peer, Self::Edge, Self::Cloud]
            .into_iter()
            .find(|tier| tier.as_str() == text)
            .ok_or_else(|| TierError(text.chars().take(40).collect()))
    }
}

/// How far a request may travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Privacy {
    /// Any peer may see the input.
    #[default]
    Any,
    /// The input never leaves the caller's device.
    Device,
}

/// What a caller gives up for speed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Numerics {
    /// The same bits in every tier: the answer can be checked by running it again.
    #[default]
    Exact,
    /// The last bits may differ between machines, if that is faster. An exact answer will do as well.
    Fast,
}

impl Numerics {
    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Fast => "fast",
        }
    }

    fn is_exact(&self) -> bool {
        *self == Self::Exact
    }
}

impl fmt::Display for Numerics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text names no numerics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown numerics {0:?}: expected exact or fast")]
pub struct NumericsError(String);

impl FromStr for Numerics {
    type Err = NumericsError;

    fn from_str(text: &str) -> Result<Self, NumericsError> {
        let named = [Self::Exact, Self::Fast].into_iter().find(|numerics| numerics.as_str() == text);
        named.ok_or_else(|| NumericsError(text.chars().take(40).collect()))
    }
}

/// What the caller wants of the router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Options {
    /// Only candidates of this tier.
    pub tier: Option<Tier>,
    /// Prefer candidates of this tier while any of them works.
    pub prefer: Option<Tier>,
    /// Give up after this long; 30 s when absent.
    #[serde(rename = "deadlineMs", with = "millis")]
    pub deadline: Option<Duration>,
    /// How far the input may travel.
    pub privacy: Privacy,
    /// Whether the answer must be exact. Not written where it must.
    #[serde(skip_serializing_if = "Numerics::is_exact")]
    pub numerics: Numerics,
    /// Whether the caller wants [`Part`](crate::Part)s of the answer as they are made. Not written where it does not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stream: bool,
}

/// A model run that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The model's name or the hexadecimal digest of its manifest.
    pub model: String,
    /// What to run it on.
    pub input: Payload,
    /// What the caller wants of the router.
    pub options: Options,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What the model said.
    pub output: Payload,
    /// Who ran what, signed.
    pub receipt: Receipt,
    /// Why it ran there.
    pub route: Route,
}

/// The router's account of one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// The tier, from the caller's point of view, that answered.
    pub tier: Tier,
    /// The peer that answered.
    pub peer: PeerId,
    /// One sentence for people.
    pub reason: String,
    /// From request to answer, as the caller saw it.
    pub elapsed_ms: u64,
    /// Every candidate that was looked at for the last choice, best first.
    pub considered: Vec<Estimate>,
    /// Every try, in order; the last one answered.
    pub attempts: Vec<Attempt>,
}

/// What the router predicts for one candidate, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// The candidate.
    pub peer: PeerId,
    /// Its tier, from the caller's point of view.
    pub tier: Tier,
    /// Network round trip.
    pub rtt_ms: u32,
    /// Sending the input and receiving the output.
    pub ship_ms: u32,
    /// Waiting behind other work.
    pub queue_ms: u32,
    /// Fetching and loading the model.
    pub load_ms: u32,
    /// Running it.
    pub service_ms: u32,
    /// The sum.
    pub total_ms: u32,
    /// Why it may not be chosen, if so.
    pub excluded: Option<String>,
}

/// One try of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Who was asked.
    pub peer: PeerId,
    /// Its tier.
    pub tier: Tier,
    /// How it ended: `answered`, `failed: …`, `late`, `lost`.
    pub outcome: String,
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}
