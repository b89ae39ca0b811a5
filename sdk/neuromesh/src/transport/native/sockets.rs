//! Where a connection's datagrams come from and go to.
//!
//! The system takes and gives several at a time where it can (`recvmmsg`, segmentation offload): at 40 MiB/s there are 35,000 a second, and
//! a call and a wake-up for each cost more than what is done with it.

use std::{
    collections::VecDeque,
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use quinn_udp::{RecvMeta, UdpSocketState};
use socket2::{Domain, Type};
use str0m::net::Transmit;
use tokio::{io::Interest, net::UdpSocket, sync::mpsc};

#[cfg(test)]
#[path = "sockets_tests.rs"]
mod tests;

/// The longest datagram that is read; WebRTC's are made for a path of 1,500 bytes.
pub(super) const MAX_DATAGRAM: usize = 2000;
/// What the system should hold of datagrams until they are read; it may give less. A window of data arrives in one burst.
const RECEIVE_BUFFER: usize = 4 << 20;
/// The most addresses of this machine that are tried.
const MAX_ADDRESSES: usize = 16;
/// What one call of the system fills: so many buffers, each with a datagram, or with several that the system has put together.
const BUFFERS: usize = 8;
const BUFFER: usize = 64 << 10;
/// What is handed to the system with one call, in bytes.
const MAX_RUN: usize = 32 << 10;
/// Datagrams that wait for a connection's task; what comes beyond is lost, as on any way. A window of data fits.
const INBOX: usize = 1024;

/// A datagram that came.
pub(super) struct Datagram<'a> {
    pub(super) source: SocketAddr,
    /// To which of the machine's addresses, where the system tells.
    pub(super) to: Option<IpAddr>,
    /// Cut off after [`MAX_DATAGRAM`].
    pub(super) bytes: &'a [u8],
}

/// A socket of the system.
pub(super) struct Socket {
    io: UdpSocket,
    system: UdpSocketState,
    local: SocketAddr,
}

/// What came with one call of the system.
pub(super) struct Batch {
    memory: Vec<u8>,
    meta: Vec<RecvMeta>,
    filled: usize,
    /// What is next: in which buffer, and where in it.
    next: (usize, usize),
}

/// Datagrams of one sender that came together, on their way from a listener to their connection.
pub(super) struct Bundle {
    pub(super) source: SocketAddr,
    pub(super) to: Option<IpAddr>,
    bytes: Vec<u8>,
    lengths: Vec<usize>,
}

/// What a connection hears of a listener's socket.
pub(super) struct Outlet {
    bundles: mpsc::UnboundedReceiver<Bundle>,
    /// Datagrams in them; at most [`INBOX`].
    waiting: Arc<AtomicUsize>,
    current: Option<Bundle>,
    /// What is next of it: which datagram, and where it begins.
    next: (usize, usize),
}

/// The listener's end of an [`Outlet`].
pub(super) struct Inbox {
    bundles: mpsc::UnboundedSender<Bundle>,
    waiting: Arc<AtomicUsize>,
}

/// The sockets of one connection.
pub(super) enum Sockets {
    /// Its own, one per address of the machine.
    Own {
        sockets: Vec<Socket>,
        batch: Batch,
        /// Which socket has filled the batch.
        last: usize,
    },
    /// A part of what a listener receives.
    Shared {
        socket: Arc<Socket>,
        /// What the machine believes to be the socket's address.
        local: SocketAddr,
        outlet: Outlet,
        /// The address that the other side talks to, where the socket has several: an answer from another one would not be heard.
        answers_from: Option<IpAddr>,
    },
}

impl Socket {
    /// One with room for a burst.
    ///
    /// # Errors
    /// The address is taken or is none of this machine's.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        if address.is_ipv6() {
            // Addresses of the other kind would look like of this one.
            socket.set_only_v6(true)?;
        }
        if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER) {
            tracing::debug!(%error, "the receive buffer stays as it is");
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let io = UdpSocket::from_std(socket.into())?;
        let (system, local) = (UdpSocketState::new((&io).into())?, io.local_addr()?);
        Ok(Self { io, system, local })
    }

    /// What it is bound to.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Takes in what has come.
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>, batch: &mut Batch) -> Poll<io::Result<()>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let received = self.io.try_io(Interest::READABLE, || {
                batch.fill(|buffers, meta| self.system.recv((&self.io).into(), buffers, meta))
            });
            match received {
                Ok(()) => return Poll::Ready(Ok(())),
                // It speaks of a datagram that was sent before; the next one may still arrive.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock || is_passing(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Hands datagrams of one length to the system, of which the last may be shorter. False: not now. What cannot be sent is lost, as on
    /// any way.
    fn try_send(&self, contents: &[u8], length: usize, destination: SocketAddr, src_ip: Option<IpAddr>) -> bool {
        let segment_size = (contents.len() > length).then_some(length);
        let transmit = quinn_udp::Transmit { destination, ecn: None, contents, segment_size, src_ip };
        let sent = self.io.try_io(Interest::WRITABLE, || self.system.try_send((&self.io).into(), &transmit));
        !sent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { memory: vec![0; BUFFERS * BUFFER], meta: vec![RecvMeta::default(); BUFFERS], filled: 0, next: (0, 0) }
    }

    fn fill(
        &mut self,
        receive: impl FnOnce(&mut [IoSliceMut<'_>], &mut [RecvMeta]) -> io::Result<usize>,
    ) -> io::Result<()> {
        (self.filled, self.next) = (0, (0, 0));
        let mut chunks = self.memory.chunks_exact_mut(BUFFER);
        let mut buffers: [IoSliceMut<'_>; BUFFERS] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        self.filled = receive(&mut buffers, &mut self.meta)?.min(BUFFERS);
        Ok(())
    }

    /// Whether there is a next one.
    fn has_more(&mut self) -> bool {
        while self.next.0 < self.filled && self.next.1 >= self.meta[self.next.0].len {
            self.next = (self.next.0 + 1, 0);
        }
        self.next.0 < self.filled
    }

    /// The next datagram; empty ones are passed over.
    pub(super) fn next(&mut self) -> Option<Datagram<'_>> {
        if !self.has_more() {
            return None;
        }
        let (index, start) = self.next;
        let meta = &self.meta[index];
        let end = meta.len.min(start + meta.stride.max(1)).min(BUFFER);
        self.next.1 = end.max(start + 1);
        let bytes = &self.memory[index * BUFFER..][start..end];
        Some(Datagram { source: meta.addr, to: meta.dst_ip, bytes: &bytes[..bytes.len().min(MAX_DATAGRAM)] })
    }
}

impl Bundle {
    pub(super) fn new(first: &Datagram<'_>) -> Self {
        Self { source: first.source, to: first.to, bytes: first.bytes.to_vec(), lengths: vec![first.bytes.len()] }
    }

    /// Takes another of the same sender; otherwise false.
    pub(super) fn push(&mut self, datagram: &Datagram<'_>) -> bool {
        let same = (self.source, self.to) == (datagram.source, datagram.to);
        if same {
            self.bytes.extend_from_slice(datagram.bytes);
            self.lengths.push(datagram.bytes.len());
        }
        same
    }
}

/// A way for datagrams from a listener to a connection.
pub(super) fn outlet() -> (Inbox, Outlet) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::<AtomicUsize>::default();
    let outlet = Outlet { bundles: receiver, waiting: waiting.clone(), current: None, next: (0, 0) };
    (Inbox { bundles: sender, waiting }, outlet)
}

impl Inbox {
    /// Hands over what fits.
    pub(super) fn put(&self, bundle: Bundle) {
        let count = bundle.lengths.len();
        // Nobody else adds.
        if self.waiting.load(Ordering::Relaxed) + count <= INBOX {
            self.waiting.fetch_add(count, Ordering::Relaxed);
            let _ = self.bundles.send(bundle);
        }
    }
}

impl Outlet {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Datagram<'_>>> {
        while self.current.as_ref().is_none_or(|bundle| self.next.0 >= bundle.lengths.len()) {
            let bundle = ready!(self.bundles.poll_recv(cx)).ok_or(io::ErrorKind::NotConnected)?;
            self.waiting.fetch_sub(bundle.lengths.len(), Ordering::Relaxed);
            (self.current, self.next) = (Some(bundle), (0, 0));
        }
        let bundle = self.current.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let (index, start) = self.next;
        let end = start + bundle.lengths[index];
        self.next = (index + 1, end);
        Poll::Ready(Ok(Datagram { source: bundle.source, to: bundle.to, bytes: &bundle.bytes[start..end] }))
    }
}

impl Sockets {
    /// One for each address under which others may reach this machine.
    ///
    /// # Errors
    /// There is none, or no socket can be had.
    pub(super) fn everywhere() -> io::Result<Self> {
        let mut own = Vec::new();
        let mut failed = io::Error::new(io::ErrorKind::AddrNotAvailable, "this machine has no network address");
        for address in addresses()? {
            match Socket::bind(SocketAddr::new(address, 0)) {
                Ok(bound) => own.push(bound),
                // An address that has just gone must not cost the others.
                Err(error) => failed = error,
            }
        }
        if own.is_empty() { Err(failed) } else { Ok(Self::own(own)) }
    }

    /// One that can reach `remote`.
    ///
    /// # Errors
    /// No socket can be had, or no way leads there.
    pub(super) fn towards(remote: SocketAddr) -> io::Result<Self> {
        let unspecified: IpAddr = match remote {
            SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        // Connecting sends nothing; it asks the system which of its addresses it would use.
        let probe = std::net::UdpSocket::bind((unspecified, 0))?;
        probe.connect(remote)?;
        Ok(Self::own(vec![Socket::bind(SocketAddr::new(probe.local_addr()?.ip(), 0))?]))
    }

    fn own(sockets: Vec<Socket>) -> Self {
        Self::Own { sockets, batch: Batch::new(), last: 0 }
    }

    /// Those of a connection that hears a part of `socket`, which `local` is an address of.
    pub(super) fn shared(socket: Arc<Socket>, local: SocketAddr, outlet: Outlet) -> Self {
        Self::Shared { socket, local, outlet, answers_from: None }
    }

    /// The addresses that the other side can be told.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Own { sockets, .. } => sockets.iter().map(Socket::local).collect(),
            Self::Shared { local, .. } => vec![*local],
        }
    }

    /// The next datagram, and to which of the own addresses it came.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Datagram<'_>, SocketAddr)>> {
        match self {
            Self::Own { sockets, batch, last } => {
                while !batch.has_more() {
                    let mut all = sockets.iter().enumerate();
                    let filled = all.find_map(|(index, socket)| match socket.poll_receive(cx, batch) {
                        Poll::Ready(result) => Some(result.map(|()| index)),
                        Poll::Pending => None,
                    });
                    let Some(index) = filled else { return Poll::Pending };
                    *last = index?;
                }
                let local = sockets[*last].local;
                Poll::Ready(batch.next().map(|datagram| (datagram, local)).ok_or(io::ErrorKind::NotConnected.into()))
            }
            Self::Shared { socket, local, outlet, answers_from } => {
                let datagram = ready!(outlet.poll_next(cx))?;
                *answers_from = datagram.to.filter(|_| socket.local.ip().is_unspecified());
                Poll::Ready(Ok((datagram, *local)))
            }
        }
    }

    /// Hands what is waiting to the system, as far as it takes it: whether it took all.
    pub(super) fn send(&self, waiting: &mut VecDeque<Transmit>, memory: &mut Vec<u8>) -> bool {
        while let Some(first) = waiting.front() {
            let (socket, src_ip) = match self {
                Self::Own { sockets, .. } => (sockets.iter().find(|socket| socket.local == first.source), None),
                Self::Shared { socket, answers_from, .. } => (Some(&**socket), *answers_from),
            };
            let Some(socket) = socket else {
                waiting.pop_front();
                continue;
            };
            let count = run(waiting, socket.system.max_gso_segments());
            memory.clear();
            waiting.iter().take(count).for_each(|transmit| memory.extend_from_slice(&transmit.contents));
            if !socket.try_send(memory, first.contents.len(), first.destination, src_ip) {
                return false;
            }
            waiting.drain(..count);
        }
        true
    }
}

/// How many of the first can go as one: the same way, and of the same length, but for a shorter one at the end.
fn run(waiting: &VecDeque<Transmit>, most: usize) -> usize {
    let Some(first) = waiting.front() else { return 0 };
    let length = first.contents.len();
    let most = most.min(MAX_RUN / length.max(1)).max(1);
    let way = (first.source, first.destination);
    let mut count = 1;
    for next in waiting.iter().take(most).skip(1) {
        if (next.source, next.destination) != way || next.contents.len() > length || next.contents.is_empty() {
            break;
        }
        count += 1;
        if next.contents.len() < length {
            break;
        }
    }
    count
}

/// What ICMP reports, and what Windows makes of it.
pub(super) fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::Interrupted
    )
}

/// The machine's own addresses. Loopback is for machines that have nothing else.
pub(super) fn addresses() -> io::Result<Vec<IpAddr>> {
    let all: Vec<IpAddr> = if_addrs::get_if_addrs()?.iter().map(if_addrs::Interface::ip).filter(is_usable).collect();
    let beyond: Vec<IpAddr> = all.iter().copied().filter(|address| !address.is_loopback()).collect();
    let mut chosen = if beyond.is_empty() { all } else { beyond };
    chosen.truncate(MAX_ADDRESSES);
    Ok(chosen)
}

/// Link-local addresses mean nothing without an interface.
fn is_usable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_link_local() && !address.is_unspecified(),
        IpAddr::V6(address) => !address.is_unicast_link_local() && !address.is_unspecified(),
    }
}
