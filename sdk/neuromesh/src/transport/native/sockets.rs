//! Where a connection's datagrams come from and go to.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
};

use socket2::{Domain, Socket, Type};
use str0m::net::Transmit;
use tokio::{io::ReadBuf, net::UdpSocket, sync::mpsc};

/// The longest datagram that is read; WebRTC's are made for a path of 1,500 bytes.
pub(super) const MAX_DATAGRAM: usize = 2000;
/// What the system should hold of datagrams until they are read; it may give less. A window of data arrives in one burst.
const RECEIVE_BUFFER: usize = 4 << 20;
/// The most addresses of this machine that are tried.
const MAX_ADDRESSES: usize = 16;

/// The sockets of one connection.
pub(super) enum Sockets {
    /// Its own, one per address of the machine, each with its address.
    Own(Vec<(UdpSocket, SocketAddr)>),
    /// A part of what a listener receives.
    Shared {
        socket: Arc<UdpSocket>,
        /// What the machine believes to be the socket's address.
        local: SocketAddr,
        inbox: mpsc::Receiver<(SocketAddr, Vec<u8>)>,
    },
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
            match bind(SocketAddr::new(address, 0)) {
                Ok(bound) => own.push(bound),
                // An address that has just gone must not cost the others.
                Err(error) => failed = error,
            }
        }
        if own.is_empty() { Err(failed) } else { Ok(Self::Own(own)) }
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
        Ok(Self::Own(vec![bind(SocketAddr::new(probe.local_addr()?.ip(), 0))?]))
    }

    /// The addresses that the other side can be told.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Own(own) => own.iter().map(|(_, address)| *address).collect(),
            Self::Shared { local, .. } => vec![*local],
        }
    }

    /// The next datagram: its length in `into`, from where, to which of the own addresses. A longer one is cut off.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr, SocketAddr)>> {
        match self {
            Self::Own(own) => {
                for (socket, local) in own {
                    let mut buffer = ReadBuf::new(into);
                    // An error speaks of a datagram that was sent before; the next one may still arrive.
                    while let Poll::Ready(result) = socket.poll_recv_from(cx, &mut buffer) {
                        match result {
                            Ok(source) => return Poll::Ready(Ok((buffer.filled().len(), source, *local))),
                            Err(error) if is_passing(&error) => buffer.clear(),
                            Err(error) => return Poll::Ready(Err(error)),
                        }
                    }
                }
                Poll::Pending
            }
            Self::Shared { local, inbox, .. } => inbox.poll_recv(cx).map(|received| {
                let (source, datagram) = received.ok_or(io::ErrorKind::NotConnected)?;
                let len = datagram.len().min(into.len());
                into[..len].copy_from_slice(&datagram[..len]);
                Ok((len, source, *local))
            }),
        }
    }

    /// Hands a datagram to the system. False: not now. One that cannot be sent is lost, as on any way.
    pub(super) fn try_send(&self, transmit: &Transmit) -> bool {
        let Some(socket) = self.from(transmit.source) else { return true };
        let sent = socket.try_send_to(&transmit.contents, transmit.destination);
        !sent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    fn from(&self, source: SocketAddr) -> Option<&UdpSocket> {
        match self {
            Self::Own(own) => own.iter().find(|(_, local)| *local == source).map(|(socket, _)| socket),
            Self::Shared { socket, .. } => Some(socket),
        }
    }
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

/// A socket with room for a burst, and its address.
pub(super) fn bind(address: SocketAddr) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        // Addresses of the other kind would look like of this one.
        socket.set_only_v6(true)?;
    }
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER) {
        tracing::debug!(%error, "the receive buffer stays as it is");
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from_std(socket.into())?;
    let local = socket.local_addr()?;
    Ok((socket, local))
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
