//! One sync stream per connected peer: the peer with the smaller id opens it, and opens it again when it breaks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use neuromesh_core::{PeerId, sync::MAX_MESSAGE_BYTES};
use tokio::sync::mpsc;

use super::{Docs, Event, PROTOCOL};
use crate::{
    frames, platform,
    streams::{Control, Incoming, OpenError, Stream},
    swarm::{core_id, libp2p_id},
};

/// Messages that wait for a slow peer; over it the stream is closed, and syncs afresh later.
const SEND_QUEUE: usize = 256;
/// Pause before a broken stream is opened again.
const REOPEN: Duration = Duration::from_millis(500);
/// Writing one message.
const WRITE: Duration = Duration::from_secs(30);

static NEXT_LINK: AtomicU64 = AtomicU64::new(1);

pub(super) struct Links {
    id: PeerId,
    control: Control,
    docs: Docs,
    connected: BTreeSet<PeerId>,
    up: BTreeMap<PeerId, (u64, mpsc::Sender<Vec<u8>>)>,
}

impl Links {
    pub(super) fn new(id: PeerId, control: Control, docs: Docs) -> Self {
        Self { id, control, docs, connected: BTreeSet::new(), up: BTreeMap::new() }
    }

    pub(super) fn connected(&mut self, peer: PeerId) {
        self.connected.insert(peer);
        self.open(peer, Duration::ZERO);
    }

    pub(super) fn disconnected(&mut self, peer: &PeerId) {
        self.connected.remove(peer);
    }

    /// A stream could not be opened: again, as long as the peer is connected and has not opened one itself.
    pub(super) fn not_opened(&mut self, peer: PeerId) {
        if self.connected.contains(&peer) && !self.up.contains_key(&peer) {
            self.open(peer, REOPEN);
        }
    }

    /// True when it replaces another stream of that peer.
    pub(super) fn up(&mut self, peer: PeerId, link: u64, sender: mpsc::Sender<Vec<u8>>) -> bool {
        self.up.insert(peer, (link, sender)).is_some()
    }

    /// True when that was the peer's current stream.
    pub(super) fn down(&mut self, peer: &PeerId, link: u64) -> bool {
        let current = self.is_current(peer, link);
        if current {
            self.up.remove(peer);
            if self.connected.contains(peer) {
                self.open(*peer, REOPEN);
            }
        }
        current
    }

    pub(super) fn is_current(&self, peer: &PeerId, link: u64) -> bool {
        self.up.get(peer).is_some_and(|(current, _)| *current == link)
    }

    pub(super) fn send(&mut self, peer: &PeerId, bytes: Vec<u8>) {
        let full = self.up.get(peer).is_some_and(|(_, sender)| sender.try_send(bytes).is_err());
        if full {
            tracing::debug!(%peer, "sync stream closed: the peer is slow or gone");
            self.close(peer);
        }
    }

    /// Ends the stream; its reader then reports that it is down.
    pub(super) fn close(&mut self, peer: &PeerId) {
        if let Some((_, sender)) = self.up.get_mut(peer) {
            // The writer ends when its queue has no sender, and takes the reader along.
            *sender = mpsc::channel(1).0;
        }
    }

    fn open(&self, peer: PeerId, pause: Duration) {
        if self.id > peer {
            return;
        }
        let (mut control, docs) = (self.control.clone(), self.docs.clone());
        platform::spawn(async move {
            if !pause.is_zero() {
                platform::sleep(pause).await;
            }
            let Some(id) = libp2p_id(&peer) else { return };
            match control.open_stream(id, PROTOCOL).await {
                Ok(stream) => run(stream, peer, true, docs).await,
                Err(OpenError::Unsupported(_)) => tracing::debug!(%peer, "peer does not sync documents"),
                Err(error) => {
                    tracing::debug!(%peer, %error, "no sync stream");
                    docs.notify(Event::NotOpened(peer)).await;
                }
            }
        });
    }
}

pub(super) async fn accept(mut incoming: Incoming, docs: Docs) {
    while let Some((id, stream)) = incoming.next().await {
        if let Some(peer) = core_id(&id) {
            platform::spawn(run(stream, peer, false, docs.clone()));
        }
    }
}

async fn run(stream: Stream, peer: PeerId, opened_here: bool, docs: Docs) {
    let link = NEXT_LINK.fetch_add(1, Ordering::Relaxed);
    let (sender, mut queue) = mpsc::channel::<Vec<u8>>(SEND_QUEUE);
    docs.notify(Event::LinkUp { peer, link, opened_here, sender }).await;
    let (mut reader, mut writer) = stream.split();
    let write = async {
        while let Some(bytes) = queue.recv().await {
            let written = platform::timeout(WRITE, frames::write(&mut writer, &bytes)).await;
            if !matches!(written, Some(Ok(()))) {
                break;
            }
        }
        let _ = writer.close().await;
    };
    let read = async {
        while let Ok(Some(bytes)) = frames::read(&mut reader, MAX_MESSAGE_BYTES).await {
            docs.notify(Event::Message { peer, link, bytes }).await;
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    docs.notify(Event::LinkDown { peer, link }).await;
}
