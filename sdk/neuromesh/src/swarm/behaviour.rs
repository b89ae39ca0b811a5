//! What the swarm speaks besides our own protocols.

use std::{num::NonZeroU32, time::Duration};

use libp2p::{
    PeerId as Libp2pId,
    connection_limits::{self, ConnectionLimits},
    gossipsub, identify, ping, relay,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};

use super::{MAX_GOSSIP_BYTES, SwarmConfig, core_id, gossip::Gossip};
use crate::{
    error::{Error, ErrorKind},
    rtc, streams,
};

/// How often a connection's round trip is measured.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const MAX_PENDING_INCOMING: u32 = 256;
const MAX_ESTABLISHED: u32 = 4096;
/// A circuit, a direct connection, and one more of each while both sides dial.
const MAX_PER_PEER: u32 = 4;
/// What may pass through a circuit each way. libp2p's default serves signalling only; peers between which no direct path exists
/// run models through it, too.
const CIRCUIT_BYTES: u64 = 1 << 30;
/// Slots and circuits that one peer, or one address, may ask for at once.
const RELAY_BURST: NonZeroU32 = NonZeroU32::new(600).expect("not zero");
/// After so long it may ask for one more.
const RELAY_REFILL: Duration = Duration::from_millis(100);
/// How long a circuit lives.
const CIRCUIT_TIME: Duration = Duration::from_secs(3600);

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    pub(super) gossipsub: Gossip,
    relay: Toggle<relay::Behaviour>,
    pub(super) relayed: relay::client::Behaviour,
    signalling: rtc::Behaviour,
    pub(super) streams: streams::Behaviour,
}

impl Behaviour {
    pub(super) fn new(
        config: &SwarmConfig,
        local: Libp2pId,
        relayed: relay::client::Behaviour,
        signalling: rtc::Behaviour,
    ) -> Result<Self, Error> {
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(MAX_PENDING_INCOMING))
            .with_max_established(Some(MAX_ESTABLISHED))
            .with_max_established_per_peer(Some(MAX_PER_PEER));
        let local_id =
            core_id(&local).ok_or_else(|| Error::new(ErrorKind::InvalidInput, "an Ed25519 identity is needed"))?;
        let gossip = gossipsub::ConfigBuilder::default()
            .max_transmit_size(MAX_GOSSIP_BYTES)
            .validation_mode(gossipsub::ValidationMode::Strict)
            .build()
            .map_err(|error| Error::new(ErrorKind::Network, error.to_string()))?;
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL)),
            identify: identify::Behaviour::new(
                identify::Config::new("/neuromesh/1".into(), config.key.public())
                    .with_agent_version(config.agent.clone()),
            ),
            gossipsub: gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Signed(config.key.clone()), gossip)
                .map(Gossip::new)
                .map_err(|error| Error::new(ErrorKind::Network, error))?,
            relay: Toggle::from(config.relay_server.then(|| relay::Behaviour::new(local, relay_config()))),
            relayed,
            signalling,
            streams: streams::Behaviour::new(local_id),
        })
    }
}

/// Many tabs stand behind one address; libp2p's own limits allow 60 reservations and 60 circuits at once from there, and then one a minute.
fn relay_config() -> relay::Config {
    relay::Config {
        max_reservations: 1024,
        max_reservations_per_peer: 8,
        max_circuits: 1024,
        max_circuits_per_peer: 64,
        max_circuit_bytes: CIRCUIT_BYTES,
        max_circuit_duration: CIRCUIT_TIME,
        // What is set below is asked besides these.
        reservation_rate_limiters: Vec::new(),
        circuit_src_rate_limiters: Vec::new(),
        ..relay::Config::default()
    }
    .reservation_rate_per_peer(RELAY_BURST, RELAY_REFILL)
    .reservation_rate_per_ip(RELAY_BURST, RELAY_REFILL)
    .circuit_src_per_peer(RELAY_BURST, RELAY_REFILL)
    .circuit_src_per_ip(RELAY_BURST, RELAY_REFILL)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use libp2p::Multiaddr;

    use super::*;

    #[test]
    fn a_school_behind_one_address_is_served_and_a_flood_is_not() {
        let mut config = relay_config();
        let address: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().expect("an address");
        let began = Instant::now();
        for limiters in [&mut config.reservation_rate_limiters, &mut config.circuit_src_rate_limiters] {
            let mut served = |at| {
                let peer = Libp2pId::random();
                limiters.iter_mut().all(|limiter| limiter.try_next(peer, &address, at))
            };
            assert!((0..500).all(|_| served(began)), "all at once");
            let minute = began + Duration::from_secs(60);
            let later = (0..5000).filter(|_| served(minute)).count();
            assert_eq!(
                later,
                usize::try_from(RELAY_BURST.get()).expect("a small number"),
                "the others are told to wait"
            );
        }
    }
}
