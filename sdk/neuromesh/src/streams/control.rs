use std::{
    io::{self, IoSlice, IoSliceMut},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures::{
    AsyncRead, AsyncWrite, SinkExt,
    channel::{mpsc, oneshot},
};
use libp2p::{PeerId as Libp2pId, StreamProtocol};

use super::{Exchange, Haul};

/// Streams that peers opened and that nobody has taken yet; further ones are dropped, which their opener sees.
const WAITING: usize = 64;

/// The most protocols taken at once.
const MAX_PROTOCOLS: usize = 64;

/// Streams of one protocol that peers opened.
pub(crate) type Incoming = mpsc::Receiver<(Libp2pId, Stream)>;

/// Why a stream could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum OpenError {
    #[error("not connected with this peer")]
    NotConnected,
    #[error("the peer does not speak {0}")]
    Unsupported(StreamProtocol),
    #[error("the connection was lost")]
    Lost,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A wish for a stream.
#[derive(Debug)]
pub(crate) struct Request {
    pub(super) peer: Libp2pId,
    pub(super) protocol: StreamProtocol,
    pub(super) reply: oneshot::Sender<Result<Stream, OpenError>>,
}

impl Request {
    pub(super) fn refuse(self, error: OpenError) {
        // Nobody waits any more: then it does not matter.
        let _ = self.reply.send(Err(error));
    }
}

/// Who takes the streams of each protocol.
#[derive(Debug, Default)]
pub(crate) struct Acceptors(Mutex<Vec<Acceptor>>);

#[derive(Debug)]
struct Acceptor {
    protocol: StreamProtocol,
    haul: Haul,
    sender: mpsc::Sender<(Libp2pId, Stream)>,
}

impl Acceptors {
    pub(super) fn protocols(&self) -> Vec<StreamProtocol> {
        let acceptors = self.lock();
        acceptors.iter().filter(|known| !known.sender.is_closed()).map(|known| known.protocol.clone()).collect()
    }

    /// Protocols that are only opened and never accepted here count as exchanges.
    pub(super) fn haul(&self, protocol: &StreamProtocol) -> Haul {
        let acceptors = self.lock();
        acceptors.iter().find(|known| known.protocol == *protocol).map_or(Haul::Exchange, |known| known.haul)
    }

    pub(super) fn accept(&self, peer: Libp2pId, protocol: &StreamProtocol, stream: Stream) {
        let mut acceptors = self.lock();
        let Some(acceptor) = acceptors.iter_mut().find(|known| known.protocol == *protocol) else { return };
        if acceptor.sender.try_send((peer, stream)).is_err() {
            tracing::debug!(%peer, %protocol, "stream dropped: {WAITING} wait already, or nobody takes them any more");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Acceptor>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens and accepts streams.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    acceptors: Arc<Acceptors>,
    requests: mpsc::Sender<Request>,
}

impl Control {
    pub(super) fn new(acceptors: Arc<Acceptors>, requests: mpsc::Sender<Request>) -> Self {
        Self { acceptors, requests }
    }

    /// Takes the streams of a protocol until the receiver is dropped; none when somebody does already, or over [`MAX_PROTOCOLS`].
    pub(crate) fn accept(&mut self, protocol: StreamProtocol, haul: Haul) -> Option<Incoming> {
        let mut acceptors = self.acceptors.lock();
        // Whoever took them before may have stopped.
        acceptors.retain(|known| known.protocol != protocol || !known.sender.is_closed());
        if acceptors.len() >= MAX_PROTOCOLS || acceptors.iter().any(|known| known.protocol == protocol) {
            return None;
        }
        let (sender, incoming) = mpsc::channel(WAITING);
        acceptors.push(Acceptor { protocol, haul, sender });
        Some(incoming)
    }

    /// Opens a stream over the best connection.
    pub(crate) async fn open_stream(&mut self, peer: Libp2pId, protocol: StreamProtocol) -> Result<Stream, OpenError> {
        let (reply, opened) = oneshot::channel();
        self.requests.send(Request { peer, protocol, reply }).await.map_err(|_| OpenError::Lost)?;
        opened.await.map_err(|_| OpenError::Lost)?
    }
}

/// A stream to a peer, in order and whole, with back-pressure. Closing it ends what this side says; dropped before, it is reset.
///
/// While it lives, a better connection does not replace the one that it runs over before
/// [`LONGEST_OVERLAP`](neuromesh_core::webrtc::paths::LONGEST_OVERLAP) is over.
#[derive(Debug)]
pub struct Stream {
    inner: libp2p::Stream,
    _exchange: Option<Exchange>,
}

impl Stream {
    pub(super) fn new(inner: libp2p::Stream, exchange: Option<Exchange>) -> Self {
        Self { inner, _exchange: exchange }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_read(cx, to)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_read_vectored(cx, to)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}
