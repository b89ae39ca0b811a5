//! Presence and inference over libp2p streams.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, channel::oneshot};
use libp2p::StreamProtocol;
use neuromesh_core::{
    ExchangeId, PeerId,
    mesh::ExchangeError,
    wire::{MAX_INFER_BYTES, MAX_PRESENCE_BYTES, is_part},
};
use tokio::sync::{Semaphore, mpsc};

use super::Happened;
use crate::{
    engine::Cancel,
    frames, platform,
    streams::{Control, Incoming, OpenError, Stream},
    swarm::{self, core_id, libp2p_id},
};

pub(crate) const PRESENCE: StreamProtocol = StreamProtocol::new(neuromesh_core::wire::PRESENCE_PROTOCOL);
pub(crate) const INFER: StreamProtocol = StreamProtocol::new(neuromesh_core::wire::INFER_PROTOCOL);

/// Presence frames that wait for a slow peer; further ones are dropped, which anti-entropy makes good.
const PRESENCE_QUEUE: usize = 8;
/// Streams of each protocol served at once.
const MAX_SERVED: usize = 1024;
/// Frames that wait to be written to one asker: a part and the reply.
const REPLY_QUEUE: usize = 2;
/// A request must have come whole within this time, and a part or a reply must have left.
const TRANSFER: Duration = Duration::from_secs(60);
/// Opening a stream.
const OPEN: Duration = Duration::from_secs(10);

/// The streams that this peer opened.
pub(crate) struct Links {
    control: Control,
    swarm: mpsc::Sender<swarm::Command>,
    presence: BTreeMap<PeerId, mpsc::Sender<Vec<u8>>>,
}

impl Links {
    pub(crate) fn new(control: Control, swarm: mpsc::Sender<swarm::Command>) -> Self {
        Self { control, swarm, presence: BTreeMap::new() }
    }

    /// A swarm that is busy beyond its queue is not told, and false comes back; rooms try until they succeed.
    pub(crate) fn tell_swarm(&self, command: swarm::Command) -> bool {
        let told = self.swarm.try_send(command).is_ok();
        if !told {
            tracing::debug!("the swarm is busy");
        }
        told
    }

    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.presence.remove(peer);
    }

    pub(crate) fn send_presence(&mut self, peer: PeerId, bytes: Vec<u8>) {
        let alive = self.presence.get(&peer).filter(|sender| !sender.is_closed());
        let sender = match alive {
            Some(sender) => sender,
            None => {
                let (sender, receiver) = mpsc::channel(PRESENCE_QUEUE);
                platform::spawn(write_presence(self.control.clone(), peer, receiver));
                self.presence.entry(peer).insert_entry(sender).into_mut()
            }
        };
        if sender.try_send(bytes).is_err() {
            tracing::debug!(%peer, "presence frame dropped: the peer is slow");
        }
    }

    pub(crate) fn ask(
        &self,
        exchange: ExchangeId,
        peer: PeerId,
        bytes: Vec<u8>,
        cancel: Cancel,
        happened: mpsc::Sender<Happened>,
    ) {
        let control = self.control.clone();
        platform::spawn(async move {
            let result = tokio::select! {
                result = converse(control, peer, bytes, exchange, &happened) => result,
                // Dropping the stream resets it, which tells the other side to stop working.
                () = cancel.cancelled() => return,
            };
            let _ = happened.send(Happened::Replied(exchange, result)).await;
        });
    }
}

async fn open(mut control: Control, peer: PeerId, protocol: StreamProtocol) -> Result<Stream, ExchangeError> {
    let lost = |text: &str| ExchangeError::Lost(text.to_owned());
    let id = libp2p_id(&peer).ok_or_else(|| lost("not a libp2p peer"))?;
    match platform::timeout(OPEN, control.open_stream(id, protocol)).await {
        None => Err(lost("no stream within the time limit")),
        Some(Err(OpenError::Unsupported(_))) => Err(ExchangeError::Unsupported),
        Some(Err(error)) => Err(lost(&error.to_string())),
        Some(Ok(stream)) => Ok(stream),
    }
}

/// Asks, hands parts on as they come, and returns the reply.
async fn converse(
    control: Control,
    peer: PeerId,
    bytes: Vec<u8>,
    exchange: ExchangeId,
    happened: &mpsc::Sender<Happened>,
) -> Result<Vec<u8>, ExchangeError> {
    let lost = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData => ExchangeError::TooLarge,
        _ => ExchangeError::Lost(error.to_string()),
    };
    let mut stream = open(control, peer, INFER).await?;
    frames::write(&mut stream, &bytes).await.map_err(lost)?;
    // The write side stays open: its end tells the other side that nobody waits any more.
    loop {
        let frame = frames::read(&mut stream, MAX_INFER_BYTES).await.map_err(lost)?;
        let frame = frame.ok_or_else(|| ExchangeError::Lost("the peer closed the stream without an answer".into()))?;
        if !is_part(&frame) {
            let _ = stream.close().await;
            return Ok(frame);
        }
        let _ = happened.send(Happened::PartCame(exchange, frame)).await;
    }
}

async fn write_presence(control: Control, peer: PeerId, mut frames_out: mpsc::Receiver<Vec<u8>>) {
    let Ok(mut stream) = open(control, peer, PRESENCE).await else { return };
    while let Some(frame) = frames_out.recv().await {
        if frames::write(&mut stream, &frame).await.is_err() {
            return;
        }
    }
    let _ = stream.close().await;
}

pub(crate) async fn accept_presence(mut incoming: Incoming, happened: mpsc::Sender<Happened>) {
    let slots = Arc::new(Semaphore::new(MAX_SERVED));
    while let Some((id, mut stream)) = incoming.next().await {
        let (Some(peer), Ok(slot)) = (core_id(&id), slots.clone().try_acquire_owned()) else { continue };
        let happened = happened.clone();
        platform::spawn(async move {
            while let Ok(Some(frame)) = frames::read(&mut stream, MAX_PRESENCE_BYTES).await {
                if happened.send(Happened::Presence(peer, frame)).await.is_err() {
                    break;
                }
            }
            drop(slot);
        });
    }
}

pub(crate) async fn accept_infer(mut incoming: Incoming, happened: mpsc::Sender<Happened>) {
    let slots = Arc::new(Semaphore::new(MAX_SERVED));
    while let Some((id, stream)) = incoming.next().await {
        let (Some(peer), Ok(slot)) = (core_id(&id), slots.clone().try_acquire_owned()) else { continue };
        let happened = happened.clone();
        platform::spawn(async move {
            if serve(stream, peer, happened).await.is_none() {
                tracing::debug!(%peer, "an exchange ended early");
            }
            drop(slot);
        });
    }
}

async fn serve(mut stream: Stream, peer: PeerId, happened: mpsc::Sender<Happened>) -> Option<()> {
    let request = platform::timeout(TRANSFER, frames::read(&mut stream, MAX_INFER_BYTES)).await?.ok()??;
    let (reply, mut frames_out) = mpsc::channel(REPLY_QUEUE);
    let (number, numbered) = oneshot::channel();
    happened.send(Happened::Asked(peer, request, reply, number)).await.ok()?;
    let exchange = numbered.await.ok()?;
    loop {
        let mut byte = [0];
        let written = tokio::select! {
            frame = frames_out.recv() => match frame {
                None => return None,
                Some(frame) => {
                    let written = platform::timeout(TRANSFER, frames::write(&mut stream, &frame)).await;
                    written.and_then(Result::ok).map(|()| is_part(&frame))
                }
            },
            _ = stream.read(&mut byte) => None,
        };
        match written {
            Some(true) => happened.send(Happened::PartSent(exchange)).await.ok()?,
            Some(false) => return stream.close().await.ok(),
            None => {
                let _ = happened.send(Happened::AskAborted(exchange)).await;
                return None;
            }
        }
    }
}
