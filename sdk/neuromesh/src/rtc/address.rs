//! Addresses of libp2p/specs `webrtc/webrtc.md`: `<relay>/p2p/R/p2p-circuit/webrtc/p2p/B`.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// Whether it is reached by WebRTC after signalling through a relay.
pub(crate) fn is_webrtc(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::WebRTC))
}

/// Whether it is reached through a relay, and stays so.
pub(crate) fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::P2pCircuit)) && !is_webrtc(address)
}

/// The circuit to dial for signalling, and whom it leads to; none when it is no such address.
pub(super) fn circuit(address: &Multiaddr) -> Option<(Multiaddr, PeerId)> {
    let (mut relayed, mut direct, mut peer) = (false, false, None);
    for part in address {
        match part {
            Protocol::P2pCircuit => relayed = true,
            Protocol::WebRTC => direct = relayed,
            Protocol::P2p(id) if direct => peer = Some(id),
            _ => {}
        }
    }
    let circuit = address.iter().filter(|part| !matches!(part, Protocol::WebRTC)).collect();
    Some((circuit, peer?))
}

/// Under which address a peer with this circuit can be dialled by WebRTC.
pub(super) fn webrtc(circuit: &Multiaddr) -> Multiaddr {
    let mut address = Multiaddr::empty();
    for part in circuit {
        let relayed = matches!(part, Protocol::P2pCircuit);
        address.push(part);
        if relayed {
            address.push(Protocol::WebRTC);
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: &str = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    const PEER: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

    #[test]
    fn the_circuit_and_the_direct_address_lead_to_each_other() {
        let relayed: Multiaddr = format!("/ip4/127.0.0.1/tcp/9/ws/p2p/{RELAY}/p2p-circuit/p2p/{PEER}").parse().unwrap();
        let direct: Multiaddr =
            format!("/ip4/127.0.0.1/tcp/9/ws/p2p/{RELAY}/p2p-circuit/webrtc/p2p/{PEER}").parse().unwrap();
        assert_eq!(webrtc(&relayed), direct);
        assert_eq!(circuit(&direct), Some((relayed.clone(), PEER.parse().unwrap())));
        assert!(is_circuit(&relayed) && !is_circuit(&direct) && is_webrtc(&direct) && !is_webrtc(&relayed));
    }

    #[test]
    fn other_addresses_are_no_matter() {
        for text in [
            "/ip4/127.0.0.1/tcp/9/ws",
            "/webrtc",
            &format!("/webrtc/p2p/{PEER}"),
            &format!("/p2p/{RELAY}/p2p-circuit/webrtc"),
        ] {
            assert_eq!(circuit(&text.parse().unwrap()), None, "{text}");
        }
    }
}
