use std::{future::poll_fn, pin::Pin};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::muxing::StreamMuxer;
use neuromesh_core::webrtc::signal::{Negotiation, Output, Role};
use tokio::sync::mpsc;

use super::connect;
use crate::{
    platform,
    rtc::{Muxer, Order, Orders, RtcConfig, Substream},
};

/// One end of a negotiation, whose bytes go through channels.
async fn negotiate(role: Role, to: mpsc::Sender<Vec<u8>>, mut from: mpsc::Receiver<Vec<u8>>) -> Muxer {
    let (Orders { orders, mut events }, muxer) = connect(&RtcConfig::default()).unwrap();
    let mut machine = Negotiation::new(role, platform::now());
    loop {
        while let Some(output) = machine.poll_output() {
            let order = match output {
                Output::Send(bytes) => {
                    to.send(bytes).await.ok();
                    continue;
                }
                Output::CreateOffer => Order::CreateOffer,
                Output::AnswerTo(sdp) => Order::AnswerTo(sdp),
                Output::SetAnswer(sdp) => Order::SetAnswer(sdp),
                Output::Add(candidate) => Order::Add(candidate),
                Output::Connected => {
                    orders.send(Order::Established).unwrap();
                    return muxer;
                }
                Output::Failed(error) => panic!("{role:?}: {error}"),
            };
            orders.send(order).unwrap();
        }
        let input = tokio::select! {
            event = events.recv() => event.unwrap(),
            Some(bytes) = from.recv() => neuromesh_core::webrtc::signal::Input::Received(bytes),
        };
        machine.handle(platform::now(), input);
    }
}

/// Both ends of a connection: who offered, who answered.
async fn pair() -> (Muxer, Muxer) {
    let (to_answerer, from_offerer) = mpsc::channel(64);
    let (to_offerer, from_answerer) = mpsc::channel(64);
    tokio::join!(
        negotiate(Role::Offerer, to_answerer, from_answerer),
        negotiate(Role::Answerer, to_offerer, from_offerer),
    )
}

pub(super) async fn open(muxer: &mut Muxer) -> Substream {
    poll_fn(|cx| Pin::new(&mut *muxer).poll_outbound(cx)).await.unwrap()
}

/// Answers every stream with what came on it, and counts the streams that ended in order.
pub(super) async fn echo(mut muxer: Muxer) {
    loop {
        let Ok(mut stream) = poll_fn(|cx| Pin::new(&mut muxer).poll_inbound(cx)).await else { return };
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            loop {
                let Ok(count) = stream.read(&mut buffer).await else { return };
                if count == 0 {
                    stream.close().await.ok();
                    return;
                }
                if stream.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
        });
    }
}

pub(super) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect()
}

/// Sends `data` and reads the echo at the same time.
pub(super) async fn round_trip(stream: Substream, data: &[u8]) {
    let (mut reader, mut writer) = stream.split();
    let write = async {
        writer.write_all(data).await.unwrap();
        writer.close().await.unwrap();
    };
    let mut back = Vec::with_capacity(data.len());
    let read = async { reader.read_to_end(&mut back).await.unwrap() };
    tokio::join!(write, read);
    assert!(back == data, "{} of {} bytes came back, or others", back.len(), data.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_any_size_come_back() {
    let (mut offerer, answerer) = pair().await;
    let task = tokio::spawn(echo(answerer));
    for len in [0, 1, 100, 16_383, 16_384, 70_000, 1 << 20, 16 << 20] {
        let data = pattern(len);
        let stream = open(&mut offerer).await;
        round_trip(stream, &data).await;
    }
    drop(offerer);
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answered_opens_streams_too() {
    let (offerer, mut answerer) = pair().await;
    let task = tokio::spawn(echo(offerer));
    let data = pattern(300_000);
    round_trip(open(&mut answerer).await, &data).await;
    drop(answerer);
    task.await.unwrap();
}
