use std::{collections::BTreeMap, pin::Pin, sync::mpsc};

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, executor::LocalPool, future, task::LocalSpawnExt};
use libp2p::core::muxing::StreamMuxer;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;
use crate::rtc::muxer::Substream;

/// What passes between two ends.
enum Event {
    Incoming(ChannelId),
    Message(ChannelId, Vec<u8>),
    Closed(ChannelId),
}

/// Data channels over memory: an end that never loses or reorders, and takes a message as sent when the other end has read it.
struct Memory {
    next: ChannelId,
    to: mpsc::Sender<Event>,
    from: mpsc::Receiver<Event>,
    waiting: BTreeMap<ChannelId, usize>,
}

impl Backend for Memory {
    fn open(&mut self) -> io::Result<ChannelId> {
        self.next += 2;
        self.to.send(Event::Incoming(self.next)).map_err(|_| io::ErrorKind::NotConnected)?;
        Ok(self.next)
    }

    fn send(&mut self, channel: ChannelId, message: &[u8]) -> io::Result<()> {
        self.to.send(Event::Message(channel, message.to_vec())).map_err(|_| io::ErrorKind::NotConnected.into())
    }

    fn buffered(&mut self, channel: ChannelId) -> usize {
        self.waiting.get(&channel).copied().unwrap_or_default()
    }

    fn close(&mut self, channel: ChannelId) {
        let _ = self.to.send(Event::Closed(channel));
    }
}

struct End {
    hub: Hub,
    muxer: Muxer,
    memory: Memory,
}

fn pair(config: channel::Config) -> (End, End) {
    let ((to_b, at_b), (to_a, at_a)) = (mpsc::channel(), mpsc::channel());
    let end = |first, to, from| {
        let (hub, muxer) = Hub::new(config);
        End { hub, muxer, memory: Memory { next: first, to, from, waiting: BTreeMap::new() } }
    };
    (end(0, to_b, at_a), end(1, to_a, at_b))
}

/// Moves messages until there are none.
fn exchange(ends: [&mut End; 2]) {
    let mut moved = true;
    let [a, b] = ends;
    while std::mem::take(&mut moved) {
        for end in [&mut *a, &mut *b] {
            end.hub.flush(&mut end.memory);
            while let Ok(event) = end.memory.from.try_recv() {
                moved = true;
                match event {
                    Event::Incoming(channel) if end.hub.incoming(channel) => end.hub.opened(channel),
                    Event::Incoming(channel) => end.memory.close(channel),
                    Event::Message(channel, message) => end.hub.message(channel, message),
                    Event::Closed(channel) => end.hub.closed(channel),
                }
            }
        }
    }
}

/// A stream opened by the first and taken by the second.
fn open(a: &mut End, b: &mut End) -> (Substream, Substream) {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(Pin::new(&mut a.muxer).poll_outbound(&mut cx).is_pending());
    exchange([a, b]);
    let Poll::Ready(Ok(ours)) = Pin::new(&mut a.muxer).poll_outbound(&mut cx) else { panic!("no stream was made") };
    a.hub.opened(a.memory.next);
    let Poll::Ready(Ok(theirs)) = Pin::new(&mut b.muxer).poll_inbound(&mut cx) else { panic!("no stream came") };
    (ours, theirs)
}

#[test]
fn whatever_is_written_arrives_in_both_directions_at_once() {
    for seed in 0..20 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut a, mut b) = pair(channel::Config { write_window: 50_000, ..channel::Config::default() });
        let mut pool = LocalPool::new();
        let mut checked = Vec::new();
        for _ in 0..4 {
            let (ours, theirs) = open(&mut a, &mut b);
            for stream in [ours, theirs] {
                let sent: Vec<u8> = (0..rng.random_range(0..200_000)).map(|_| rng.random()).collect();
                let (mut reader, mut writer) = stream.split();
                let (task, result) = async move {
                    let write = async {
                        writer.write_all(&sent).await.expect("written");
                        writer.close().await.expect("ended");
                    };
                    let mut got = Vec::new();
                    let (_, read) = future::join(write, reader.read_to_end(&mut got)).await;
                    read.expect("read");
                    (sent, got)
                }
                .remote_handle();
                pool.spawner().spawn_local(task).expect("spawned");
                checked.push(result);
            }
        }
        let mut all = future::join_all(checked);
        let done = loop {
            pool.run_until_stalled();
            exchange([&mut a, &mut b]);
            if let Some(done) = (&mut all).now_or_never() {
                break done;
            }
        };
        for pair in done.chunks(2) {
            assert!(pair[0].0 == pair[1].1 && pair[1].0 == pair[0].1, "seed {seed}");
        }
        exchange([&mut a, &mut b]);
        assert_eq!((a.hub.streams(), b.hub.streams()), (0, 0), "seed {seed}: nothing stays of streams that are over");
    }
}

#[test]
fn streams_over_the_limit_are_refused_on_both_sides() {
    let (mut a, mut b) = pair(channel::Config::default());
    let kept: Vec<_> = (0..MAX_STREAMS).map(|_| open(&mut a, &mut b)).collect();
    assert!(!b.hub.incoming(1_000_000));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(Pin::new(&mut a.muxer).poll_outbound(&mut cx).is_pending());
    exchange([&mut a, &mut b]);
    let Poll::Ready(Err(error)) = Pin::new(&mut a.muxer).poll_outbound(&mut cx) else { panic!("it was opened") };
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    drop(kept);
    exchange([&mut a, &mut b]);
    open(&mut a, &mut b);
}

#[test]
fn what_nobody_reads_is_bounded_for_all_streams_together() {
    let (mut a, mut b) = pair(channel::Config::default());
    let message = neuromesh_core::webrtc::frame::encode_data(&[7; 16_000]);
    let mut streams: Vec<_> = (0..8).map(|_| open(&mut a, &mut b)).collect();
    let channels: Vec<_> = (1..=8).map(|index| 2 * index).collect();
    // Each alone stays within its own bound.
    for channel in &channels {
        for _ in 0..800 {
            b.hub.message(*channel, message.clone());
        }
    }
    let waiting = |end: &End| end.hub.0.lock().unread;
    assert_eq!(waiting(&b), 5 * 800 * 16_000, "five fit, the others were ended");
    assert!(waiting(&b) <= MAX_UNREAD);
    let error = streams[7].1.read(&mut [0]).now_or_never().expect("at once").expect_err("it was ended");
    assert_eq!(error.kind(), io::ErrorKind::Other);
    let mut buffer = vec![0; 16_000];
    let before = waiting(&b);
    assert_eq!(streams[0].1.read(&mut buffer).now_or_never().expect("at once").expect("the first goes on"), 16_000);
    assert_eq!(waiting(&b), before - 16_000, "what was read makes room");
    drop(streams);
    exchange([&mut a, &mut b]);
    assert_eq!((b.hub.streams(), waiting(&b)), (0, 0));
}

#[test]
fn a_lost_connection_ends_everything_with_its_reason() {
    let (mut a, mut b) = pair(channel::Config::default());
    let (mut ours, mut theirs) = open(&mut a, &mut b);
    a.hub.lost("the cable was cut");
    let mut byte = [0];
    let error = ours.read(&mut byte).now_or_never().expect("at once").expect_err("lost");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    assert!(ours.write(&byte).now_or_never().expect("at once").is_err());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let Poll::Ready(Err(error)) = Pin::new(&mut a.muxer).poll(&mut cx) else { panic!("it lives") };
    assert_eq!(error.to_string(), "the cable was cut");
    assert!(Pin::new(&mut a.muxer).poll_inbound(&mut cx).is_ready());
    assert!(Pin::new(&mut a.muxer).poll_outbound(&mut cx).is_ready());
    assert!(theirs.read(&mut byte).now_or_never().is_none(), "the other end has not heard of it");
    drop(b.muxer);
    assert!(b.hub.is_closing());
}

#[test]
fn a_writer_waits_while_the_transport_is_full() {
    let (mut a, mut b) = pair(channel::Config { write_window: 10_000, ..channel::Config::default() });
    let (mut ours, mut theirs) = open(&mut a, &mut b);
    a.memory.waiting.insert(a.memory.next, 10_000);
    assert_eq!(ours.write(&[1; 4000]).now_or_never().expect("room").expect("written"), 4000);
    a.hub.flush(&mut a.memory);
    assert!(ours.write(&[2; 4000]).now_or_never().is_none(), "full");
    a.hub.buffered(a.memory.next, 0);
    assert!(ours.write(&[2; 4000]).now_or_never().is_some());
    drop(ours);
    exchange([&mut a, &mut b]);
    let error = theirs.read_to_end(&mut Vec::new()).now_or_never().expect("over").expect_err("not in order");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_stream_whose_other_side_says_nothing_more_is_let_go_in_time() {
    let config = channel::Config { linger: std::time::Duration::ZERO, ..channel::Config::default() };
    let (mut a, mut b) = pair(config);
    let (mut ours, theirs) = open(&mut a, &mut b);
    ours.close().now_or_never().expect("at once").expect("ended");
    drop(ours);
    // The other side is not heard: no FIN_ACK comes.
    assert!(a.hub.poll_timeout().is_some());
    a.hub.timeout();
    a.hub.flush(&mut a.memory);
    assert_eq!((a.hub.streams(), a.hub.poll_timeout()), (0, None));
    drop(theirs);
}
