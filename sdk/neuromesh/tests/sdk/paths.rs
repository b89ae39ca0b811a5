//! Peers that are reached through a relay, and then directly.

use neuromesh::{Certificate, Config, Event, Mesh, Multiaddr, Tier, core::mesh::Path};

use crate::peers::{Stores, address, join, join_as, until, until_event};

async fn path(from: &Mesh, to: &Mesh) -> Option<Path> {
    let peers = from.peers().await.unwrap();
    peers.iter().find(|peer| peer.id == to.id() && peer.connected).map(|peer| peer.path)
}

/// Says it until it is heard: gossip gives no promise.
async fn tells(from: &Mesh, to: &Mesh, what: &str) {
    let say = async {
        loop {
            let _ = from.publish("t", what.as_bytes().to_vec()).await;
            neuromesh::platform::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let hears = |event: &Event| matches!(event, Event::Message { data, .. } if data == what.as_bytes());
    tokio::select! {
        () = until_event(to, what, hears) => {}
        () = say => unreachable!(),
    }
}

#[tokio::test]
async fn a_circuit_carries_everything_until_the_direct_path_takes_over() {
    let stores: [Stores; 3] = Default::default();
    let relay = join_as(Config { relay_server: true, ..Config::new([1; 32], Tier::Edge) }, &[], &stores[0]).await;
    let a = join(Tier::Edge, 2, &[&relay], &stores[1]).await;
    let b = join_as(Config { relay_slots: 1, ..Config::new([3; 32], Tier::Edge) }, &[&relay], &stores[2]).await;
    for mesh in [&a, &b] {
        mesh.join_topic("t").await.unwrap();
    }
    let is_circuit = |text: &str| text.contains("/tcp/") && text.contains("/p2p-circuit/p2p/");
    until(&b, "it has a slot", || async { address(&b, is_circuit).await.is_some() }).await;
    a.dial(address(&b, is_circuit).await.unwrap()).await.unwrap();
    until(&a, "it is reached through the relay", || async { path(&a, &b).await == Some(Path::Relayed) }).await;
    tells(&a, &b, "through the relay").await;

    a.dial(address(&b, |text| text.contains("/tcp/") && !text.contains("circuit")).await.unwrap()).await.unwrap();
    until(&a, "it is reached directly", || async { path(&a, &b).await == Some(Path::Direct) }).await;
    tells(&b, &a, "while both stand").await;
    relay.close().await;
    tells(&a, &b, "without the relay").await;
    tells(&b, &a, "and back").await;
    assert_eq!((path(&a, &b).await, path(&b, &a).await), (Some(Path::Direct), Some(Path::Direct)));
}

#[tokio::test(flavor = "multi_thread")]
async fn webrtc_takes_over_from_a_circuit_between_servers() {
    let stores: [Stores; 3] = Default::default();
    let relay = join_as(Config { relay_server: true, ..Config::new([4; 32], Tier::Edge) }, &[], &stores[0]).await;
    let a = join(Tier::Edge, 5, &[&relay], &stores[1]).await;
    let b = join_as(Config { relay_slots: 1, ..Config::new([6; 32], Tier::Edge) }, &[&relay], &stores[2]).await;
    for mesh in [&a, &b] {
        mesh.join_topic("t").await.unwrap();
    }
    let is_webrtc = |text: &str| text.contains("/p2p-circuit/webrtc/p2p/");
    until(&b, "it can be asked for WebRTC", || async { address(&b, is_webrtc).await.is_some() }).await;
    a.dial(address(&b, is_webrtc).await.unwrap()).await.unwrap();
    until(&a, "it is reached directly", || async { path(&a, &b).await == Some(Path::Direct) }).await;
    relay.close().await;
    tells(&a, &b, "without the relay").await;
    tells(&b, &a, "and back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_reached_over_webrtc_direct_under_its_certificate() {
    let stores: [Stores; 2] = Default::default();
    let config = Config {
        listen: vec!["/ip4/127.0.0.1/udp/0/webrtc-direct".parse().unwrap()],
        certificate: Some(Certificate::generate().unwrap()),
        ..Config::new([7; 32], Tier::Edge)
    };
    let is_direct = |text: &str| text.contains("/webrtc-direct/certhash/");
    let hash = |address: &Multiaddr| address.iter().find(|part| part.tag() == "certhash").unwrap().to_string();
    let server = join_as(config.clone(), &[], &stores[0]).await;
    let listening = address(&server, is_direct).await.unwrap();
    let client = join(Tier::Device, 8, &[], &stores[1]).await;
    for mesh in [&server, &client] {
        mesh.join_topic("t").await.unwrap();
    }
    client.dial(listening.clone()).await.unwrap();
    tells(&client, &server, "a question").await;
    tells(&server, &client, "an answer").await;
    assert_eq!(path(&client, &server).await, Some(Path::Direct));
    server.close().await;
    let again = join_as(config, &[], &stores[0]).await;
    assert_eq!(hash(&address(&again, is_direct).await.unwrap()), hash(&listening));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_tells_others_where_it_listens() {
    let (listener, dialer) = (join(Tier::Edge, 60, &[], &Stores::default()).await, Stores::default());
    let dialer = join(Tier::Device, 61, &[&listener], &dialer).await;
    let tcp = address(&listener, |text| text.contains("/tcp/")).await.unwrap().to_string();
    until(&dialer, "it is told the other's address", || async {
        dialer.peers().await.unwrap().iter().any(|peer| peer.id == listener.id() && peer.addresses.contains(&tcp))
    })
    .await;
    dialer.close().await;
    listener.close().await;
}
