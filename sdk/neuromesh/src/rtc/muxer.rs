use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};

use super::hub::{Shared, StreamId};

/// A WebRTC connection for libp2p. Dropped, the connection closes.
pub(crate) struct Muxer(Arc<Shared>);

/// A stream of a WebRTC connection.
pub(crate) struct Substream {
    shared: Arc<Shared>,
    id: StreamId,
}

impl Muxer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    fn close(&self) {
        let mut state = self.0.lock();
        state.closing = true;
        let orphans = state.orphans();
        drop(state);
        for id in orphans {
            self.0.abandon(id);
        }
        self.0.wake_task();
    }
}

fn gone(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, reason.to_owned())
}

impl StreamMuxer for Muxer {
    type Substream = Substream;
    type Error = io::Error;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Substream>> {
        let mut state = self.0.lock();
        if let Some(id) = state.inbound.pop_front() {
            return Poll::Ready(Ok(Substream::new(self.0.clone(), id)));
        }
        if let Some(reason) = &state.lost {
            return Poll::Ready(Err(gone(reason)));
        }
        state.inbound_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Substream>> {
        let mut state = self.0.lock();
        if let Some(made) = state.outbound.take() {
            return Poll::Ready(made.map(|id| Substream::new(self.0.clone(), id)));
        }
        if let Some(reason) = &state.lost {
            return Poll::Ready(Err(gone(reason)));
        }
        state.outbound_waker = Some(cx.waker().clone());
        state.wanted = true;
        drop(state);
        self.0.wake_task();
        Poll::Pending
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        let mut state = self.0.lock();
        if let Some(reason) = &state.lost {
            return Poll::Ready(Err(gone(reason)));
        }
        state.lost_waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Substream {
    fn new(shared: Arc<Shared>, id: StreamId) -> Self {
        Self { shared, id }
    }
}

impl AsyncRead for Substream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        self.shared.poll_read(self.id, cx, to)
    }
}

impl AsyncWrite for Substream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.poll_write(self.id, cx, from)
    }

    /// The task sends what was written without being asked.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the writing half; what was written still arrives, also when the stream is dropped then.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shared.finish(self.id))
    }
}

impl Drop for Substream {
    fn drop(&mut self) {
        self.shared.abandon(self.id);
    }
}
