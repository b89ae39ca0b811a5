//! What both platforms need for `/webrtc-direct`: libp2p/specs `webrtc/webrtc-direct.md`, revision r1 of 2023-04-12.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    time::Duration,
};

use futures::AsyncWriteExt;
use libp2p::{
    Multiaddr, PeerId,
    core::{
        Endpoint,
        multihash::Multihash,
        muxing::StreamMuxer,
        upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade},
    },
    identity::Keypair,
    multiaddr::Protocol,
    noise,
};
use rand::{Rng, SeedableRng, distr::Alphanumeric, rngs::StdRng};

use super::Muxer;
use crate::platform;

/// Until both sides have proven who they are.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);
/// What a dialer's name at ICE begins with.
pub(crate) const UFRAG_PREFIX: &str = "libp2p+webrtc+v1/";
/// The channel of the handshake, which both sides know of.
pub(crate) const HANDSHAKE_CHANNEL: u16 = 0;
const UFRAG_RANDOM: usize = 32;
const PROLOGUE: &[u8] = b"libp2p-webrtc-noise:";
const SHA2_256: u64 = 0x12;

/// SHA-256 of a certificate.
pub(crate) type Hash = [u8; 32];

/// A name for a dialer at ICE, which is its password, too.
pub(crate) fn dialer_name() -> String {
    let random = StdRng::from_seed(platform::random_seed()).sample_iter(Alphanumeric).take(UFRAG_RANDOM);
    UFRAG_PREFIX.chars().chain(random.map(char::from)).collect()
}

/// Address and certificate of `/ip4|ip6/../udp/../webrtc-direct[/certhash/..][/p2p/..]`.
pub(crate) fn parse(address: &Multiaddr) -> Option<(SocketAddr, Option<Hash>)> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::from(ip),
        Protocol::Ip6(ip) => IpAddr::from(ip),
        _ => return None,
    };
    let (Protocol::Udp(port), Protocol::WebRTCDirect) = (parts.next()?, parts.next()?) else { return None };
    let mut hash = None;
    for part in parts {
        match part {
            Protocol::Certhash(digest) if digest.code() == SHA2_256 && hash.is_none() => {
                hash = Some(digest.digest().try_into().ok()?);
            }
            Protocol::P2p(_) => {}
            _ => return None,
        }
    }
    Some((SocketAddr::new(ip, port), hash))
}

pub(crate) fn multihash(hash: &Hash) -> Multihash<64> {
    Multihash::wrap(SHA2_256, hash).expect("32 bytes are fewer than 64")
}

/// Noise over the handshake's channel, which is the first to come in; the server begins. It covers both certificates, so that nobody
/// stands between. Dropped or failed, the connection closes.
pub(crate) async fn shake_hands(
    side: Endpoint,
    client: Hash,
    server: Hash,
    key: Keypair,
    mut muxer: Muxer,
) -> io::Result<(PeerId, Muxer)> {
    let stream = poll_fn(|cx| Pin::new(&mut muxer).poll_inbound(cx)).await?;
    let prologue = [PROLOGUE, &multihash(&client).to_bytes(), &multihash(&server).to_bytes()].concat();
    let noise = noise::Config::new(&key).map_err(io::Error::other)?.with_prologue(prologue);
    let (peer, mut stream) = match side {
        Endpoint::Listener => noise.upgrade_outbound(stream, "/noise").await,
        Endpoint::Dialer => noise.upgrade_inbound(stream, "/noise").await,
    }
    .map_err(|error| io::Error::new(io::ErrorKind::PermissionDenied, error))?;
    // What was said last must still arrive; the channel is closed once it has.
    stream.close().await?;
    Ok((peer, muxer))
}

/// Nobody waits longer than [`HANDSHAKE`].
pub(crate) async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "the other side did not prove in time who it is");
    platform::timeout(HANDSHAKE, work).await.unwrap_or_else(|| Err(late()))
}
