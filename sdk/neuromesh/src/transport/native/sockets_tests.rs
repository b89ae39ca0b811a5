use std::{collections::BTreeMap, future::poll_fn, time::Instant};

use str0m::net::Protocol;

use super::*;

const LOOPBACK: &str = "127.0.0.1:0";

fn bound(address: &str) -> Socket {
    Socket::bind(address.parse().unwrap()).unwrap()
}

fn transmit(source: SocketAddr, destination: SocketAddr, contents: Vec<u8>) -> Transmit {
    Transmit { proto: Protocol::Udp, source, destination, contents: contents.into() }
}

fn datagram(source: SocketAddr, bytes: &[u8]) -> Datagram<'_> {
    Datagram { source, to: None, bytes }
}

async fn send(sockets: &Sockets, mut waiting: VecDeque<Transmit>) {
    while !sockets.send(&mut waiting, &mut Vec::new()) {
        tokio::task::yield_now().await;
    }
}

async fn receive(sockets: &mut Sockets) -> (SocketAddr, Vec<u8>, SocketAddr) {
    poll_fn(|cx| sockets.poll_receive(cx).map_ok(|(got, local)| (got.source, got.bytes.to_vec(), local))).await.unwrap()
}

#[tokio::test]
async fn datagrams_that_are_sent_together_arrive_one_by_one() {
    let (near, mut far) = (Sockets::own(vec![bound(LOOPBACK)]), Sockets::own(vec![bound(LOOPBACK), bound(LOOPBACK)]));
    let from = near.addresses()[0];
    let lengths = [1200; 40].into_iter().chain([7, 900, 900, 1, 1200, 0, 1500, MAX_DATAGRAM + 500]);
    let sent: Vec<Vec<u8>> = lengths.enumerate().map(|(index, length)| vec![index as u8; length]).collect();
    for to in far.addresses() {
        // A socket may hold less than all of it.
        for few in sent.chunks(20) {
            send(&near, few.iter().map(|bytes| transmit(from, to, bytes.clone())).collect()).await;
            for bytes in few.iter().filter(|bytes| !bytes.is_empty()) {
                let got = receive(&mut far).await;
                assert_eq!(got, (from, bytes[..bytes.len().min(MAX_DATAGRAM)].to_vec(), to));
            }
        }
    }
}

#[test]
fn what_goes_as_one_has_one_length_and_one_way() {
    let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
    let count = |ways: &[(u16, u16, usize)], most| {
        let all = ways.iter().map(|(from, to, length)| transmit(address(*from), address(*to), vec![0; *length]));
        run(&all.collect(), most)
    };
    assert_eq!(count(&[], 64), 0);
    assert_eq!(count(&[(1, 2, 1200)], 64), 1);
    assert_eq!(count(&[(1, 2, 1200); 5], 64), 5);
    assert_eq!(count(&[(1, 2, 1200); 5], 1), 1, "a system that cannot");
    assert_eq!(count(&[(1, 2, 1200), (1, 2, 90), (1, 2, 90)], 64), 2, "a shorter one ends it");
    assert_eq!(count(&[(1, 2, 90), (1, 2, 1200)], 64), 1);
    assert_eq!(count(&[(1, 2, 90), (1, 3, 90)], 64), 1);
    assert_eq!(count(&[(1, 2, 90), (2, 2, 90)], 64), 1);
    assert_eq!(count(&[(1, 2, 90), (1, 2, 0)], 64), 1);
    assert_eq!(count(&[(1, 2, 0), (1, 2, 0)], 64), 1);
    assert_eq!(count(&[(1, 2, 1200); 64], 64), MAX_RUN / 1200);
}

#[tokio::test]
async fn an_inbox_holds_so_many_datagrams_and_no_more() {
    let source = SocketAddr::from(([192, 0, 2, 1], 1));
    let (inbox, mut outlet) = outlet();
    for _ in 0..INBOX {
        let mut bundle = Bundle::new(&datagram(source, b"one"));
        assert!(bundle.push(&datagram(source, b"and another")));
        assert!(!bundle.push(&datagram(SocketAddr::from(([192, 0, 2, 1], 2)), b"of somebody else")));
        inbox.put(bundle);
    }
    drop(inbox);
    let mut got = BTreeMap::<Vec<u8>, usize>::new();
    while let Ok(datagram) = poll_fn(|cx| outlet.poll_next(cx).map_ok(|datagram| datagram.bytes.to_vec())).await {
        *got.entry(datagram).or_default() += 1;
    }
    assert_eq!(got, BTreeMap::from([(b"one".to_vec(), INBOX / 2), (b"and another".to_vec(), INBOX / 2)]));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_answer_comes_from_the_address_that_was_asked() {
    let everywhere = Arc::new(bound("0.0.0.0:0"));
    let port = everywhere.local().port();
    let (inbox, outlet) = outlet();
    let mut shared = Sockets::shared(everywhere.clone(), SocketAddr::from(([127, 0, 0, 1], port)), outlet);
    let mut asking = Sockets::own(vec![bound(LOOPBACK)]);
    let from = asking.addresses()[0];
    for last in [1, 2, 3] {
        let asked = SocketAddr::from(([127, 0, 0, last], port));
        send(&asking, VecDeque::from([transmit(from, asked, b"who is there?".to_vec())])).await;
        let mut batch = Batch::new();
        poll_fn(|cx| everywhere.poll_receive(cx, &mut batch)).await.unwrap();
        inbox.put(Bundle::new(&batch.next().unwrap()));
        let (source, bytes, local) = receive(&mut shared).await;
        assert_eq!((source, &bytes[..], local.ip()), (from, &b"who is there?"[..], [127, 0, 0, 1].into()));
        send(&shared, VecDeque::from([transmit(local, from, b"me".to_vec())])).await;
        assert_eq!(receive(&mut asking).await.0, asked);
    }
}

#[tokio::test]
async fn many_at_once_are_taken_with_few_calls() {
    let (near, far) = (Sockets::own(vec![bound(LOOPBACK)]), bound(LOOPBACK));
    let from = near.addresses()[0];
    send(&near, (0..24).map(|index| transmit(from, far.local(), vec![index; 1000])).collect()).await;
    let (mut batch, mut got, mut calls, began) = (Batch::new(), Vec::new(), 0, Instant::now());
    while got.len() < 24 {
        poll_fn(|cx| far.poll_receive(cx, &mut batch)).await.unwrap();
        calls += 1;
        while let Some(datagram) = batch.next() {
            got.push(datagram.bytes[0]);
        }
        assert!(began.elapsed().as_secs() < 30, "{} came", got.len());
    }
    assert_eq!(got, (0..24).collect::<Vec<u8>>());
    assert!(calls <= 24usize.div_ceil(BUFFERS), "{calls} calls");
}
