#[path = "web/direct.rs"]
mod direct;
#[path = "web/peer_connection.rs"]
mod peer_connection;
#[path = "web/socket.rs"]
mod socket;

use std::{io, time::Duration};

use libp2p::{
    PeerId, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identity::Keypair,
    noise, relay, swarm, websocket_websys, yamux,
};

use crate::{
    error::{Error, ErrorKind},
    rtc::{self, Certificate},
};

pub(crate) use peer_connection::connect;

/// Connecting, with Noise and yamux; a WebSocket that fails before it opens would otherwise never be heard of again.
const CONNECT: Duration = Duration::from_secs(5);

/// WebRTC to tabs and to servers; WebSocket, and circuits through relays, under Noise and yamux. WebRTC stands first: relays would take its addresses.
pub(crate) fn build(
    key: &Keypair,
    circuits: relay::client::Transport,
    direct: rtc::Transport,
    _: Option<Certificate>,
) -> io::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    let streams = circuits
        .or_transport(websocket_websys::Transport::default().map(|socket, _| socket::Socket(socket)))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key).map_err(io::Error::other)?)
        .multiplex(yamux::Config::default())
        .timeout(CONNECT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let servers = direct::Transport(key.clone()).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let streams = servers.or_transport(streams).map(|either, _| either.into_inner());
    let direct = direct.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    Ok(direct.or_transport(streams).map(|either, _| either.into_inner()).boxed())
}

/// A browser makes its certificates itself and keeps their keys.
pub(crate) fn generate_certificate() -> Result<Certificate, Error> {
    Err(Error::new(ErrorKind::Network, "a browser makes its certificates itself"))
}

pub(crate) fn swarm_config() -> swarm::Config {
    swarm::Config::with_executor(
        wasm_bindgen_futures::spawn_local::<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> as fn(_),
    )
}
