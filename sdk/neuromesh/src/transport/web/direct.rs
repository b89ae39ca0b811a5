//! Dialling `/webrtc-direct`: a server without a TLS certificate, by the hash of its own.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use libp2p::{
    Multiaddr, PeerId, Transport as Libp2pTransport,
    core::{
        Endpoint,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
    identity::Keypair,
};
use neuromesh_core::webrtc::signal::{ConnectionState, Input};

use super::peer_connection::{Server, towards};
use crate::rtc::{
    Muxer, Order, Orders,
    direct::{Hash, dialer_name, in_time, parse, shake_hands},
    transport::spawned,
};

pub(super) struct Transport(pub(super) Keypair);

impl Libp2pTransport for Transport {
    type Output = (PeerId, Muxer);
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Self::Output>>;
    type Dial = BoxFuture<'static, io::Result<Self::Output>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        match parse(&address) {
            Some((remote, Some(server))) if !options.role.is_listener() && remote.port() != 0 => {
                Ok(spawned(in_time(dial(self.0.clone(), remote, server))))
            }
            _ => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Poll::Pending
    }
}

async fn dial(key: Keypair, remote: SocketAddr, server: Hash) -> io::Result<(PeerId, Muxer)> {
    let name = dialer_name();
    let answer = answer(remote, &server, &name);
    let (Orders { orders, mut events }, muxer) = towards(Server { answer, name }).map_err(io::Error::other)?;
    let mut own = None;
    loop {
        match events.recv().await {
            Some(Input::Described(sdp)) => own = fingerprint(&sdp),
            Some(Input::State(ConnectionState::Connected)) => break,
            Some(Input::Refused(reason)) => return Err(io::Error::other(format!("this browser refuses: {reason}"))),
            Some(Input::State(ConnectionState::Failed)) | None => return Err(io::ErrorKind::ConnectionRefused.into()),
            Some(_) => {}
        }
    }
    let own = own.ok_or_else(|| io::Error::other("this browser does not tell its certificate"))?;
    let _ = orders.send(Order::Established);
    shake_hands(Endpoint::Dialer, own, server, key, muxer).await
}

/// What the server would answer: libp2p/specs `webrtc/webrtc-direct.md`, "Browser to public server", steps 4 and 5.
fn answer(remote: SocketAddr, server: &Hash, name: &str) -> String {
    let version = if remote.is_ipv4() { "IP4" } else { "IP6" };
    let (ip, port) = (remote.ip(), remote.port());
    let print: Vec<String> = server.iter().map(|byte| format!("{byte:02X}")).collect();
    let lines = [
        "v=0".to_owned(),
        format!("o=- 0 0 IN {version} {ip}"),
        "s=-".to_owned(),
        format!("c=IN {version} {ip}"),
        "t=0 0".to_owned(),
        "a=ice-lite".to_owned(),
        format!("m=application {port} UDP/DTLS/SCTP webrtc-datachannel"),
        "a=mid:0".to_owned(),
        "a=ice-options:ice2".to_owned(),
        format!("a=ice-ufrag:{name}"),
        format!("a=ice-pwd:{name}"),
        format!("a=fingerprint:sha-256 {}", print.join(":")),
        "a=setup:passive".to_owned(),
        "a=sctp-port:5000".to_owned(),
        "a=max-message-size:16384".to_owned(),
        format!("a=candidate:1467250027 1 UDP 1467250027 {ip} {port} typ host"),
        "a=end-of-candidates".to_owned(),
    ];
    lines.map(|line| line + "\r\n").concat()
}

/// SHA-256 of the own certificate, from the own description.
fn fingerprint(sdp: &str) -> Option<Hash> {
    let text = sdp.lines().find_map(|line| line.strip_prefix("a=fingerprint:sha-256 "))?;
    let bytes: Option<Vec<u8>> = text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes?.try_into().ok()
}
