//! One UDP socket for all connections of `/webrtc-direct`: which datagram belongs to which of them.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use neuromesh_core::webrtc::channel;
use str0m::{config::DtlsCert, ice::StunMessage};
use tokio::sync::{mpsc, oneshot};

use super::{
    direct::{Connecting, answering, expanded},
    drive::drive,
    sockets::{Batch, Bundle, Datagram, Inbox, Socket, Sockets, outlet},
};
use crate::{
    platform,
    rtc::{
        Hub, Muxer,
        direct::{Hash, UFRAG_PREFIX},
    },
};

/// Connections of one listener.
const MAX_CONNECTIONS: usize = 4096;
/// Connections whose other side has not proven yet who it is.
const MAX_HALF_OPEN: usize = 256;
/// The same from one address, or from one IPv6 network (/64).
pub(super) const MAX_HALF_OPEN_PER_ADDRESS: usize = 32;
/// Addresses under which one connection is known at a time: a NAT may change them.
const MAX_SOURCES: usize = 8;
/// Names at ICE (RFC 8839, section 5.4).
const MAX_UFRAG: usize = 256;

/// A connection that was asked for.
pub(super) struct Asked {
    pub(super) source: SocketAddr,
    pub(super) muxer: Muxer,
    pub(super) connected: oneshot::Receiver<Hash>,
    pub(super) ticket: Ticket,
}

/// A listening socket. Dropped, it hears no new dialer; the connections that it has go on.
pub(super) struct Listener {
    asked: mpsc::Receiver<Asked>,
    bound: SocketAddr,
}

impl Listener {
    /// Binds, and tells under which addresses.
    ///
    /// # Errors
    /// The address is taken or is none of this machine's.
    pub(super) fn bind(wanted: SocketAddr, certificate: DtlsCert) -> io::Result<(Self, Vec<SocketAddr>)> {
        let socket = Socket::bind(wanted)?;
        let bound = socket.local();
        let addresses = expanded(bound)?;
        let local = addresses.first().copied().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let (sender, asked) = mpsc::channel(MAX_HALF_OPEN);
        let (ended, endings) = mpsc::unbounded_channel();
        let task = Task {
            socket: Arc::new(socket),
            local,
            certificate,
            next: 0,
            connections: BTreeMap::new(),
            by_source: BTreeMap::new(),
            by_name: BTreeMap::new(),
            gate: Arc::default(),
            asked: Some(sender),
            ended,
        };
        platform::spawn(task.run(endings));
        Ok((Self { asked, bound }, addresses))
    }

    /// What it is bound to, which may mean all of the machine's addresses.
    pub(super) fn bound(&self) -> SocketAddr {
        self.bound
    }

    /// The next connection; none when the socket has failed.
    pub(super) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Asked>> {
        self.asked.poll_recv(cx)
    }
}

/// How many are half open, in all and by address.
#[derive(Default)]
struct Gate(BTreeMap<IpAddr, usize>);

/// A place among the half-open connections.
pub(super) struct Ticket {
    gate: Arc<Mutex<Gate>>,
    from: IpAddr,
}

impl Ticket {
    fn take(gate: &Arc<Mutex<Gate>>, source: IpAddr) -> Option<Self> {
        let from = network(source);
        let mut open = gate.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.0.values().sum();
        let here = open.0.entry(from).or_default();
        if all >= MAX_HALF_OPEN || *here >= MAX_HALF_OPEN_PER_ADDRESS {
            return None;
        }
        *here += 1;
        Some(Self { gate: gate.clone(), from })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut open = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.0.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                open.0.remove(&self.from);
            }
        }
    }
}

/// Whoever has one address of an IPv6 network has all of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

struct Connection {
    name: String,
    sources: Vec<SocketAddr>,
    inbox: Inbox,
}

struct Task {
    socket: Arc<Socket>,
    local: SocketAddr,
    certificate: DtlsCert,
    next: u64,
    connections: BTreeMap<u64, Connection>,
    by_source: BTreeMap<SocketAddr, u64>,
    by_name: BTreeMap<String, u64>,
    gate: Arc<Mutex<Gate>>,
    /// None once nobody listens any more.
    asked: Option<mpsc::Sender<Asked>>,
    /// Connections that ended; at most one each.
    ended: mpsc::UnboundedSender<u64>,
}

impl Task {
    async fn run(mut self, mut endings: mpsc::UnboundedReceiver<u64>) {
        let mut batch = Batch::new();
        let socket = self.socket.clone();
        loop {
            tokio::select! {
                received = poll_fn(|cx| socket.poll_receive(cx, &mut batch)) => match received {
                    Ok(()) => self.on_batch(&mut batch),
                    Err(error) => {
                        tracing::warn!(%error, local = %self.local, "a socket failed");
                        return;
                    }
                },
                Some(id) = endings.recv() => self.forget(id),
                () = closed(&self.asked) => self.asked = None,
            }
            if self.asked.is_none() && self.connections.is_empty() {
                return;
            }
        }
    }

    fn on_batch(&mut self, batch: &mut Batch) {
        let mut bundle: Option<Bundle> = None;
        while let Some(datagram) = batch.next() {
            if bundle.as_mut().is_some_and(|bundle| bundle.push(&datagram)) {
                continue;
            }
            self.hand_over(bundle.take());
            if self.knows(&datagram) {
                bundle = Some(Bundle::new(&datagram));
            }
        }
        self.hand_over(bundle);
    }

    fn hand_over(&self, bundle: Option<Bundle>) {
        let Some(bundle) = bundle else { return };
        let id = self.by_source.get(&bundle.source);
        if let Some(connection) = id.and_then(|id| self.connections.get(id)) {
            connection.inbox.put(bundle);
        }
    }

    /// Whether a datagram belongs to a connection, which may have begun with it.
    fn knows(&mut self, datagram: &Datagram<'_>) -> bool {
        if self.by_source.contains_key(&datagram.source) {
            return true;
        }
        let Some(name) = dialer(datagram.bytes) else { return false };
        match self.by_name.get(name).copied() {
            Some(id) => self.moved(id, datagram.source),
            None => self.ask(name, datagram.source),
        }
        .is_some()
    }

    /// A dialer that is known comes from another address.
    fn moved(&mut self, id: u64, source: SocketAddr) -> Option<u64> {
        let connection = self.connections.get_mut(&id)?;
        if connection.sources.len() >= MAX_SOURCES {
            let oldest = connection.sources.remove(0);
            self.by_source.remove(&oldest);
        }
        connection.sources.push(source);
        self.by_source.insert(source, id);
        Some(id)
    }

    /// Somebody dials.
    fn ask(&mut self, name: &str, source: SocketAddr) -> Option<u64> {
        let asked = self.asked.as_ref()?;
        if self.connections.len() >= MAX_CONNECTIONS {
            tracing::debug!(%source, "a dialer was not heard: too many connections");
            return None;
        }
        let Some(ticket) = Ticket::take(&self.gate, source.ip()) else {
            tracing::debug!(%source, "a dialer was not heard: too many connections are half open");
            return None;
        };
        let (hub, muxer) = Hub::new(channel::Config::default());
        let session = match answering(name, self.local, self.certificate.clone(), hub.clone()) {
            Ok(session) => session,
            Err(error) => {
                tracing::warn!(%error, "a dialer could not be answered");
                return None;
            }
        };
        let (pilot, connected) = Connecting::new();
        asked.try_send(Asked { source, muxer, connected, ticket }).ok()?;
        let (inbox, outlet) = outlet();
        let sockets = Sockets::shared(self.socket.clone(), self.local, outlet);
        let id = self.next;
        self.next += 1;
        let ending = Ending { id, ended: self.ended.clone() };
        platform::spawn(async move {
            let _ending = ending;
            drive(session, sockets, hub, pilot).await;
        });
        self.connections.insert(id, Connection { name: name.to_owned(), sources: vec![source], inbox });
        self.by_source.insert(source, id);
        self.by_name.insert(name.to_owned(), id);
        Some(id)
    }

    fn forget(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else { return };
        self.by_name.remove(&connection.name);
        for source in connection.sources {
            self.by_source.remove(&source);
        }
    }
}

/// However a connection's task ends.
struct Ending {
    id: u64,
    ended: mpsc::UnboundedSender<u64>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.ended.send(self.id);
    }
}

async fn closed(asked: &Option<mpsc::Sender<Asked>>) {
    match asked {
        Some(asked) => asked.closed().await,
        None => std::future::pending().await,
    }
}

/// The name of who sends a first STUN request; both halves of the user name are it.
fn dialer(datagram: &[u8]) -> Option<&str> {
    // RFC 7983: STUN's first byte.
    if *datagram.first()? > 3 {
        return None;
    }
    let message = StunMessage::parse(datagram).ok()?;
    if !message.is_binding_request() {
        return None;
    }
    let (server, client) = message.username()?.split_once(':')?;
    (server == client && server.starts_with(UFRAG_PREFIX) && server.len() <= MAX_UFRAG).then_some(client)
}
