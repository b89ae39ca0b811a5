//! The task that owns the connections.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use futures::{StreamExt, channel::oneshot};
use libp2p::{
    Multiaddr, PeerId as Libp2pId, Swarm,
    connection_limits::{self, ConnectionLimits},
    core::transport::ListenerId,
    gossipsub, identify,
    identity::Keypair,
    multiaddr::Protocol,
    ping, relay,
    swarm::{ConnectionId, NetworkBehaviour, SwarmEvent, behaviour::toggle::Toggle, dial_opts::DialOpts},
};
use neuromesh_core::{PeerId, dialer::Dialer};
use tokio::sync::mpsc;

use crate::{
    error::{Error, ErrorKind},
    platform, streams, transport,
};

/// How often a connection's round trip is measured.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// Connections without a stream live this long; the mesh keeps streams open to every peer it talks to.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_PENDING_INCOMING: u32 = 256;
const MAX_ESTABLISHED: u32 = 4096;
const MAX_PER_PEER: u32 = 4;
/// The largest message on a gossip topic.
pub(crate) const MAX_GOSSIP_BYTES: usize = 64 << 10;
/// Topics that this peer may join.
const MAX_TOPICS: usize = 64;
const COMMANDS: usize = 256;

/// What the swarm tells the driver.
#[derive(Debug)]
pub(crate) enum Notice {
    Connected(PeerId),
    Disconnected(PeerId),
    Rtt(PeerId, Duration),
    Gossip { topic: String, from: Option<PeerId>, data: Vec<u8> },
    Online(bool),
}

pub(crate) enum Command {
    Dial(Multiaddr, oneshot::Sender<Result<(), Error>>),
    Addresses(oneshot::Sender<Vec<Multiaddr>>),
    SetOnline(bool, oneshot::Sender<()>),
    Join(String, oneshot::Sender<Result<(), Error>>),
    Publish(String, Vec<u8>, oneshot::Sender<Result<(), Error>>),
    Close(oneshot::Sender<()>),
}

pub(crate) struct SwarmConfig {
    pub key: Keypair,
    pub listen: Vec<Multiaddr>,
    pub dial: Vec<Multiaddr>,
    pub external: Vec<Multiaddr>,
    pub relay_server: bool,
    pub agent: String,
    pub seed: u64,
}

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Behaviour {
    limits: connection_limits::Behaviour,
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    gossipsub: gossipsub::Behaviour,
    relay: Toggle<relay::Behaviour>,
    streams: streams::Behaviour,
}

/// A swarm that listens and does nothing else yet.
pub(crate) struct Bound {
    task: Task,
    commands: mpsc::Receiver<Command>,
    early: Vec<SwarmEvent<BehaviourEvent>>,
}

impl Bound {
    /// Starts to dial and to report; every protocol must be registered before.
    pub(crate) fn start(self) -> platform::Spawned {
        platform::spawn(self.task.run(self.commands, self.early))
    }
}

/// Binds the listeners. `register` gets the streams' control before any peer can open one.
pub(crate) async fn bind<T>(
    config: SwarmConfig,
    notices: mpsc::Sender<Notice>,
    register: impl FnOnce(&mut streams::Control) -> Result<T, Error>,
) -> Result<(Bound, mpsc::Sender<Command>, streams::Control, T), Error> {
    let network = |error: &dyn std::fmt::Display| Error::new(ErrorKind::Network, error.to_string());
    let transport = transport::build(&config.key).map_err(|error| network(&error))?;
    let local = config.key.public().to_peer_id();
    let behaviour = Behaviour::new(&config, local)?;
    let mut control = behaviour.streams.control();
    let registered = register(&mut control)?;
    let swarm_config = transport::swarm_config().with_idle_connection_timeout(IDLE_TIMEOUT);
    let mut swarm = Swarm::new(transport, behaviour, local, swarm_config);
    for address in config.external {
        swarm.add_external_address(address);
    }
    let mut pending = Vec::new();
    for address in &config.listen {
        let id = swarm
            .listen_on(address.clone())
            .map_err(|error| Error::new(ErrorKind::Network, format!("cannot listen on {address}: {error}")))?;
        pending.push((id, address.clone()));
    }
    let early = bound(&mut swarm, pending).await?;
    if config.relay_server {
        // A relay only reserves slots on addresses that are confirmed as reachable.
        let addresses: Vec<_> = swarm.listeners().cloned().collect();
        for address in addresses {
            swarm.add_external_address(address);
        }
    }
    let (sender, receiver) = mpsc::channel(COMMANDS);
    let task = Task {
        swarm,
        dialer: Dialer::new(config.dial.iter().map(ToString::to_string), config.seed),
        waiting: BTreeMap::new(),
        dialed: BTreeMap::new(),
        notices,
        online: true,
    };
    Ok((Bound { task, commands: receiver, early }, sender, control, registered))
}

/// Waits until every listener has an address or has failed; what else happened meanwhile is given back.
async fn bound(
    swarm: &mut Swarm<Behaviour>,
    mut pending: Vec<(ListenerId, Multiaddr)>,
) -> Result<Vec<SwarmEvent<BehaviourEvent>>, Error> {
    let mut early = Vec::new();
    while !pending.is_empty() {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { listener_id, .. } => pending.retain(|(id, _)| *id != listener_id),
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                if let Some((_, address)) = pending.iter().find(|(id, _)| *id == listener_id) {
                    let reason = reason.err().map(|error| error.to_string()).unwrap_or_default();
                    return Err(Error::new(ErrorKind::Network, format!("cannot listen on {address}: {reason}")));
                }
            }
            SwarmEvent::ListenerError { listener_id, error } => {
                if let Some((_, address)) = pending.iter().find(|(id, _)| *id == listener_id) {
                    return Err(Error::new(ErrorKind::Network, format!("cannot listen on {address}: {error}")));
                }
            }
            event => early.push(event),
        }
    }
    Ok(early)
}

impl Behaviour {
    fn new(config: &SwarmConfig, local: Libp2pId) -> Result<Self, Error> {
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(MAX_PENDING_INCOMING))
            .with_max_established(Some(MAX_ESTABLISHED))
            .with_max_established_per_peer(Some(MAX_PER_PEER));
        let local_id =
            core_id(&local).ok_or_else(|| Error::new(ErrorKind::InvalidInput, "an Ed25519 identity is needed"))?;
        let gossip = gossipsub::ConfigBuilder::default()
            .max_transmit_size(MAX_GOSSIP_BYTES)
            .validation_mode(gossipsub::ValidationMode::Strict)
            .build()
            .map_err(|error| Error::new(ErrorKind::Network, error.to_string()))?;
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL)),
            identify: identify::Behaviour::new(
                identify::Config::new("/neuromesh/1".into(), config.key.public())
                    .with_agent_version(config.agent.clone()),
            ),
            gossipsub: gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Signed(config.key.clone()), gossip)
                .map_err(|error| Error::new(ErrorKind::Network, error))?,
            relay: Toggle::from(config.relay_server.then(|| relay::Behaviour::new(local, relay_config()))),
            streams: streams::Behaviour::new(local_id),
        })
    }
}

/// Many tabs stand behind one address; libp2p's defaults allow one reservation and one circuit per address and minute.
fn relay_config() -> relay::Config {
    let per_minute = NonZeroU32::new(600).expect("not zero");
    relay::Config {
        max_reservations: 1024,
        max_reservations_per_peer: 8,
        max_circuits: 1024,
        max_circuits_per_peer: 64,
        ..relay::Config::default()
    }
    .reservation_rate_per_peer(per_minute, Duration::from_secs(60))
    .reservation_rate_per_ip(per_minute, Duration::from_secs(60))
    .circuit_src_per_peer(per_minute, Duration::from_secs(60))
    .circuit_src_per_ip(per_minute, Duration::from_secs(60))
}

struct Task {
    swarm: Swarm<Behaviour>,
    dialer: Dialer,
    /// Callers that wait for a dial, by the address they gave.
    waiting: BTreeMap<String, Vec<oneshot::Sender<Result<(), Error>>>>,
    /// Connections, pending and established, that the dialer asked for.
    dialed: BTreeMap<ConnectionId, String>,
    notices: mpsc::Sender<Notice>,
    online: bool,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, early: Vec<SwarmEvent<BehaviourEvent>>) {
        for event in early {
            self.on_event(event).await;
        }
        loop {
            let now = platform::now();
            while let Some(address) = self.dialer.poll_dial(now) {
                self.dial(&address);
            }
            let wake = self.dialer.poll_timeout();
            let timer = async {
                match wake {
                    Some(at) => platform::sleep(at.since(platform::now())).await,
                    None => futures::future::pending::<()>().await,
                }
            };
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event).await,
                command = commands.recv() => match command {
                    Some(Command::Close(done)) => {
                        self.disconnect_all();
                        let _ = done.send(());
                        return;
                    }
                    Some(command) => self.on_command(command).await,
                    None => return,
                },
                () = timer => {}
            }
        }
    }

    fn dial(&mut self, address: &str) {
        let now = platform::now();
        let Ok(parsed) = address.parse::<Multiaddr>() else {
            self.dialer.failed(address, now);
            return;
        };
        let options = DialOpts::unknown_peer_id().address(parsed).build();
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.dialed.insert(connection, address.to_owned());
            }
            Err(error) => self.dial_failed(address, &error),
        }
    }

    fn dial_failed(&mut self, address: &str, error: &dyn std::fmt::Display) {
        tracing::debug!(%address, %error, "dial failed");
        self.dialer.failed(address, platform::now());
        self.answer(address, Err(Error::new(ErrorKind::Network, format!("cannot reach {address}: {error}"))));
    }

    fn answer(&mut self, address: &str, result: Result<(), Error>) {
        for waiting in self.waiting.remove(address).unwrap_or_default() {
            let _ = waiting.send(result.clone());
        }
    }

    fn disconnect_all(&mut self) {
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    async fn on_command(&mut self, command: Command) {
        match command {
            Command::Dial(address, done) => {
                let text = address.to_string();
                if self.dialed.values().any(|dialed| *dialed == text) && self.dialer.is_connected(&text) {
                    let _ = done.send(Ok(()));
                    return;
                }
                self.waiting.entry(text.clone()).or_default().push(done);
                if !self.dialer.add(text.clone(), platform::now()) {
                    self.answer(&text, Err(Error::new(ErrorKind::InvalidInput, "too many addresses to dial")));
                }
            }
            Command::Addresses(reply) => {
                let local = *self.swarm.local_peer_id();
                let mut addresses: Vec<Multiaddr> = self.swarm.listeners().cloned().collect();
                addresses.extend(self.swarm.external_addresses().cloned());
                let mut addresses: Vec<_> = addresses
                    .into_iter()
                    .map(|address| {
                        if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
                            address
                        } else {
                            address.with(Protocol::P2p(local))
                        }
                    })
                    .collect();
                addresses.sort();
                addresses.dedup();
                let _ = reply.send(addresses);
            }
            Command::SetOnline(online, done) => {
                if online != self.online {
                    self.online = online;
                    self.dialer.set_online(online, platform::now());
                    if !online {
                        self.disconnect_all();
                    }
                    self.notify(Notice::Online(online)).await;
                }
                let _ = done.send(());
            }
            Command::Join(topic, done) => {
                let behaviour = &mut self.swarm.behaviour_mut().gossipsub;
                let result = if behaviour.topics().count() >= MAX_TOPICS {
                    Err(Error::new(ErrorKind::InvalidInput, format!("over the limit of {MAX_TOPICS} topics")))
                } else {
                    behaviour
                        .subscribe(&gossipsub::IdentTopic::new(topic))
                        .map(|_| ())
                        .map_err(|error| Error::new(ErrorKind::Network, error.to_string()))
                };
                let _ = done.send(result);
            }
            Command::Publish(topic, data, done) => {
                let result = self
                    .swarm
                    .behaviour_mut()
                    .gossipsub
                    .publish(gossipsub::IdentTopic::new(topic), data)
                    .map(|_| ())
                    .map_err(|error| Error::new(ErrorKind::Network, error.to_string()));
                let _ = done.send(result);
            }
            Command::Close(done) => {
                let _ = done.send(());
            }
        }
    }

    async fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, num_established, .. } => {
                let Some(peer) = core_id(&peer_id) else {
                    tracing::info!(peer = %peer_id, "peer without an Ed25519 identity refused");
                    let _ = self.swarm.disconnect_peer_id(peer_id);
                    return;
                };
                if !self.online {
                    let _ = self.swarm.disconnect_peer_id(peer_id);
                    return;
                }
                if let Some(address) = self.dialed.get(&connection_id).cloned() {
                    self.dialer.connected(&address);
                    self.answer(&address, Ok(()));
                }
                if num_established.get() == 1 {
                    self.notify(Notice::Connected(peer)).await;
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, cause, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, "connection closed");
                if let Some(address) = self.dialed.remove(&connection_id) {
                    self.dialer.lost(&address, platform::now());
                }
                if let (0, Some(peer)) = (num_established, core_id(&peer_id)) {
                    self.notify(Notice::Disconnected(peer)).await;
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(address) = self.dialed.remove(&connection_id) {
                    self.dial_failed(&address, &error);
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { peer, result: Ok(rtt), .. })) => {
                if let Some(peer) = core_id(&peer) {
                    self.notify(Notice::Rtt(peer, rtt)).await;
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossipsub(gossipsub::Event::Message { message, .. })) => {
                let from = message.source.as_ref().and_then(core_id);
                self.notify(Notice::Gossip { topic: message.topic.into_string(), from, data: message.data }).await;
            }
            SwarmEvent::NewListenAddr { address, .. } => tracing::info!(%address, "listening"),
            _ => {}
        }
    }

    async fn notify(&mut self, notice: Notice) {
        let _ = self.notices.send(notice).await;
    }
}

pub(crate) fn core_id(peer: &Libp2pId) -> Option<PeerId> {
    PeerId::from_multihash(&peer.to_bytes()).ok()
}

pub(crate) fn libp2p_id(peer: &PeerId) -> Option<Libp2pId> {
    Libp2pId::from_bytes(&peer.to_multihash()).ok()
}
