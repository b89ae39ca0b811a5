//! What an operator may set: flags over environment (`NEUROMESH_*`) over a TOML file over defaults.

use std::{
    env, fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::{Args, ValueEnum};
use neuromesh::{Multiaddr, PeerId, Tier, core::rooms::MAX_ISSUERS, engine::MAX_THREADS};
use serde::{Deserialize, Deserializer, de};

/// The name of folders and files below the user's own.
const NAME: &str = "neuromesh";
/// The largest configuration file.
const MAX_FILE: u64 = 1 << 20;
/// Where a node listens unless told otherwise.
const LISTEN: [&str; 4] = [
    "/ip4/0.0.0.0/udp/4710/quic-v1",
    "/ip4/0.0.0.0/tcp/4710",
    "/ip4/0.0.0.0/tcp/4711/ws",
    "/ip4/0.0.0.0/udp/4711/webrtc-direct",
];
/// Where a node serves HTTP unless told otherwise: this machine only.
const HTTP: &str = "127.0.0.1:8080";
/// Memory for models unless told otherwise.
const MAX_MEMORY: ByteSize = ByteSize(2 << 30);

/// What every command takes.
#[derive(Args, Clone, Debug, Default)]
pub struct GlobalArgs {
    /// Folder of identity, models and documents [default: $XDG_DATA_HOME/neuromesh]
    #[arg(long, global = true, env = "NEUROMESH_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Configuration file [default: $XDG_CONFIG_HOME/neuromesh/neuromesh.toml, if there is one]
    #[arg(long, global = true, env = "NEUROMESH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    pub json: bool,
    /// Which log lines to print: error, warn, info, debug, trace, or a filter like `info,neuromesh=debug`
    #[arg(long, global = true, env = "NEUROMESH_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// How to print them, to standard error
    #[arg(long, global = true, env = "NEUROMESH_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// What a node takes, as flags and environment.
#[derive(Args, Clone, Debug, Default)]
pub struct NodeArgs {
    /// Address to listen on; may be given often
    /// [default: /ip4/0.0.0.0/udp/4710/quic-v1, /ip4/0.0.0.0/tcp/4710, /ip4/0.0.0.0/tcp/4711/ws,
    /// /ip4/0.0.0.0/udp/4711/webrtc-direct]
    #[arg(long, env = "NEUROMESH_LISTEN", value_name = "ADDR", value_delimiter = ',')]
    pub listen: Vec<Multiaddr>,
    /// Where to serve HTTP: the page, the API, health [default: 127.0.0.1:8080]
    #[arg(long, env = "NEUROMESH_HTTP", value_name = "HOST:PORT")]
    pub http: Option<SocketAddr>,
    /// Address of another node to stay connected to; may be given often
    #[arg(long, env = "NEUROMESH_PEER", value_name = "ADDR", value_delimiter = ',')]
    pub peer: Vec<Multiaddr>,
    /// Address under which others reach this node, where it differs from those it listens on; may be given often
    #[arg(long, env = "NEUROMESH_EXTERNAL", value_name = "ADDR", value_delimiter = ',')]
    pub external: Vec<Multiaddr>,
    /// Where this node stands [default: edge]
    #[arg(long, env = "NEUROMESH_TIER", value_name = "TIER")]
    pub tier: Option<NodeTier>,
    /// Folder with the page to serve; without it a plain page that tells of the node
    #[arg(long, env = "NEUROMESH_WEB", value_name = "DIR")]
    pub web: Option<PathBuf>,
    /// Threads that run models, 1 to 256: so many runs at once, or fewer that share them [default: one per processor]
    #[arg(long, env = "NEUROMESH_THREADS", value_name = "N")]
    pub threads: Option<Threads>,
    /// Do not relay between peers that cannot reach each other
    #[arg(long, env = "NEUROMESH_NO_RELAY", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub no_relay: Option<bool>,
    /// Ask for tokens: in rooms only those are members who have one signed by this issuer, a peer id, or `self` for this node; may be
    /// given often, see `neuromesh rooms grant`
    #[arg(long, env = "NEUROMESH_ROOM_ISSUER", value_name = "PEER", value_delimiter = ',')]
    pub room_issuer: Vec<RoomIssuer>,
    /// At how many relays to keep a slot: a node that others cannot dial is asked for there, and reached directly over WebRTC
    /// [default: 0]
    #[arg(long, env = "NEUROMESH_RELAY_SLOTS", value_name = "N")]
    pub relay_slots: Option<u8>,
    /// Memory for loaded models, and for the activations of one run: bytes, or like 512MiB, 2GiB [default: 2GiB]
    #[arg(long, env = "NEUROMESH_MAX_MEMORY", value_name = "SIZE")]
    pub max_memory: Option<ByteSize>,
}

/// The TOML file: the same words as the flags.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct File {
    data: Option<PathBuf>,
    log_level: Option<String>,
    log_format: Option<LogFormat>,
    listen: Option<Vec<Multiaddr>>,
    http: Option<SocketAddr>,
    peer: Option<Vec<Multiaddr>>,
    external: Option<Vec<Multiaddr>>,
    tier: Option<NodeTier>,
    web: Option<PathBuf>,
    threads: Option<Threads>,
    no_relay: Option<bool>,
    room_issuer: Option<Vec<RoomIssuer>>,
    relay_slots: Option<u8>,
    max_memory: Option<ByteSize>,
}

/// Everything, settled.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of identity, models and documents.
    pub data: PathBuf,
    /// Filter of log lines, where one was given.
    pub log_level: Option<String>,
    /// How they look.
    pub log_format: LogFormat,
    /// What the node does.
    pub node: NodeConfig,
}

/// What the node does.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Addresses to listen on.
    pub listen: Vec<Multiaddr>,
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Addresses of other nodes.
    pub peers: Vec<Multiaddr>,
    /// Addresses under which others reach this node.
    pub external: Vec<Multiaddr>,
    /// Where the node stands.
    pub tier: Tier,
    /// Folder of the page.
    pub web: Option<PathBuf>,
    /// Threads that run models, at most [`MAX_THREADS`].
    pub threads: usize,
    /// Whether to relay for others.
    pub relay: bool,
    /// Whose tokens to ask of whoever is in a room; none when the node does not ask.
    pub room_issuers: Vec<RoomIssuer>,
    /// At how many relays to keep a slot; none: as peers of its tier do.
    pub relay_slots: Option<usize>,
    /// Memory for models, in bytes.
    pub max_memory: u64,
}

/// What a configuration cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("configuration file {path}: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
    /// More than a node may name.
    #[error("over the limit of {MAX_ISSUERS} room issuers")]
    RoomIssuers,
    /// There is no place for data.
    #[error("no data folder: neither XDG_DATA_HOME nor HOME is set; give one with --data DIR")]
    NoData,
}

impl Config {
    /// Settles flags and environment, which clap has merged already, with the file and the defaults.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn resolve(global: &GlobalArgs, node: &NodeArgs) -> Result<Self, ConfigError> {
        let file = match &global.config {
            Some(path) => File::read(path)?,
            None => match xdg("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("neuromesh.toml")) {
                Some(path) if path.exists() => File::read(&path)?,
                _ => File::default(),
            },
        };
        let data = global.data.clone().or(file.data).or_else(|| xdg("XDG_DATA_HOME", ".local/share"));
        let several = |flags: &[Multiaddr], file: Option<Vec<Multiaddr>>| {
            if flags.is_empty() { file } else { Some(flags.to_vec()) }
        };
        let room_issuers = if node.room_issuer.is_empty() { file.room_issuer } else { Some(node.room_issuer.clone()) };
        let room_issuers = room_issuers.unwrap_or_default();
        if room_issuers.len() > MAX_ISSUERS {
            return Err(ConfigError::RoomIssuers);
        }
        let threads = node.threads.or(file.threads).map(|Threads(threads)| threads);
        Ok(Self {
            data: data.ok_or(ConfigError::NoData)?,
            log_level: global.log_level.clone().or(file.log_level),
            log_format: global.log_format.or(file.log_format).unwrap_or_default(),
            node: NodeConfig {
                listen: several(&node.listen, file.listen).unwrap_or_else(|| {
                    LISTEN.map(|address| address.parse().expect("the default addresses are valid")).to_vec()
                }),
                http: node.http.or(file.http).unwrap_or_else(|| HTTP.parse().expect("the default is valid")),
                peers: several(&node.peer, file.peer).unwrap_or_default(),
                external: several(&node.external, file.external).unwrap_or_default(),
                tier: node.tier.or(file.tier).unwrap_or_default().into(),
                web: node.web.clone().or(file.web),
                threads: threads.unwrap_or_else(processors),
                relay: !node.no_relay.or(file.no_relay).unwrap_or(false),
                room_issuers,
                relay_slots: node.relay_slots.or(file.relay_slots).map(usize::from),
                max_memory: node.max_memory.or(file.max_memory).unwrap_or(MAX_MEMORY).0,
            },
        })
    }
}

impl File {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        let wrong = |reason: String| ConfigError::Syntax { path: path.to_owned(), reason };
        if fs::metadata(path).map_err(failed)?.len() > MAX_FILE {
            return Err(wrong(format!("over {MAX_FILE} bytes")));
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))
    }
}

/// Those that this process may use: the scheduler's mask and, on Linux, the quota of its control group count.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS)
}

/// The XDG base directory specification: a relative or empty value counts as not set.
fn xdg(variable: &str, fallback: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(fallback)))?;
    Some(base.join(NAME))
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object per line.
    Json,
}

/// Where a node may stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeTier {
    /// A small server near the users.
    #[default]
    Edge,
    /// A large server.
    Cloud,
}

impl From<NodeTier> for Tier {
    fn from(tier: NodeTier) -> Self {
        match tier {
            NodeTier::Edge => Self::Edge,
            NodeTier::Cloud => Self::Cloud,
        }
    }
}

/// Whose tokens for rooms count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum RoomIssuer {
    /// The node itself.
    Own,
    /// Whoever holds this peer's key.
    Peer(PeerId),
}

/// A text names no issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a peer id (12D3KooW…), or `self` for this node")]
pub struct RoomIssuerError;

impl RoomIssuer {
    /// The issuer's key, where the node itself is `own`.
    pub fn peer(self, own: PeerId) -> PeerId {
        match self {
            Self::Own => own,
            Self::Peer(peer) => peer,
        }
    }
}

impl FromStr for RoomIssuer {
    type Err = RoomIssuerError;

    fn from_str(text: &str) -> Result<Self, RoomIssuerError> {
        match text {
            "self" => Ok(Self::Own),
            peer => peer.parse().map(Self::Peer).map_err(|_| RoomIssuerError),
        }
    }
}

impl TryFrom<String> for RoomIssuer {
    type Error = RoomIssuerError;

    fn try_from(text: String) -> Result<Self, RoomIssuerError> {
        text.parse()
    }
}

/// A number of threads, 1 to [`MAX_THREADS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "usize")]
pub struct Threads(usize);

/// A number is no number of threads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of threads, 1 to {MAX_THREADS}")]
pub struct ThreadsError;

impl TryFrom<usize> for Threads {
    type Error = ThreadsError;

    fn try_from(threads: usize) -> Result<Self, ThreadsError> {
        if (1..=MAX_THREADS).contains(&threads) { Ok(Self(threads)) } else { Err(ThreadsError) }
    }
}

impl FromStr for Threads {
    type Err = ThreadsError;

    fn from_str(text: &str) -> Result<Self, ThreadsError> {
        text.parse::<usize>().map_err(|_| ThreadsError)?.try_into()
    }
}

/// A number of bytes, as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

/// A text is no number of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of bytes, or one with KiB, MiB, GiB (or K, M, G), like 512MiB")]
pub struct ByteSizeError;

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let text = text.trim();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kib" => 10,
            "m" | "mib" => 20,
            "g" | "gib" => 30,
            "t" | "tib" => 40,
            _ => return Err(ByteSizeError),
        };
        let number: u64 = number.parse().map_err(|_| ByteSizeError)?;
        number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).map(Self).ok_or(ByteSizeError)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.into_iter().find(|(_, size)| self.0 >= *size) {
            Some((unit, size)) => write!(f, "{:.1} {unit}", self.0 as f64 / size as f64),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(0) => Err(de::Error::custom(ByteSizeError)),
            Either::Number(bytes) => Ok(Self(bytes)),
            Either::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests;
