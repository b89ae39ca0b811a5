//! The node as a circuit relay v2 server (libp2p/specs `relay/circuit-v2.md`), for peers that cannot reach each other:
//! two plain libp2p clients that connect as a tab does, over WebSocket.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, Transport,
    core::{muxing::StreamMuxerBox, transport::OrTransport, upgrade::Version},
    identity::Keypair,
    multiaddr::Protocol,
    noise, relay,
    swarm::{self, NetworkBehaviour, SwarmEvent},
    tcp, websocket, yamux,
};

use crate::fixture::{Node, PATIENCE};

const ECHO: StreamProtocol = StreamProtocol::new("/neuromesh-test/echo/1");

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Behaviour {
    relay: relay::client::Behaviour,
    streams: libp2p_stream::Behaviour,
}

fn client() -> Swarm<Behaviour> {
    let key = Keypair::generate_ed25519();
    let local = key.public().to_peer_id();
    let (circuits, relay) = relay::client::new(local);
    let direct = websocket::Config::new(tcp::tokio::Transport::new(tcp::Config::new()));
    let transport = OrTransport::new(circuits, direct)
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&key).expect("a key"))
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed();
    let behaviour = Behaviour { relay, streams: libp2p_stream::Behaviour::new() };
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(60));
    Swarm::new(transport, behaviour, local, config)
}

/// Asks the node for a slot: the address under which the client can be reached then, or why there is none.
async fn reserve(swarm: &mut Swarm<Behaviour>, node: &Node) -> Result<Multiaddr, String> {
    let relay: Multiaddr = node.address("/ws").parse().expect("an address");
    let listener = swarm.listen_on(relay.with(Protocol::P2pCircuit)).expect("a relay address");
    loop {
        match swarm.select_next_some().await {
            // One comes for each transport of the node; these clients speak WebSocket.
            SwarmEvent::NewListenAddr { listener_id, address }
                if listener_id == listener && address.to_string().contains("/ws/") =>
            {
                return Ok(address);
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } if listener_id == listener => {
                return Err(format!("{reason:?}"));
            }
            _ => {}
        }
    }
}

/// Runs the swarm until `done` has finished.
async fn drive<T>(swarm: &mut Swarm<Behaviour>, done: impl Future<Output = T>) -> T {
    tokio::pin!(done);
    loop {
        tokio::select! {
            result = &mut done => return result,
            _ = swarm.select_next_some() => {}
        }
    }
}

#[tokio::test]
async fn two_clients_talk_through_the_node() {
    let node = Node::start(&[]);
    let talk = async {
        let mut answering = client();
        let peer: PeerId = *answering.local_peer_id();
        let address = reserve(&mut answering, &node).await.expect("a slot");
        let text = address.to_string();
        assert!(
            text.contains("/p2p-circuit") && text.contains(&node.id) && text.ends_with(&peer.to_string()),
            "{text}"
        );
        let mut incoming = answering.behaviour().streams.new_control().accept(ECHO).expect("registered once");
        let echo = tokio::spawn(async move {
            drive(&mut answering, async {
                let (_, mut stream) = incoming.next().await.expect("a stream");
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).await.expect("bytes");
                stream.write_all(&bytes).await.expect("written");
                stream.close().await.expect("closed");
                // What was written is on its way only as long as the swarm lives.
                std::future::pending::<()>().await;
            })
            .await
        });

        let mut asking = client();
        asking.dial(address).expect("dialled");
        loop {
            match asking.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } if peer_id == peer => {
                    assert!(endpoint.is_relayed(), "{endpoint:?}");
                    break;
                }
                SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
                _ => {}
            }
        }
        let mut control = asking.behaviour().streams.new_control();
        let sent: Vec<u8> = (0..48 << 10).map(|index: u32| ((index * 31) >> 3) as u8).collect();
        let back = drive(&mut asking, async {
            let mut stream = control.open_stream(peer, ECHO).await.expect("a stream");
            stream.write_all(&sent).await.expect("written");
            stream.close().await.expect("half closed");
            let mut back = Vec::new();
            stream.read_to_end(&mut back).await.expect("bytes");
            back
        })
        .await;
        assert!(back == sent, "{} bytes came back of {}", back.len(), sent.len());
        echo.abort();
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("within the time");
}

#[tokio::test]
async fn a_node_told_not_to_relay_gives_no_slot() {
    let node = Node::start(&["--no-relay"]);
    let mut asking = client();
    let refused = tokio::time::timeout(PATIENCE, reserve(&mut asking, &node)).await.expect("within the time");
    let reason = refused.expect_err("no slot");
    assert!(reason.contains("Unsupported"), "{reason}");
}
