use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;
use neuromesh_core::webrtc::signal::{Input, Negotiation, NegotiationError, Output, Role, TIME_LIMIT};

use super::{
    muxer::Muxer,
    peer::{Order, Orders, RtcConfig},
};
use crate::{
    error::{Error, ErrorKind},
    platform, transport,
};

/// For what the machine does not see, such as a stream that takes no bytes.
const MARGIN: Duration = Duration::from_secs(2);
const READ: usize = 8 << 10;

/// Makes a direct connection with the peer at the other end of a signalling stream.
pub(super) async fn negotiate(role: Role, stream: Stream, config: &RtcConfig) -> Result<Muxer, Error> {
    match platform::timeout(TIME_LIMIT + MARGIN, carry_out(role, stream, config)).await {
        Some(result) => result,
        None => Err(failed(&NegotiationError::TimedOut)),
    }
}

async fn carry_out(role: Role, stream: Stream, config: &RtcConfig) -> Result<Muxer, Error> {
    let (Orders { orders, mut events }, muxer) = transport::connect(config)?;
    let mut machine = Negotiation::new(role, platform::now());
    let (mut reader, mut writer) = stream.split();
    let (mut buffer, mut ended) = (vec![0; READ], false);
    loop {
        while let Some(output) = machine.poll_output() {
            let order = match output {
                Output::Send(bytes) => {
                    // Whoever is connected first closes the stream; then nothing that is sent matters any more.
                    if writer.write_all(&bytes).await.is_ok() {
                        let _ = writer.flush().await;
                    }
                    continue;
                }
                Output::CreateOffer => Order::CreateOffer,
                Output::AnswerTo(sdp) => Order::AnswerTo(sdp),
                Output::SetAnswer(sdp) => Order::SetAnswer(sdp),
                Output::Add(candidate) => Order::Add(candidate),
                Output::Connected => {
                    let _ = orders.send(Order::Established);
                    let _ = writer.close().await;
                    return Ok(muxer);
                }
                Output::Failed(error) => return Err(failed(&error)),
            };
            if orders.send(order).is_err() {
                return Err(failed(&NegotiationError::NoPath));
            }
        }
        let wait = machine.poll_timeout().map_or(TIME_LIMIT, |at| at.since(platform::now()));
        let input = tokio::select! {
            event = events.recv() => event.unwrap_or(Input::Refused("the peer connection is gone".into())),
            read = reader.read(&mut buffer), if !ended => match read {
                Ok(count) if count > 0 => Input::Received(buffer[..count].to_vec()),
                _ => {
                    ended = true;
                    Input::StreamEnded
                }
            },
            () = platform::sleep(wait) => Input::Timeout,
        };
        machine.handle(platform::now(), input);
    }
}

fn failed(error: &NegotiationError) -> Error {
    Error::new(ErrorKind::Network, error.to_string())
}
