//! The handle that applications hold.

mod stream;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, channel::oneshot};
use libp2p::{Multiaddr, StreamProtocol, identity::Keypair};
use neuromesh_core::{
    Answer, Digest, Manifest, Mesh as Machine, PeerId, Request, RequestId, Tier,
    mesh::{self, ModelInfo, PeerInfo},
    rooms::{Grant, MAX_ISSUERS, RoomError},
};
use tokio::sync::{Mutex, broadcast, mpsc};

use crate::{
    blobs::{self, Fetcher},
    catalogue,
    docs::{self, Doc},
    driver::{self, Driver, Event, Links},
    engine::{Engine, PartSink},
    error::{Error, ErrorKind},
    platform,
    rtc::{Certificate, IceServer, RtcConfig},
    storage::{BlobStore, DocStore},
    streams::{Control, Haul, Incoming, Stream},
    swarm::{self, MAX_GOSSIP_BYTES, SwarmConfig, core_id, libp2p_id},
};

pub use stream::Progress;

/// Events that a slow listener may fall behind before it misses some.
const EVENTS: usize = 1024;
/// Notices of the swarm that wait for the driver.
const NOTICES: usize = 1024;
/// The longest name of a protocol, in bytes.
const MAX_PROTOCOL: usize = 128;
/// Protocols that are not an application's.
const RESERVED: [&str; 5] = ["/neuromesh/", "/libp2p/", "/ipfs/", "/meshsub/", "/webrtc-signaling/"];
/// Opening a stream.
const OPEN: Duration = Duration::from_secs(10);
/// The longest name of a gossip topic.
const MAX_TOPIC: usize = 128;

/// How a peer takes part.
#[derive(Clone, Debug)]
pub struct Config {
    /// The secret half of the peer's Ed25519 identity.
    pub key: [u8; 32],
    /// Where this peer stands.
    pub tier: Tier,
    /// Whether it runs models for others.
    pub serves: bool,
    /// Whose tokens this peer asks of whoever is in a room, at most 8; none when it does not ask. Peers that dial it by its address
    /// follow, and take for members only those who show one; see [`Mesh::join_room`].
    pub room_issuers: Vec<PeerId>,
    /// Addresses to listen on.
    pub listen: Vec<Multiaddr>,
    /// Addresses of peers to stay connected to.
    pub dial: Vec<Multiaddr>,
    /// Addresses under which others reach this peer, where they differ from those it listens on.
    pub external: Vec<Multiaddr>,
    /// Whether to be a circuit relay (v2) for peers that cannot be reached.
    pub relay_server: bool,
    /// At how many relays to keep a slot, under which peers that cannot dial this one reach it.
    pub relay_slots: usize,
    /// STUN and TURN servers for WebRTC; without them only the machines' own addresses are tried.
    pub ice_servers: Vec<IceServer>,
    /// For listening on `/webrtc-direct`; without one, the address is another at each start.
    pub certificate: Option<Certificate>,
    /// Name and version of the program.
    pub agent: String,
    /// Models that run at once for other peers and this one.
    pub concurrency: usize,
}

impl Config {
    /// A peer of `tier` with this identity that listens nowhere and dials nobody.
    pub fn new(key: [u8; 32], tier: Tier) -> Self {
        Self {
            key,
            tier,
            serves: !matches!(tier, Tier::Device),
            room_issuers: Vec::new(),
            listen: Vec::new(),
            dial: Vec::new(),
            external: Vec::new(),
            relay_server: false,
            relay_slots: if matches!(tier, Tier::Device) { 2 } else { 0 },
            ice_servers: Vec::new(),
            certificate: None,
            agent: format!("neuromesh/{}", env!("CARGO_PKG_VERSION")),
            concurrency: 1,
        }
    }
}

/// What a peer is made of besides its connections.
#[derive(Clone)]
pub struct Parts {
    /// Runs models.
    pub engine: Arc<dyn Engine>,
    /// Holds the files of models.
    pub blobs: Arc<dyn BlobStore>,
    /// Holds documents and the list of models.
    pub docs: Arc<dyn DocStore>,
}

/// A peer in the mesh. Clones are the same peer; it lives until [`Mesh::close`] or until the last clone is gone.
#[derive(Clone)]
pub struct Mesh(Arc<Inner>);

struct Inner {
    id: PeerId,
    parts: Parts,
    next_request: AtomicU64,
    driver: mpsc::Sender<driver::Command>,
    swarm: mpsc::Sender<swarm::Command>,
    docs: docs::Docs,
    control: Control,
    events: broadcast::Sender<Event>,
    tasks: Mutex<Vec<platform::Spawned>>,
}

impl Mesh {
    /// Joins: binds the listeners, reads what storage holds, starts to dial. Resolves when the peer is ready; being
    /// connected shows in [`Mesh::events`].
    ///
    /// # Errors
    /// An address that cannot be listened on; storage that cannot be read; too many [`Config::room_issuers`].
    pub async fn join(config: Config, parts: Parts) -> Result<Self, Error> {
        if config.room_issuers.len() > MAX_ISSUERS {
            let text = format!("over the limit of {MAX_ISSUERS} issuers of tokens for rooms");
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let mut secret = config.key;
        let key = Keypair::ed25519_from_bytes(&mut secret)
            .map_err(|error| Error::new(ErrorKind::InvalidInput, format!("identity key: {error}")))?;
        let seed = u64::from_le_bytes(platform::random_seed()[..8].try_into().expect("eight bytes"));
        let now = platform::now();
        let installed = catalogue::list(&*parts.docs, &*parts.blobs).await?;

        let (notices, notice_queue) = mpsc::channel(NOTICES);
        let swarm_config = SwarmConfig {
            key,
            listen: config.listen.clone(),
            dial: config.dial.clone(),
            external: config.external.clone(),
            relay_server: config.relay_server,
            relay_slots: config.relay_slots,
            rtc: RtcConfig { ice_servers: config.ice_servers.clone() },
            certificate: config.certificate.clone(),
            agent: config.agent.clone(),
            seed,
        };
        let register = |control: &mut Control| {
            let mut accept = |protocol, haul| {
                let taken = || Error::new(ErrorKind::Network, "a protocol was registered twice");
                control.accept(protocol, haul).ok_or_else(taken)
            };
            Ok([
                accept(driver::PRESENCE, Haul::Standing)?,
                accept(driver::INFER, Haul::Exchange)?,
                accept(blobs::PROTOCOL, Haul::Exchange)?,
                accept(docs::PROTOCOL, Haul::Standing)?,
            ])
        };
        let (bound, swarm, control, streams) = swarm::bind(swarm_config, notices, register).await?;
        let [presence, infer, blob_streams, sync_streams] = streams;

        let mut machine_config = mesh::Config {
            agent: config.agent.clone(),
            seed,
            generation: now.as_millis(),
            serves: config.serves,
            room_issuers: config.room_issuers.clone(),
            ..mesh::Config::new(config.key, config.tier)
        };
        machine_config.limits.slots = u32::try_from(config.concurrency.max(1)).unwrap_or(u32::MAX);
        let machine = Machine::new(machine_config, now);
        let id = machine.id();

        let (events, _) = broadcast::channel(EVENTS);
        let (commands, command_queue) = mpsc::channel(driver::QUEUE);
        let (happened, happened_queue) = mpsc::channel(driver::QUEUE);
        let fetcher = Fetcher::new(
            control.clone(),
            parts.blobs.clone(),
            parts.docs.clone(),
            events.clone(),
            parts.engine.memory(),
        );
        let docs_handle = docs::start(id, platform::random_seed(), parts.docs.clone(), control.clone()).await?;
        platform::spawn(docs::accept(sync_streams, docs_handle.clone()));
        platform::spawn(driver::accept_presence(presence, happened.clone()));
        platform::spawn(driver::accept_infer(infer, happened.clone()));
        platform::spawn(blobs::serve(blob_streams, parts.blobs.clone()));
        let app_control = control.clone();
        let driver = Driver::new(
            machine,
            parts.engine.clone(),
            Arc::new(fetcher),
            installed,
            Links::new(control, swarm.clone()),
            happened,
            docs_handle.clone(),
        );
        let driver_task = platform::spawn(driver.run(command_queue, notice_queue, happened_queue));
        let swarm_task = bound.start();

        Ok(Self(Arc::new(Inner {
            id,
            parts,
            next_request: AtomicU64::new(1),
            driver: commands,
            swarm,
            docs: docs_handle,
            control: app_control,
            events,
            tasks: Mutex::new(vec![driver_task, swarm_task]),
        })))
    }

    /// Who this peer is.
    pub fn id(&self) -> PeerId {
        self.0.id
    }

    /// Where others can reach this peer.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub async fn addresses(&self) -> Result<Vec<Multiaddr>, Error> {
        self.ask_swarm(swarm::Command::Addresses).await
    }

    /// Runs a model wherever the router thinks best. Dropping the future cancels the run, wherever it is.
    ///
    /// # Errors
    /// Every [`ErrorKind`]; the message names what was tried.
    pub async fn run(&self, request: Request) -> Result<Answer, Error> {
        self.run_as(self.next_request(), request).await
    }

    /// A number for [`Mesh::run_as`].
    pub fn next_request(&self) -> u64 {
        self.0.next_request.fetch_add(1, Ordering::Relaxed)
    }

    /// As [`Mesh::run`], under a number from [`Mesh::next_request`] by which events name the request.
    ///
    /// # Errors
    /// As [`Mesh::run`].
    pub async fn run_as(&self, number: u64, request: Request) -> Result<Answer, Error> {
        let Asked { answer, mut guard, .. } = self.ask(number, request).await?;
        let result = answer.await.unwrap_or_else(|_| Err(Error::closed()));
        guard.disarm();
        result
    }

    async fn ask(&self, number: u64, request: Request) -> Result<Asked, Error> {
        request.input.validate()?;
        let id = RequestId(number);
        let (reply, answer) = oneshot::channel();
        let parts = PartSink::new();
        let waiter = driver::Waiter { reply, parts: parts.clone() };
        let command = driver::Command::Run { id, request: Box::new(request), waiter };
        self.0.driver.send(command).await.map_err(|_| Error::closed())?;
        Ok(Asked { parts, answer, guard: CancelOnDrop { mesh: Some(self.clone()), id } })
    }

    /// Cancels a run by its number; the run ends in [`ErrorKind::Aborted`].
    pub fn cancel(&self, number: u64) {
        let driver = self.0.driver.clone();
        platform::spawn(async move {
            let _ = driver.send(driver::Command::Cancel(RequestId(number))).await;
        });
    }

    /// The peers known now, this one left out.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, Error> {
        self.ask_driver(driver::Command::Peers).await
    }

    /// The models known now, here and elsewhere.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub async fn models(&self) -> Result<Vec<ModelInfo>, Error> {
        self.ask_driver(driver::Command::Models).await
    }

    /// The manifest of a model that this peer holds.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub async fn manifest(&self, model: Digest) -> Result<Option<Manifest>, Error> {
        self.ask_driver(|reply| driver::Command::Manifest(model, reply)).await
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.events.subscribe()
    }

    /// The shared document `name`; where nobody has it yet it begins as `init`, the same on every peer.
    ///
    /// # Errors
    /// A bad name, an `init` that is no object, storage errors.
    pub async fn doc(&self, name: &str, init: serde_json::Value) -> Result<Doc, Error> {
        self.0.docs.open(name, init).await
    }

    /// Connects to `address` and stays connected.
    ///
    /// # Errors
    /// When the first try fails; it is tried again all the same.
    pub async fn dial(&self, address: Multiaddr) -> Result<(), Error> {
        self.ask_swarm(|reply| swarm::Command::Dial(address, reply)).await?
    }

    /// Drops every connection and dials nobody, or returns.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub async fn set_online(&self, online: bool) -> Result<(), Error> {
        self.ask_swarm(|reply| swarm::Command::SetOnline(online, reply)).await
    }

    /// Listens on a gossip topic; messages come as [`Event::Message`].
    ///
    /// # Errors
    /// A topic that is too long, or too many of them.
    pub async fn join_topic(&self, topic: &str) -> Result<(), Error> {
        let topic = checked_topic(topic)?;
        self.ask_swarm(|reply| swarm::Command::Join(topic, reply)).await?
    }

    /// Sends to everybody on a topic. Gossip drops under load: nothing that must arrive goes here.
    ///
    /// # Errors
    /// A message over 32 KiB; nobody on the topic for 2 seconds.
    pub async fn publish(&self, topic: &str, data: Vec<u8>) -> Result<(), Error> {
        self.publish_on(checked_topic(topic)?, data).await
    }

    /// On a topic as it is on the wire.
    async fn publish_on(&self, topic: String, data: Vec<u8>) -> Result<(), Error> {
        if data.len() > MAX_GOSSIP_BYTES / 2 {
            let text = format!("message of {} bytes is over the limit of {}", data.len(), MAX_GOSSIP_BYTES / 2);
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        self.ask_swarm(|reply| swarm::Command::Publish(topic, data, reply)).await?
    }

    /// Opens a stream of an application's own protocol to a connected peer, over the best connection with it.
    ///
    /// # Errors
    /// A name that is none or taken ([`Mesh::accept`]); a peer that is not connected, or does not take such streams.
    pub async fn open(&self, peer: PeerId, protocol: &str) -> Result<Stream, Error> {
        let protocol = checked_protocol(protocol)?;
        let id = libp2p_id(&peer).ok_or_else(|| Error::new(ErrorKind::InvalidInput, "not a libp2p peer"))?;
        let opened = platform::timeout(OPEN, self.0.control.clone().open_stream(id, protocol)).await;
        match opened {
            Some(Ok(stream)) => Ok(stream),
            Some(Err(error)) => Err(Error::new(ErrorKind::Network, error.to_string())),
            None => Err(Error::new(ErrorKind::Network, "the peer did not take the stream in time")),
        }
    }

    /// Takes the streams of an application's own protocol, until what it gives is dropped. A protocol's name begins with `/`, has at
    /// most 128 bytes, and does not begin as those of Neuromesh and libp2p do.
    ///
    /// # Errors
    /// A name that is none or taken, or over 64 protocols.
    pub fn accept(&self, protocol: &str) -> Result<Accepted, Error> {
        let name = checked_protocol(protocol)?;
        let incoming = self.0.control.clone().accept(name, Haul::Exchange);
        let taken = || Error::new(ErrorKind::InvalidInput, format!("streams of {protocol} are taken already"));
        incoming.map(Accepted).ok_or_else(taken)
    }

    /// Joins a room: its members are found through the peers that this one is connected with, dialled directly, and may ask this peer
    /// to run models if [`RoomOptions::serves`] says so. Joining again changes the options.
    ///
    /// Where a node asks for tokens ([`Config::room_issuers`]) that this peer dialled by its address, the room is for those alone who
    /// have one, until it is left; the same after joining with a token. What a node asks for is known once it is in [`Mesh::peers`]:
    /// a room that was joined before without a token, or whose token expires, ends with [`Event::RoomClosed`].
    ///
    /// # Errors
    /// A bad name or token, or too many rooms; [`ErrorKind::RoomDenied`] when a node asks for a token and there is none, or not one
    /// for this room and this peer that holds now and is signed by an issuer that the node names.
    pub async fn join_room(&self, name: &str, options: &RoomOptions) -> Result<Room, Error> {
        let grant = options.token.as_deref().map(str::parse::<Grant>).transpose().map_err(RoomError::from)?;
        let (asked, serves) = (name.to_owned(), options.serves);
        let joined = self.ask_driver(|reply| driver::Command::JoinRoom { name: asked, serves, grant, reply }).await??;
        let room = Room { mesh: self.clone(), name: name.to_owned(), topic: driver::room_topic(&joined) };
        self.ask_swarm(|reply| swarm::Command::Join(room.topic.clone(), reply)).await??;
        Ok(room)
    }

    /// Offers a model whose files are in the blob store already.
    ///
    /// # Errors
    /// A bad manifest, missing files, storage errors.
    pub async fn add_model(&self, manifest: &[u8]) -> Result<Digest, Error> {
        let installed = catalogue::install(&*self.0.parts.docs, &*self.0.parts.blobs, manifest).await?;
        self.ask_driver(driver::Command::ModelsChanged).await?;
        Ok(installed.digest)
    }

    /// Forgets a model and deletes the files that no other uses; false when there is none of that name.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn remove_model(&self, name: &str) -> Result<bool, Error> {
        let removed = catalogue::remove(&*self.0.parts.docs, &*self.0.parts.blobs, name).await?;
        self.ask_driver(driver::Command::ModelsChanged).await?;
        Ok(removed)
    }

    /// Brings a model onto this peer, with [`Event::Progress`] as it comes.
    ///
    /// # Errors
    /// [`ErrorKind::ModelNotFound`] when nobody holds it; network and storage errors.
    pub async fn fetch_model(&self, name: &str) -> Result<Digest, Error> {
        let name = name.to_owned();
        self.ask_driver(|reply| driver::Command::Fetch(name, reply)).await?
    }

    /// Leaves: takes no more requests, waits up to 4 s for those under way, stores documents, closes connections.
    pub async fn close(&self) {
        let _ = self.ask_driver(driver::Command::Close).await;
        self.0.docs.close().await;
        let _ = self.ask_swarm(swarm::Command::Close).await;
        for task in self.0.tasks.lock().await.drain(..) {
            task.ended().await;
        }
    }

    async fn ask_driver<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> driver::Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.0.driver.send(command(reply)).await.map_err(|_| Error::closed())?;
        answer.await.map_err(|_| Error::closed())
    }

    async fn ask_swarm<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> swarm::Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.0.swarm.send(command(reply)).await.map_err(|_| Error::closed())?;
        answer.await.map_err(|_| Error::closed())
    }
}

/// Streams of one protocol that peers open.
pub struct Accepted(Incoming);

impl Accepted {
    /// The next one, and who opened it; none once the mesh is closed.
    pub async fn next(&mut self) -> Option<(PeerId, Stream)> {
        loop {
            let (peer, stream) = self.0.next().await?;
            if let Some(peer) = core_id(&peer) {
                return Some((peer, stream));
            }
        }
    }
}

/// How to be in a room.
#[derive(Clone, Debug)]
pub struct RoomOptions {
    /// Whether this peer runs models for the room's members.
    pub serves: bool,
    /// What the room's issuer signed for this peer, in rooms that take it; without one, a token given before stays.
    pub token: Option<String>,
}

impl Default for RoomOptions {
    fn default() -> Self {
        Self { serves: true, token: None }
    }
}

/// A room that this peer is in; clones are the same. It is left by [`Room::leave`], or ends with
/// [`Event::RoomClosed`].
#[derive(Clone)]
pub struct Room {
    mesh: Mesh,
    name: String,
    topic: String,
}

impl Room {
    /// Under which [`Event::Message`] gives the room's messages.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The other members known now, connected or not.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub async fn members(&self) -> Result<Vec<PeerInfo>, Error> {
        let mut peers = self.mesh.peers().await?;
        peers.retain(|peer| peer.rooms.contains(&self.name));
        Ok(peers)
    }

    /// Sends to every member that is connected, over others if need be. Gossip drops under load.
    ///
    /// # Errors
    /// A message over 32 KiB; nobody there.
    pub async fn send(&self, data: Vec<u8>) -> Result<(), Error> {
        self.mesh.publish_on(self.topic.clone(), data).await
    }

    /// Leaves.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub async fn leave(&self) -> Result<(), Error> {
        let inner = &self.mesh.0;
        inner.swarm.send(swarm::Command::Leave(self.topic.clone())).await.map_err(|_| Error::closed())?;
        inner.driver.send(driver::Command::LeaveRoom(self.name.clone())).await.map_err(|_| Error::closed())
    }
}

/// A request under way.
struct Asked {
    parts: PartSink,
    answer: oneshot::Receiver<Result<Answer, Error>>,
    guard: CancelOnDrop,
}

struct CancelOnDrop {
    mesh: Option<Mesh>,
    id: RequestId,
}

impl CancelOnDrop {
    /// The request has ended: there is nothing to cancel.
    fn disarm(&mut self) {
        self.mesh = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(mesh) = self.mesh.take() {
            mesh.cancel(self.id.0);
        }
    }
}

fn checked_protocol(name: &str) -> Result<StreamProtocol, Error> {
    let ours = RESERVED.iter().any(|prefix| name.starts_with(prefix));
    if name.len() > MAX_PROTOCOL || ours {
        let text = format!("a protocol's name has at most {MAX_PROTOCOL} bytes and begins with none of {RESERVED:?}");
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    StreamProtocol::try_from_owned(name.to_owned())
        .map_err(|error| Error::new(ErrorKind::InvalidInput, format!("protocol {name:?}: {error}")))
}

fn checked_topic(topic: &str) -> Result<String, Error> {
    if topic.is_empty() || topic.len() > MAX_TOPIC {
        return Err(Error::new(ErrorKind::InvalidInput, format!("a topic has 1 to {MAX_TOPIC} bytes")));
    }
    Ok(format!("neuromesh/{topic}"))
}
