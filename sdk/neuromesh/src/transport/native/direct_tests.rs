use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::poll_fn};
use libp2p::core::transport::{DialOpts, ListenerId, PortUse, TransportEvent};
use rand::{Rng, SeedableRng, rngs::StdRng};
use str0m::ice::{StunMessage, TransId};
use tokio::net::UdpSocket;

use libp2p::core::multihash::Multihash;

use super::*;
use crate::rtc::direct::UFRAG_PREFIX;
use crate::transport::imp::tests::{echo, open, pattern, round_trip};

fn options() -> DialOpts {
    DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse }
}

/// A server that listens, and its address.
async fn listening(key: &Keypair) -> (Transport, Multiaddr) {
    let mut transport = Transport::new(key.clone(), None).unwrap();
    transport.listen_on(ListenerId::next(), "/ip4/127.0.0.1/udp/0/webrtc-direct".parse().unwrap()).unwrap();
    match next(&mut transport).await {
        TransportEvent::NewAddress { listen_addr, .. } => (transport, listen_addr),
        event => panic!("{event:?}"),
    }
}

async fn next(transport: &mut Transport) -> TransportEvent<<Transport as Libp2pTransport>::ListenerUpgrade, io::Error> {
    poll_fn(|cx| Pin::new(&mut *transport).poll(cx)).await
}

async fn accept(transport: &mut Transport) -> io::Result<(PeerId, Muxer)> {
    match next(transport).await {
        TransportEvent::Incoming { upgrade, .. } => upgrade.await,
        event => panic!("{event:?}"),
    }
}

fn dial_to(address: &Multiaddr, key: &Keypair) -> BoxFuture<'static, io::Result<(PeerId, Muxer)>> {
    Transport::new(key.clone(), None).unwrap().dial(address.clone(), options()).unwrap()
}

/// The port of `address` replaced.
fn through(address: &Multiaddr, port: u16) -> Multiaddr {
    address.iter().map(|part| if let Protocol::Udp(_) = part { Protocol::Udp(port) } else { part }).collect()
}

fn port(address: &Multiaddr) -> u16 {
    address.iter().find_map(|part| if let Protocol::Udp(port) = part { Some(port) } else { None }).unwrap()
}

/// Server and dialer, connected.
async fn connected() -> (Muxer, Muxer) {
    let (server, client) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let (mut transport, address) = listening(&server).await;
    let (accepted, dialed) = tokio::join!(accept(&mut transport), dial_to(&address, &client));
    let ((dialer, accepted), (answerer, dialed)) = (accepted.unwrap(), dialed.unwrap());
    assert_eq!(dialer, client.public().to_peer_id());
    assert_eq!(answerer, server.public().to_peer_id());
    (accepted, dialed)
}

#[test]
fn addresses_are_read_and_written() {
    let hash = [7; 32];
    let address = written("192.0.2.1:4".parse().unwrap(), &hash);
    assert_eq!(parse(&address), Some(("192.0.2.1:4".parse().unwrap(), Some(hash))));
    let peer = Keypair::generate_ed25519().public().to_peer_id();
    assert_eq!(parse(&address.with(Protocol::P2p(peer))).unwrap().1, Some(hash));
    for other in [
        "/ip4/1.2.3.4/udp/4/quic-v1",
        "/ip4/1.2.3.4/tcp/4",
        "/ip4/1.2.3.4/udp/4/webrtc-direct/tcp/3",
        "/webrtc",
        "/dns4/a/udp/4/webrtc-direct",
    ] {
        assert_eq!(parse(&other.parse().unwrap()), None, "{other}");
    }
    let unknown = Multihash::wrap(0x13, &[1; 64]).unwrap();
    assert_eq!(parse(&plain("[::1]:1".parse().unwrap()).with(Protocol::Certhash(unknown))), None);
}

#[test]
fn addresses_come_and_go() {
    let hash = [7; 32];
    let [old, kept, new] = [1, 2, 3].map(|last| written(SocketAddr::from(([192, 0, 2, last], 4)), &hash));
    let id = ListenerId::next();
    let told: Vec<_> = differences(id, &[old.clone(), kept.clone()], &[kept.clone(), new.clone()]).collect();
    match &told[..] {
        [
            TransportEvent::AddressExpired { listen_addr: gone, .. },
            TransportEvent::NewAddress { listen_addr: come, .. },
        ] => assert_eq!((gone, come), (&old, &new)),
        _ => panic!("{told:?}"),
    }
    assert_eq!(differences(id, std::slice::from_ref(&kept), std::slice::from_ref(&kept)).count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_go_both_ways() {
    let (mut server, client) = connected().await;
    let task = tokio::spawn(echo(client));
    for len in [1, 32 << 10, 3 << 20] {
        round_trip(open(&mut server).await, &pattern(len)).await;
    }
    drop(server);
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_another_certificate_is_refused() {
    let key = Keypair::generate_ed25519();
    let (mut transport, address) = listening(&key).await;
    let (socket, _) = parse(&address).unwrap();
    let dialing = dial_to(&written(socket, &[1; 32]), &key);
    let error = tokio::select! {
        dialed = dialing => dialed.err().unwrap(),
        accepted = accept(&mut transport) => panic!("before the dialer: {:?}", accepted.err()),
    };
    assert!(error.to_string().contains("fingerprint"), "{error}");
}

#[tokio::test]
async fn the_certificate_is_the_address() {
    let certificate = Certificate::generate().unwrap();
    let key = Keypair::generate_ed25519();
    let [one, other] = std::array::from_fn(|_| Transport::new(key.clone(), Some(certificate.clone())).unwrap().hash);
    assert_eq!(one, other);
    assert_ne!(one, Transport::new(key, None).unwrap().hash);
}

#[tokio::test]
async fn a_damaged_certificate_is_an_error() {
    let Certificate { certificate, private_key } = Certificate::generate().unwrap();
    for private_key in [Vec::new(), private_key[1..].to_vec(), vec![0; 100]] {
        let damaged = Certificate { certificate: certificate.clone(), private_key };
        let error = Transport::new(Keypair::generate_ed25519(), Some(damaged)).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_does_no_harm() {
    let key = Keypair::generate_ed25519();
    let (mut transport, address) = listening(&key).await;
    let (target, _) = parse(&address).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    for round in 0..2000 {
        let mut datagram: Vec<u8> = (0..rng.random_range(0..300)).map(|_| rng.random()).collect();
        // Every kind that is told apart by its first byte.
        if let Some(first) = datagram.first_mut() {
            *first = [0, 1, 2, 20, 22, 63, 128, 200][round % 8];
        }
        socket.send_to(&datagram, target).await.unwrap();
    }
    let (accepted, dialed) = tokio::join!(accept(&mut transport), dial_to(&address, &key));
    assert!(accepted.is_ok() && dialed.is_ok());
}

/// A first request of a dialer called `name`; nothing in it is signed.
fn request(name: &str) -> Vec<u8> {
    let user = format!("{name}:{name}");
    let message = StunMessage::binding_request(&user, TransId::new(), true, 1, 1, true);
    let mut buffer = [0; 600];
    let len = message.to_bytes(Some(name.as_bytes()), &mut buffer, |_, _| [0; 20]).unwrap();
    buffer[..len].to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_connections_are_bounded() {
    let key = Keypair::generate_ed25519();
    let (mut transport, address) = listening(&key).await;
    let (target, _) = parse(&address).unwrap();
    let bound = crate::transport::imp::listener::MAX_HALF_OPEN_PER_ADDRESS;
    for index in 0..bound + 8 {
        // Each from an address of its own: another name from a known one changes nothing.
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(&request(&format!("{UFRAG_PREFIX}{index:08}")), target).await.unwrap();
    }
    let mut asked = Vec::new();
    while asked.len() < bound {
        match next(&mut transport).await {
            TransportEvent::Incoming { upgrade, .. } => asked.push(upgrade),
            event => panic!("{event:?}"),
        }
    }
    assert!(next(&mut transport).now_or_never().is_none(), "one more than {bound}");
    asked.clear();
    // Their places are free again; those that came too late may have taken a few of them by now.
    let serve = async {
        loop {
            if let TransportEvent::Incoming { upgrade, .. } = next(&mut transport).await {
                tokio::spawn(upgrade);
            }
        }
    };
    tokio::select! {
        dialed = dial_to(&address, &key) => assert!(dialed.is_ok()),
        () = serve => {}
    }
}

/// How much later a datagram comes that others overtake.
const LATE: Duration = Duration::from_millis(3);

/// What a way does to datagrams, out of a hundred.
#[derive(Clone, Copy, Default)]
struct Way {
    lost: u32,
    swapped: u32,
    delay: Duration,
}

/// Stands between a dialer and `server`; its port. Ends when the test does.
async fn proxy(server: SocketAddr, way: Way) -> u16 {
    let (near, far) = (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    far.connect(server).await.unwrap();
    let port = near.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (near, far) = (Arc::new(near), Arc::new(far));
        let mut rng = StdRng::seed_from_u64(7);
        let mut client = None;
        let mut waiting = futures::stream::FuturesUnordered::new();
        let (mut from_near, mut from_far) = ([0; 2048], [0; 2048]);
        loop {
            let (direction, datagram) = tokio::select! {
                Ok((len, source)) = near.recv_from(&mut from_near) => {
                    client = Some(source);
                    (0, from_near[..len].to_vec())
                }
                Ok(len) = far.recv(&mut from_far) => (1, from_far[..len].to_vec()),
                Some(()) = waiting.next() => continue,
            };
            if rng.random_ratio(way.lost, 100) {
                continue;
            }
            // Behind those that come soon after it.
            let late = if rng.random_ratio(way.swapped, 100) { LATE } else { Duration::ZERO };
            let (near, far) = (near.clone(), far.clone());
            waiting.push(async move {
                tokio::time::sleep(way.delay + late).await;
                let _ = match (direction, client) {
                    (0, _) => far.send(&datagram).await,
                    (_, Some(client)) => near.send_to(&datagram, client).await,
                    _ => Ok(0),
                };
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_way_loses_nothing() {
    let ways = [
        Way { lost: 2, ..Way::default() },
        Way { swapped: 20, ..Way::default() },
        Way { lost: 1, swapped: 5, delay: Duration::from_millis(5) },
    ];
    for way in ways {
        let key = Keypair::generate_ed25519();
        let (mut transport, address) = listening(&key).await;
        let port = proxy(SocketAddr::from(([127, 0, 0, 1], port(&address))), way).await;
        let (accepted, dialed) = tokio::join!(accept(&mut transport), dial_to(&through(&address, port), &key));
        let ((_, server), (_, mut client)) = (accepted.unwrap(), dialed.unwrap());
        let task = tokio::spawn(echo(server));
        round_trip(open(&mut client).await, &pattern(200_000)).await;
        drop(client);
        task.await.unwrap();
    }
}
