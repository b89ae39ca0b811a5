//! `/webrtc-direct`: libp2p/specs `webrtc/webrtc-direct.md`, revision r1 of 2023-04-12. A server that answers under one UDP port with a
//! certificate whose hash is in its address, and the dialer that servers and tests need.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use futures::{FutureExt, future::BoxFuture};
use if_watch::tokio::IfWatcher;
use libp2p::{
    Multiaddr, PeerId, Transport as Libp2pTransport,
    core::{
        Endpoint,
        muxing::StreamMuxer,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
    identity::Keypair,
    multiaddr::Protocol,
};
use neuromesh_core::webrtc::channel;
use str0m::{
    Candidate, IceCreds, RtcConfig as Machine, config::DtlsCert, config::Fingerprint, crypto::from_feature_flags,
};
use tokio::sync::oneshot;

use super::{
    drive::{Pilot, drive},
    listener::{Listener, Ticket},
    peer_connection::machine,
    session::{Lost, Session, clock},
    sockets::{self, Sockets},
};
use crate::{
    error::{Error, ErrorKind},
    platform,
    rtc::{
        Certificate, Hub, Muxer,
        direct::{HANDSHAKE_CHANNEL, Hash, dialer_name, in_time, multihash, parse, shake_hands},
    },
};

#[cfg(test)]
#[path = "direct_tests.rs"]
mod tests;

/// A new certificate.
pub(crate) fn generate_certificate() -> Result<Certificate, Error> {
    let made = from_feature_flags().dtls_provider.generate_certificate();
    let made = made.ok_or_else(|| Error::new(ErrorKind::Network, "no certificate could be made"))?;
    Ok(Certificate { certificate: made.certificate, private_key: made.private_key })
}

fn pair(certificate: &Certificate) -> DtlsCert {
    let Certificate { certificate, private_key } = certificate.clone();
    DtlsCert { certificate, private_key }
}

/// The machine takes a key at its word, and panics when it is none.
fn usable(certificate: &Certificate) -> io::Result<()> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &certificate.private_key)
        .map(drop)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("not the key of a certificate: {error}")))
}

fn hash(certificate: &Certificate) -> Hash {
    from_feature_flags().sha256_provider.sha256(&certificate.certificate)
}

/// Listens on `/ip4/../udp/../webrtc-direct`, dials the same with the server's `/certhash/..`.
pub(crate) struct Transport {
    key: Keypair,
    certificate: Certificate,
    hash: Hash,
    listeners: Vec<Listening>,
    /// Tells when addresses of this machine come and go; none before somebody listens on all of them, or where that is not to be had.
    watcher: Option<IfWatcher>,
    events: VecDeque<Happened>,
}

type Happened = TransportEvent<<Transport as Libp2pTransport>::ListenerUpgrade, io::Error>;

struct Listening {
    id: ListenerId,
    listener: Listener,
    /// Under which others dial it.
    addresses: Vec<Multiaddr>,
}

impl Transport {
    /// With a certificate for this run alone where none is given.
    ///
    /// # Errors
    /// The one that is given is none, or none can be made.
    pub(crate) fn new(key: Keypair, certificate: Option<Certificate>) -> io::Result<Self> {
        let certificate = certificate.map_or_else(generate_certificate, Ok).map_err(io::Error::other)?;
        usable(&certificate)?;
        let hash = hash(&certificate);
        Ok(Self { key, certificate, hash, listeners: Vec::new(), watcher: None, events: VecDeque::new() })
    }

    /// Looks again under which addresses this machine is reached, if any has come or gone.
    fn follow(&mut self, cx: &mut Context<'_>) {
        let mut changed = false;
        while let Some(Poll::Ready(event)) = self.watcher.as_mut().map(|watcher| watcher.poll_if_event(cx)) {
            changed = true;
            if let Err(error) = event {
                tracing::warn!(%error, "addresses that come or go are not heard of any more");
                self.watcher = None;
            }
        }
        if !changed {
            return;
        }
        for Listening { id, listener, addresses } in &mut self.listeners {
            match expanded(listener.bound()) {
                Ok(found) => {
                    let found = found.into_iter().map(|address| written(address, &self.hash)).collect();
                    self.events.extend(differences(*id, &std::mem::replace(addresses, found), addresses));
                }
                Err(error) => tracing::debug!(%error, "the machine's addresses are not known now"),
            }
        }
    }
}

/// What became of the addresses of a listener.
fn differences<'a>(
    listener_id: ListenerId,
    before: &'a [Multiaddr],
    now: &'a [Multiaddr],
) -> impl Iterator<Item = Happened> + use<'a> {
    let only = |these: &'a [Multiaddr], those: &'a [Multiaddr]| these.iter().filter(|it| !those.contains(it)).cloned();
    let gone = only(before, now).map(move |listen_addr| TransportEvent::AddressExpired { listener_id, listen_addr });
    gone.chain(only(now, before).map(move |listen_addr| TransportEvent::NewAddress { listener_id, listen_addr }))
}

impl Libp2pTransport for Transport {
    type Output = (PeerId, Muxer);
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Self::Output>>;
    type Dial = BoxFuture<'static, io::Result<Self::Output>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        let Some((wanted, None)) = parse(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let (listener, reachable) = Listener::bind(wanted, pair(&self.certificate)).map_err(TransportError::Other)?;
        let addresses: Vec<_> = reachable.into_iter().map(|address| written(address, &self.hash)).collect();
        self.events.extend(differences(id, &[], &addresses));
        self.listeners.push(Listening { id, listener, addresses });
        if wanted.ip().is_unspecified() && self.watcher.is_none() {
            self.watcher = IfWatcher::new()
                .inspect_err(|error| tracing::warn!(%error, "addresses that come or go are not heard of"))
                .ok();
        }
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let Some(index) = self.listeners.iter().position(|listening| listening.id == id) else { return false };
        let Listening { id: listener_id, addresses, .. } = self.listeners.remove(index);
        self.events.extend(differences(listener_id, &addresses, &[]));
        self.events.push_back(TransportEvent::ListenerClosed { listener_id, reason: Ok(()) });
        true
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        match parse(&address) {
            Some((remote, Some(server))) if !options.role.is_listener() && remote.port() != 0 => {
                Ok(dial(self.key.clone(), remote, server).boxed())
            }
            _ => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let this = &mut *self;
        this.follow(cx);
        if let Some(event) = this.events.pop_front() {
            return Poll::Ready(event);
        }
        for (index, Listening { id, listener, addresses }) in this.listeners.iter_mut().enumerate() {
            match listener.poll_accept(cx) {
                Poll::Ready(Some(asked)) => {
                    let (key, hash) = (this.key.clone(), this.hash);
                    let ticket = asked.ticket;
                    let upgrade = async move {
                        let _ticket: Ticket = ticket;
                        authenticate(Endpoint::Listener, hash, key, asked.muxer, asked.connected).await
                    };
                    return Poll::Ready(TransportEvent::Incoming {
                        listener_id: *id,
                        upgrade: upgrade.boxed(),
                        local_addr: addresses.first().cloned().unwrap_or_else(Multiaddr::empty),
                        send_back_addr: plain(asked.source),
                    });
                }
                Poll::Ready(None) => {
                    let Listening { id: listener_id, .. } = this.listeners.remove(index);
                    let reason = Err(io::Error::new(io::ErrorKind::NotConnected, "the socket failed"));
                    return Poll::Ready(TransportEvent::ListenerClosed { listener_id, reason });
                }
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }
}

/// Without a certificate.
fn plain(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Udp(address.port())).with(Protocol::WebRTCDirect)
}

/// As others dial it.
fn written(address: SocketAddr, hash: &Hash) -> Multiaddr {
    plain(address).with(Protocol::Certhash(multihash(hash)))
}

/// Tells whoever waits for the connection whose certificate the other side has.
pub(super) struct Connecting(Option<oneshot::Sender<Hash>>);

impl Connecting {
    pub(super) fn new() -> (Self, oneshot::Receiver<Hash>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(sender)), receiver)
    }
}

impl Pilot for Connecting {
    fn poll(&mut self, _: &mut Context<'_>, _: &mut Session) -> Poll<Result<(), Lost>> {
        Poll::Pending
    }

    fn look(&mut self, session: &mut Session) {
        if session.is_connected()
            && let Some(sender) = self.0.take()
            && let Some(print) = session.rtc().direct_api().remote_dtls_fingerprint()
            && let Ok(hash) = print.bytes.as_slice().try_into()
        {
            let _ = sender.send(hash);
        }
    }
}

/// A machine of either side; `name` is what the dialer chose.
pub(super) fn configured(machine: Machine, name: &str) -> (Machine, IceCreds) {
    let credentials = IceCreds { ufrag: name.to_owned(), pass: name.to_owned() };
    (machine.set_local_ice_credentials(credentials.clone()), credentials)
}

/// A connection that a dialer called `name` asked a server for.
pub(super) fn answering(name: &str, local: SocketAddr, certificate: DtlsCert, hub: Hub) -> Result<Session, Lost> {
    let (machine, credentials) = configured(machine(), name);
    // Who the dialer is shows in the handshake, which covers both certificates.
    let machine = machine.set_dtls_cert(certificate).set_ice_lite(true).set_fingerprint_verification(false);
    begin(machine, credentials, local, None, [0; 32], hub)
}

fn begin(
    machine: Machine,
    credentials: IceCreds,
    local: SocketAddr,
    remote: Option<SocketAddr>,
    expected: Hash,
    hub: Hub,
) -> Result<Session, Lost> {
    let now = clock();
    let is_dialer = remote.is_some();
    let mut rtc = machine.build(now);
    let host = |address| Candidate::host(address, "udp").map_err(io::Error::other);
    rtc.add_local_candidate(host(local)?);
    if let Some(remote) = remote {
        rtc.add_remote_candidate(host(remote)?);
    }
    let mut api = rtc.direct_api();
    api.set_remote_ice_credentials(credentials);
    api.set_remote_fingerprint(Fingerprint { hash_func: "sha-256".to_owned(), bytes: expected.to_vec() });
    api.set_ice_controlling(is_dialer);
    api.start_dtls(is_dialer)?;
    api.start_sctp(is_dialer);
    let mut session = Session::new(rtc, hub, now);
    session.negotiated(HANDSHAKE_CHANNEL);
    Ok(session)
}

async fn dial(key: Keypair, remote: SocketAddr, server: Hash) -> io::Result<(PeerId, Muxer)> {
    let (machine, credentials) = configured(machine(), &dialer_name());
    let certificate = generate_certificate().map_err(io::Error::other)?;
    let own = hash(&certificate);
    let machine =
        machine.set_dtls_cert(DtlsCert { certificate: certificate.certificate, private_key: certificate.private_key });
    let sockets = Sockets::towards(remote)?;
    let local = sockets.addresses().first().copied().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let (hub, muxer) = Hub::new(channel::Config::default());
    let session = begin(machine, credentials, local, Some(remote), server, hub.clone()).map_err(io::Error::other)?;
    let (pilot, connected) = Connecting::new();
    platform::spawn(drive(session, sockets, hub, pilot));
    authenticate(Endpoint::Dialer, own, key, muxer, connected).await
}

/// Until both sides have proven who they are; `own` is the hash of the certificate here. Dropped or failed, the connection closes.
async fn authenticate(
    side: Endpoint,
    own: Hash,
    key: Keypair,
    mut muxer: Muxer,
    connected: oneshot::Receiver<Hash>,
) -> io::Result<(PeerId, Muxer)> {
    in_time(async move {
        let Ok(theirs) = connected.await else {
            let lost = poll_fn(|cx| Pin::new(&mut muxer).poll(cx)).await;
            return Err(lost.err().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into()));
        };
        let (client, server) = match side {
            Endpoint::Listener => (theirs, own),
            Endpoint::Dialer => (own, theirs),
        };
        shake_hands(side, client, server, key, muxer).await
    })
    .await
}

/// The addresses behind one that means all of them.
pub(super) fn expanded(bound: SocketAddr) -> io::Result<Vec<SocketAddr>> {
    if !bound.ip().is_unspecified() {
        return Ok(vec![bound]);
    }
    let all = sockets::addresses()?.into_iter().filter(|ip| ip.is_ipv4() == bound.is_ipv4());
    Ok(all.map(|ip| SocketAddr::new(ip, bound.port())).collect())
}
