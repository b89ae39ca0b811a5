use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::task::AtomicWaker;
use neuromesh_core::{
    Timestamp,
    webrtc::channel::{self, Channel, Input, Output, StreamError},
};

use super::muxer::Muxer;
use crate::platform;

#[cfg(test)]
mod tests;

/// The most streams of one connection, of both sides; further ones are closed at once.
pub(crate) const MAX_STREAMS: usize = 1024;
/// The most bytes that wait to be read on one connection; the stream that brings more is ended.
const MAX_UNREAD: usize = 64 << 20;

/// A data channel, as the platform's task names it: never used again for another one of the same connection.
pub(crate) type ChannelId = u32;

/// What the platform's task does for streams. None of it may call the hub.
pub(crate) trait Backend {
    /// Makes a data channel (reliable, ordered, empty label); [`Hub::opened`] follows.
    fn open(&mut self) -> io::Result<ChannelId>;
    /// Sends one binary message; an error is reported by [`Hub::closed`], too.
    fn send(&mut self, channel: ChannelId, message: &[u8]) -> io::Result<()>;
    /// Bytes of this channel that wait in the transport. [`Hub::buffered`] must be called once they are few.
    fn buffered(&mut self, channel: ChannelId) -> usize;
    /// Closes a channel once what was sent has left; nothing more is heard of it.
    fn close(&mut self, channel: ChannelId);
}

/// The streams of one connection, between those who use them and the task that moves their messages. Clones are the same.
#[derive(Clone)]
pub(crate) struct Hub(pub(super) Arc<Shared>);

pub(super) struct Shared {
    state: Mutex<State>,
    task: AtomicWaker,
}

pub(super) type StreamId = u64;

/// What is open, what wants to be sent.
#[derive(Default)]
pub(super) struct State {
    config: channel::Config,
    next: StreamId,
    streams: BTreeMap<StreamId, Entry>,
    by_channel: BTreeMap<ChannelId, StreamId>,
    /// Streams that may have something to send.
    dirty: BTreeSet<StreamId>,
    deadlines: BTreeSet<(Timestamp, StreamId)>,
    /// Bytes that wait to be read, of all streams.
    unread: usize,
    /// Opened by the other side, not taken yet.
    pub(super) inbound: VecDeque<StreamId>,
    pub(super) inbound_waker: Option<Waker>,
    /// The muxer waits for a stream.
    pub(super) wanted: bool,
    pub(super) outbound: Option<io::Result<StreamId>>,
    pub(super) outbound_waker: Option<Waker>,
    pub(super) lost: Option<String>,
    pub(super) lost_waker: Option<Waker>,
    /// The muxer is closed or gone.
    pub(super) closing: bool,
}

struct Entry {
    channel: ChannelId,
    machine: Channel,
    deadline: Option<Timestamp>,
    /// Its part of [`State::unread`].
    unread: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The stream was dropped.
    dropped: bool,
}

enum Action {
    Open,
    Send(StreamId, ChannelId, Vec<u8>),
    Close(ChannelId),
    Measure(StreamId, ChannelId),
}

impl Hub {
    /// For the platform's task, with what libp2p gets.
    pub(crate) fn new(config: channel::Config) -> (Self, Muxer) {
        let state = Mutex::new(State { config, ..State::default() });
        let shared = Arc::new(Shared { state, task: AtomicWaker::new() });
        (Self(shared.clone()), Muxer::new(shared))
    }

    /// Ready when [`Hub::flush`] has something to do, or the muxer is gone.
    pub(crate) fn poll_woken(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.task.register(cx.waker());
        let state = self.0.lock();
        if state.wanted || state.closing || !state.dirty.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether nobody needs the connection any more: it is to be closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.lock().closing
    }

    /// Carries out what streams want to send, open and close.
    pub(crate) fn flush(&self, backend: &mut impl Backend) {
        while let Some(action) = self.next_action() {
            match action {
                Action::Open => {
                    let opened = backend.open();
                    self.0.lock().made(opened);
                }
                Action::Send(id, channel, message) => {
                    if let Err(error) = backend.send(channel, &message) {
                        tracing::debug!(%error, channel, "a message could not be sent");
                        self.0.lock().input(id, Input::Closed);
                    }
                }
                Action::Close(channel) => backend.close(channel),
                Action::Measure(id, channel) => {
                    let bytes = backend.buffered(channel);
                    self.0.lock().input(id, Input::Buffered(bytes));
                }
            }
        }
    }

    /// A data channel can send now.
    pub(crate) fn opened(&self, channel: ChannelId) {
        self.channel_input(channel, Input::Opened);
    }

    /// The other side made a data channel. False when there are too many: it is to be closed.
    pub(crate) fn incoming(&self, channel: ChannelId) -> bool {
        let mut state = self.0.lock();
        if state.streams.len() >= MAX_STREAMS || state.lost.is_some() || state.closing {
            return false;
        }
        let id = state.insert(channel);
        state.inbound.push_back(id);
        wake(&mut state.inbound_waker);
        true
    }

    /// A message came.
    pub(crate) fn message(&self, channel: ChannelId, message: Vec<u8>) {
        self.channel_input(channel, Input::Message(message));
    }

    /// So many bytes of this channel wait in the transport now.
    pub(crate) fn buffered(&self, channel: ChannelId, bytes: usize) {
        self.channel_input(channel, Input::Buffered(bytes));
    }

    /// A data channel is gone.
    pub(crate) fn closed(&self, channel: ChannelId) {
        self.channel_input(channel, Input::Closed);
    }

    /// The connection is gone, and all its streams with it.
    pub(crate) fn lost(&self, reason: impl Into<String>) {
        let mut state = self.0.lock();
        if state.lost.is_some() {
            return;
        }
        state.lost = Some(reason.into());
        for id in state.streams.keys().copied().collect::<Vec<_>>() {
            state.input(id, Input::Closed);
        }
        let state = &mut *state;
        for waker in [&mut state.inbound_waker, &mut state.outbound_waker, &mut state.lost_waker] {
            wake(waker);
        }
    }

    /// When to call [`Hub::timeout`].
    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        self.0.lock().deadlines.first().map(|(at, _)| *at)
    }

    /// Time has passed.
    pub(crate) fn timeout(&self) {
        let mut state = self.0.lock();
        let now = platform::now();
        while let Some((_, id)) = state.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            state.input(id, Input::Timeout);
            // A machine that keeps its deadline in the past must not hold up the others.
            state.deadlines.retain(|(at, other)| *other != id || *at > now);
        }
    }

    /// Streams that are not over.
    #[cfg(test)]
    pub(crate) fn streams(&self) -> usize {
        self.0.lock().streams.len()
    }

    fn channel_input(&self, channel: ChannelId, input: Input) {
        let mut state = self.0.lock();
        let Some(id) = state.by_channel.get(&channel).copied() else { return };
        state.input(id, input);
        let dirty = !state.dirty.is_empty();
        drop(state);
        if dirty {
            self.0.task.wake();
        }
    }

    fn next_action(&self) -> Option<Action> {
        let mut state = self.0.lock();
        if std::mem::take(&mut state.wanted) {
            if state.streams.len() < MAX_STREAMS {
                return Some(Action::Open);
            }
            state.made(Err(io::Error::new(io::ErrorKind::WouldBlock, "too many streams are open")));
        }
        loop {
            let id = *state.dirty.first()?;
            let Some(entry) = state.streams.get_mut(&id) else {
                state.dirty.remove(&id);
                continue;
            };
            let channel = entry.channel;
            return Some(match entry.machine.poll_output() {
                Some(Output::Send(message)) => Action::Send(id, channel, message),
                Some(Output::Close) => {
                    state.settle(id);
                    Action::Close(channel)
                }
                None => {
                    state.dirty.remove(&id);
                    if state.streams.get(&id).is_some_and(|entry| entry.machine.is_closed()) {
                        state.settle(id);
                        continue;
                    }
                    Action::Measure(id, channel)
                }
            });
        }
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task has something to do.
    pub(super) fn wake_task(&self) {
        self.task.wake();
    }

    pub(super) fn poll_read(&self, id: StreamId, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        let entry = state.streams.get_mut(&id).expect("kept until the stream is dropped");
        match entry.machine.read(to) {
            Ok(Some(count)) => {
                state.count(id);
                Poll::Ready(Ok(count))
            }
            Ok(None) => {
                entry.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(io_error(error))),
        }
    }

    pub(super) fn poll_write(&self, id: StreamId, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        let entry = state.streams.get_mut(&id).expect("kept until the stream is dropped");
        match entry.machine.write(from) {
            Ok(0) if !from.is_empty() => {
                entry.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            Ok(count) => {
                state.dirty.insert(id);
                drop(state);
                self.wake_task();
                Poll::Ready(Ok(count))
            }
            Err(error) => Poll::Ready(Err(io_error(error))),
        }
    }

    pub(super) fn finish(&self, id: StreamId) -> io::Result<()> {
        let mut state = self.lock();
        let entry = state.streams.get_mut(&id).expect("kept until the stream is dropped");
        let result = entry.machine.finish(platform::now());
        state.settle(id);
        drop(state);
        self.wake_task();
        match result {
            // Whoever closes has no use for the news that nobody reads.
            Ok(()) | Err(StreamError::Stopped) => Ok(()),
            Err(error) => Err(io_error(error)),
        }
    }

    pub(super) fn abandon(&self, id: StreamId) {
        let mut state = self.lock();
        if let Some(entry) = state.streams.get_mut(&id) {
            entry.dropped = true;
            (entry.reader, entry.writer) = (None, None);
            entry.machine.abandon(platform::now());
        }
        state.settle(id);
        drop(state);
        self.wake_task();
    }
}

impl State {
    pub(super) fn insert(&mut self, channel: ChannelId) -> StreamId {
        let id = self.next;
        self.next += 1;
        let machine = Channel::new(self.config);
        let entry = Entry { channel, machine, deadline: None, unread: 0, reader: None, writer: None, dropped: false };
        self.streams.insert(id, entry);
        self.by_channel.insert(channel, id);
        id
    }

    /// What came of the muxer's wish.
    fn made(&mut self, opened: io::Result<ChannelId>) {
        self.outbound = Some(opened.map(|channel| self.insert(channel)));
        wake(&mut self.outbound_waker);
    }

    fn input(&mut self, id: StreamId, input: Input) {
        if let Some(entry) = self.streams.get_mut(&id) {
            entry.machine.handle(platform::now(), input);
        }
        self.count(id);
        if self.unread > MAX_UNREAD
            && let Some(entry) = self.streams.get_mut(&id)
        {
            entry.machine.handle(platform::now(), Input::Crowded(MAX_UNREAD));
        }
        self.settle(id);
    }

    /// Keeps the sum of what waits to be read.
    fn count(&mut self, id: StreamId) {
        if let Some(entry) = self.streams.get_mut(&id) {
            let now = entry.machine.unread();
            self.unread = self.unread + now - std::mem::replace(&mut entry.unread, now);
        }
    }

    /// After anything that happened to a stream: who must know of it.
    fn settle(&mut self, id: StreamId) {
        self.count(id);
        let Some(entry) = self.streams.get_mut(&id) else { return };
        if entry.machine.is_readable() {
            wake(&mut entry.reader);
        }
        if entry.machine.is_writable() {
            wake(&mut entry.writer);
        }
        let deadline = entry.machine.poll_timeout();
        if deadline != entry.deadline {
            if let Some(old) = std::mem::replace(&mut entry.deadline, deadline) {
                self.deadlines.remove(&(old, id));
            }
            self.deadlines.extend(deadline.map(|at| (at, id)));
        }
        if entry.machine.is_closed() {
            self.by_channel.remove(&entry.channel);
            if entry.dropped {
                self.unread -= entry.unread;
                self.streams.remove(&id);
            }
        } else if entry.machine.has_output() {
            self.dirty.insert(id);
        }
    }

    /// A stream that nobody took is given up.
    pub(super) fn orphans(&mut self) -> Vec<StreamId> {
        let mut orphans: Vec<_> = self.inbound.drain(..).collect();
        orphans.extend(self.outbound.take().and_then(Result::ok));
        orphans
    }
}

pub(super) fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn io_error(error: StreamError) -> io::Error {
    let kind = match &error {
        StreamError::Reset => io::ErrorKind::ConnectionReset,
        StreamError::Stopped | StreamError::Finished => io::ErrorKind::BrokenPipe,
        StreamError::Lost => io::ErrorKind::ConnectionAborted,
        StreamError::Protocol(_) => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
