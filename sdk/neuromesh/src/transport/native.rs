use std::{io, time::Duration};

use libp2p::{
    PeerId, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    dns,
    identity::Keypair,
    noise, quic, swarm, tcp, websocket, yamux,
};

/// Connecting, with Noise and yamux.
const CONNECT: Duration = Duration::from_secs(10);

/// QUIC; WebSocket and TCP under Noise and yamux. WebSocket stands before TCP, which would take its addresses.
pub(crate) fn build(key: &Keypair) -> io::Result<Boxed<(PeerId, StreamMuxerBox)>> {
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
    let streams = websocket::Config::new(resolver()?)
        .or_transport(resolver()?)
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key).map_err(io::Error::other)?)
        .multiplex(yamux::Config::default())
        .timeout(CONNECT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let quic = quic::tokio::Transport::new(quic::Config::new(key))
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    Ok(quic.or_transport(streams).map(|either, _| either.into_inner()).boxed())
}

pub(crate) fn swarm_config() -> swarm::Config {
    swarm::Config::with_tokio_executor()
}
