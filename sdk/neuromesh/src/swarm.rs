//! The task that owns the connections.

mod behaviour;
mod gossip;
mod unheard;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use futures::{StreamExt, channel::oneshot};
use libp2p::{
    Multiaddr, PeerId as Libp2pId, Swarm,
    core::transport::ListenerId,
    gossipsub, identify,
    identity::Keypair,
    multiaddr::Protocol,
    ping, relay,
    swarm::{
        ConnectionId, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use neuromesh_core::{PeerId, dialer::Dialer, mesh::Path, relays::Slots};
use tokio::sync::mpsc;

use crate::{
    error::{Error, ErrorKind},
    platform,
    rtc::{self, Certificate, RtcConfig},
    streams::{self, PathChanged},
    transport,
};
use behaviour::{Behaviour, BehaviourEvent};
use unheard::Unheard;

/// Connections without a stream live this long; the mesh keeps streams open to every peer it talks to.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest message on a gossip topic.
pub(crate) const MAX_GOSSIP_BYTES: usize = 64 << 10;
/// Topics that this peer may join.
const MAX_TOPICS: usize = 64;
const COMMANDS: usize = 256;

/// What the swarm tells the driver.
#[derive(Debug)]
pub(crate) enum Notice {
    Connected(PeerId, Path),
    /// It is reached otherwise than before.
    Path(PeerId, Path),
    Disconnected(PeerId),
    /// An address that was asked for led to it.
    Chosen(PeerId),
    /// Where this peer can be reached now.
    Addresses(Vec<Multiaddr>),
    Rtt(PeerId, Duration),
    Gossip {
        topic: String,
        from: Option<PeerId>,
        data: Vec<u8>,
    },
    Online(bool),
}

pub(crate) enum Command {
    Dial(Multiaddr, oneshot::Sender<Result<(), Error>>),
    Addresses(oneshot::Sender<Vec<Multiaddr>>),
    /// Dials a peer once; how that ends shows in whether it is connected.
    Reach(PeerId, Multiaddr),
    HangUp(PeerId),
    SetOnline(bool, oneshot::Sender<()>),
    Join(String, oneshot::Sender<Result<(), Error>>),
    Leave(String),
    /// With whom alone to gossip; with everybody, where it is none.
    GossipWith(Option<BTreeSet<PeerId>>),
    Publish(String, Vec<u8>, oneshot::Sender<Result<(), Error>>),
    Close(oneshot::Sender<()>),
}

pub(crate) struct SwarmConfig {
    pub key: Keypair,
    pub listen: Vec<Multiaddr>,
    pub dial: Vec<Multiaddr>,
    pub external: Vec<Multiaddr>,
    pub relay_server: bool,
    /// At how many relays to keep a slot.
    pub relay_slots: usize,
    pub rtc: RtcConfig,
    pub certificate: Option<Certificate>,
    pub agent: String,
    pub seed: u64,
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
    let local = config.key.public().to_peer_id();
    let (circuits, relayed) = relay::client::new(local);
    let (direct, signalling) = rtc::new(config.rtc.clone());
    let transport =
        transport::build(&config.key, circuits, direct, config.certificate.clone()).map_err(|error| network(&error))?;
    let behaviour = Behaviour::new(&config, local, relayed, signalling)?;
    let mut control = behaviour.streams.control();
    let registered = register(&mut control)?;
    let swarm_config = transport::swarm_config().with_idle_connection_timeout(IDLE_TIMEOUT);
    let mut swarm = Swarm::new(transport, behaviour, local, swarm_config);
    for address in config.external {
        swarm.add_external_address(address);
    }
    // Has no address before the first slot at a relay.
    swarm.listen_on(Protocol::WebRTC.into()).map_err(|error| network(&error))?;
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
        slots: Slots::new(config.relay_slots),
        reserved: HashMap::new(),
        dialed_at: BTreeMap::new(),
        connected: BTreeSet::new(),
        announced: Vec::new(),
        unheard: Unheard::default(),
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

struct Task {
    swarm: Swarm<Behaviour>,
    dialer: Dialer,
    /// Callers that wait for a dial, by the address they gave.
    waiting: BTreeMap<String, Vec<oneshot::Sender<Result<(), Error>>>>,
    /// Connections, pending and established, that the dialer asked for.
    dialed: BTreeMap<ConnectionId, String>,
    slots: Slots,
    reserved: HashMap<ListenerId, PeerId>,
    /// Under which address connections were dialled.
    dialed_at: BTreeMap<ConnectionId, Multiaddr>,
    connected: BTreeSet<PeerId>,
    announced: Vec<Multiaddr>,
    unheard: Unheard,
    notices: mpsc::Sender<Notice>,
    online: bool,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, early: Vec<SwarmEvent<BehaviourEvent>>) {
        for event in early {
            self.on_event(event).await;
        }
        // Addresses that were there before anybody listened.
        self.announce().await;
        loop {
            let now = platform::now();
            while let Some(address) = self.dialer.poll_dial(now) {
                self.dial(&address);
            }
            while let Some((relay, address)) = self.slots.poll_reserve(now) {
                self.reserve(relay, &address);
            }
            self.unheard.expire(now);
            let wake = [self.dialer.poll_timeout(), self.slots.poll_timeout(), self.unheard.poll_timeout()];
            let wake = wake.into_iter().flatten().min();
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

    /// Asks a relay for a slot; what becomes of it is told as that of any listener.
    fn reserve(&mut self, relay: PeerId, address: &str) {
        let parsed = address.parse::<Multiaddr>().ok();
        let listened = parsed.and_then(|address| self.swarm.listen_on(address.with(Protocol::P2pCircuit)).ok());
        match listened {
            Some(id) => {
                self.reserved.insert(id, relay);
            }
            None => self.slots.ended(&relay, platform::now()),
        }
    }

    /// Where others reach this peer, each address with its id.
    fn addresses(&self) -> Vec<Multiaddr> {
        let local = *self.swarm.local_peer_id();
        let all = self.swarm.listeners().chain(self.swarm.external_addresses());
        let mut addresses: Vec<_> = all
            .map(|address| match address.iter().last() {
                Some(Protocol::P2p(_)) => address.clone(),
                _ => address.clone().with(Protocol::P2p(local)),
            })
            .collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }

    async fn announce(&mut self) {
        let addresses = self.addresses();
        if addresses != self.announced {
            self.announced.clone_from(&addresses);
            self.notify(Notice::Addresses(addresses)).await;
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
                let _ = reply.send(self.addresses());
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
                let behaviour = &mut self.swarm.behaviour_mut().gossipsub.inner;
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
            Command::Leave(topic) => {
                self.swarm.behaviour_mut().gossipsub.inner.unsubscribe(&gossipsub::IdentTopic::new(topic));
            }
            Command::GossipWith(only) => {
                let only = only.map(|peers| peers.iter().filter_map(libp2p_id).collect());
                self.swarm.behaviour_mut().gossipsub.limit(only);
            }
            Command::Reach(peer, address) => {
                let Some(id) = libp2p_id(&peer).filter(|_| self.online) else { return };
                // A circuit may be there already: only the swarm's own idea of a peer that is dialled is in the way.
                let options =
                    DialOpts::peer_id(id).condition(PeerCondition::NotDialing).addresses(vec![address]).build();
                if let Err(error) = self.swarm.dial(options) {
                    tracing::debug!(%peer, %error, "a neighbour was not dialled");
                }
            }
            Command::HangUp(peer) => {
                if let Some(id) = libp2p_id(&peer) {
                    let _ = self.swarm.disconnect_peer_id(id);
                }
            }
            Command::Publish(topic, data, done) => {
                let gossip = &mut self.swarm.behaviour_mut().gossipsub.inner;
                self.unheard.publish(gossip, topic, data, done, platform::now());
            }
            Command::Close(done) => {
                let _ = done.send(());
            }
        }
    }

    async fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
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
                    self.notify(Notice::Chosen(peer)).await;
                    self.answer(&address, Ok(()));
                }
                if endpoint.is_dialer() {
                    self.dialed_at.insert(connection_id, endpoint.get_remote_address().clone());
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, cause, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, "connection closed");
                self.dialed_at.remove(&connection_id);
                if let Some(address) = self.dialed.remove(&connection_id) {
                    self.dialer.lost(&address, platform::now());
                }
                if let (0, Some(peer)) = (num_established, core_id(&peer_id)) {
                    self.slots.disconnected(&peer);
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Streams(PathChanged(peer, path))) => self.on_path(peer, path).await,
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                connection_id,
                info,
            })) => self.on_identified(peer_id, connection_id, &info),
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
            SwarmEvent::Behaviour(BehaviourEvent::Gossipsub(gossipsub::Event::Subscribed { topic, .. })) => {
                self.unheard.heard(&mut self.swarm.behaviour_mut().gossipsub.inner, topic.as_str());
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                self.announce().await;
            }
            SwarmEvent::ExpiredListenAddr { .. } => self.announce().await,
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                if let Some(relay) = self.reserved.remove(&listener_id) {
                    tracing::debug!(%relay, ?reason, "no slot at this relay");
                    self.slots.ended(&relay, platform::now());
                }
                self.announce().await;
            }
            _ => {}
        }
    }

    async fn on_path(&mut self, peer: PeerId, path: Option<Path>) {
        match path {
            None if self.connected.remove(&peer) => self.notify(Notice::Disconnected(peer)).await,
            // Is being disconnected.
            Some(_) if !self.online => {}
            Some(path) if self.connected.insert(peer) => self.notify(Notice::Connected(peer, path)).await,
            Some(path) => self.notify(Notice::Path(peer, path)).await,
            None => {}
        }
    }

    /// Whoever relays, and was dialled without a relay, can keep a slot for this peer.
    fn on_identified(&mut self, peer_id: Libp2pId, connection: ConnectionId, info: &identify::Info) {
        let relays = info.protocols.contains(&relay::HOP_PROTOCOL_NAME);
        let address = self
            .dialed_at
            .get(&connection)
            .filter(|address| relays && !address.iter().any(|part| part == Protocol::P2pCircuit));
        if let (Some(address), Some(relay)) = (address, core_id(&peer_id)) {
            let address = match address.iter().last() {
                Some(Protocol::P2p(_)) => address.clone(),
                _ => address.clone().with(Protocol::P2p(peer_id)),
            };
            self.slots.offered(relay, address.to_string(), platform::now());
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
