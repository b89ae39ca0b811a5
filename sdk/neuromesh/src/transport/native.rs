#[path = "native/direct.rs"]
mod direct;
#[path = "native/drive.rs"]
mod drive;
#[path = "native/listener.rs"]
mod listener;
#[path = "native/peer_connection.rs"]
mod peer_connection;
#[path = "native/session.rs"]
mod session;
#[path = "native/sockets.rs"]
mod sockets;
#[cfg(test)]
#[path = "native/tests.rs"]
mod tests;

use std::{io, time::Duration};

use libp2p::{
    PeerId, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    dns,
    identity::Keypair,
    noise, quic, relay, swarm, tcp, websocket, yamux,
};

use crate::rtc::{self, Certificate};

pub(crate) use direct::generate_certificate;
pub(crate) use peer_connection::connect;

/// Connecting, with Noise and yamux.
const CONNECT: Duration = Duration::from_secs(10);

/// WebRTC, which relays would take the addresses of; WebRTC to servers; QUIC; circuits through relays, WebSocket and TCP under Noise and yamux.
/// WebSocket stands before TCP, which would take its addresses.
pub(crate) fn build(
    key: &Keypair,
    circuits: relay::client::Transport,
    direct: rtc::Transport,
    certificate: Option<Certificate>,
) -> io::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    let tcp = || tcp::tokio::Transport::new(tcp::Config::new().nodelay(true));
    let resolver = || {
        dns::tokio::Transport::system(tcp()).or_else(|error| {
            tracing::warn!(%error, "no usable system resolver; /dns addresses go to the default one");
            Ok::<_, io::Error>(dns::tokio::Transport::custom(
                tcp(),
                dns::ResolverConfig::default(),
                dns::ResolverOpts::default(),
            ))
        })
    };
    let streams = circuits
        .or_transport(websocket::Config::new(resolver()?))
        .or_transport(resolver()?)
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key).map_err(io::Error::other)?)
        .multiplex(yamux::Config::default())
        .timeout(CONNECT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let quic = quic::tokio::Transport::new(quic::Config::new(key))
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let direct = direct.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let listed =
        direct::Transport::new(key.clone(), certificate)?.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let servers = quic.or_transport(streams).map(|either, _| either.into_inner());
    let servers = listed.or_transport(servers).map(|either, _| either.into_inner());
    Ok(direct.or_transport(servers).map(|either, _| either.into_inner()).boxed())
}

pub(crate) fn swarm_config() -> swarm::Config {
    swarm::Config::with_tokio_executor()
}
