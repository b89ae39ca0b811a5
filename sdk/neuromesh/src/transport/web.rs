use std::{io, time::Duration};

use libp2p::{
    PeerId, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identity::Keypair,
    noise, swarm, websocket_websys, yamux,
};

/// Connecting, with Noise and yamux; a WebSocket that fails before it opens would otherwise never be heard of again.
const CONNECT: Duration = Duration::from_secs(5);

/// WebSocket under Noise and yamux.
pub(crate) fn build(key: &Keypair) -> io::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    Ok(websocket_websys::Transport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key).map_err(io::Error::other)?)
        .multiplex(yamux::Config::default())
        .timeout(CONNECT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed())
}

pub(crate) fn swarm_config() -> swarm::Config {
    swarm::Config::with_executor(
        wasm_bindgen_futures::spawn_local::<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> as fn(_),
    )
}
