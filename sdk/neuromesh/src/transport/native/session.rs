//! One WebRTC connection without its sockets: str0m's machine, its data channels, and the streams over them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use str0m::{
    Event, IceConnectionState, Input, Output, Rtc, RtcError,
    channel::{ChannelConfig, ChannelId as Handle},
    net::{Protocol, Receive, Transmit},
};

use crate::rtc::{Backend, ChannelId, Hub};

#[cfg(test)]
#[path = "fault_tests.rs"]
mod fault_tests;
#[cfg(test)]
#[path = "pair.rs"]
mod pair;
#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;

/// The label of the channel that `/webrtc` opens so that a browser describes the transport of data channels.
pub(super) const INIT: &str = "init";
/// An interruption that lasts longer is the end.
const INTERRUPTION: Duration = Duration::from_secs(8);
/// Datagrams that wait for a socket; beyond it nothing new is made.
const MAX_OUT: usize = 256;
/// Data channels that the machine knows, with those that are being closed. A peer that opens more of them than can be closed is
/// cut off.
const MAX_CHANNELS: usize = 4096;
/// What of all channels is given to the machine at once on the shortest way. How much of it is under way the machine decides; what
/// waits behind that delays the messages of other channels.
const LEAST_IN_FLIGHT: usize = 128 << 10;
/// The same on the longest.
pub(super) const IN_FLIGHT: usize = 1 << 20;
/// What a way is assumed to carry in a millisecond, as long as it is not known.
const PER_MILLISECOND: usize = 40 << 10;
/// What a DTLS handshake takes where the way takes nothing.
const HANDSHAKE_WORK: Duration = Duration::from_millis(5);
/// How often a DTLS handshake goes there and back.
const HANDSHAKE_TRIPS: u32 = 3;
/// Datagrams that are answered together: at least every other one is acknowledged at first (RFC 9260, section 6.2), because a browser's
/// window grows by a datagram with each acknowledgement; later, when it has grown, acknowledgements would be a third of its work.
const FIRST_BATCH: usize = 2;
/// The same later; the machine takes no more than 30 at once.
const BATCH: usize = 8;
/// What has come of a connection, in bytes, by when the other side's window has grown.
const YOUNG: u64 = 512 << 10;
/// A stream hears of what has left in steps of at least so many bytes.
const STEP: usize = 64 << 10;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// The machine says so: DTLS failed, a fingerprint does not match.
    #[error("the connection broke: {0}")]
    Broken(#[from] RtcError),
    /// By the other side, or by the machine: it broke the rules of SCTP, or opened thousands of streams without saying for what.
    #[error("closed by the other side, or for what it sent")]
    Closed,
    /// Nothing was heard for too long.
    #[error("the direct path was interrupted for too long")]
    Interrupted,
    /// It opened more than [`MAX_CHANNELS`].
    #[error("the other side opened over {MAX_CHANNELS} channels")]
    Flooded,
    /// The streams' side has closed it, or is gone.
    #[error("closed")]
    Unwanted,
    /// No socket can receive any more.
    #[error("the socket failed: {0}")]
    Socket(#[from] io::Error),
}

/// A connection. After every call to it: [`Session::settle`], then send what [`Session::transmits`] has.
pub(super) struct Session {
    rtc: Rtc,
    hub: Hub,
    table: Table,
    transmits: VecDeque<Transmit>,
    /// When something last happened.
    now: Instant,
    wake: Instant,
    connected: bool,
    /// Since when there is a path.
    path: Option<Instant>,
    /// What of all channels may be in the machine.
    window: usize,
    interrupted: Option<Instant>,
    /// Bytes of all datagrams that came.
    taken_in: u64,
    /// Datagrams that came since the machine was last emptied.
    undrained: usize,
}

/// Data channels, as the streams name them and as the machine does.
#[derive(Default)]
struct Table {
    next: ChannelId,
    entries: BTreeMap<ChannelId, Entry>,
    by_handle: HashMap<Handle, ChannelId>,
    wishes: VecDeque<Wish>,
    /// Channels with messages, in the order of their turns.
    ready: VecDeque<ChannelId>,
    /// Channels of which something is under way.
    busy: BTreeSet<ChannelId>,
}

#[derive(Default)]
struct Entry {
    /// None until the machine was told to open it.
    handle: Option<Handle>,
    open: bool,
    /// To be closed once everything has left.
    closing: bool,
    /// At most the stream's window.
    queue: VecDeque<Vec<u8>>,
    queued: usize,
    /// What the stream believes to be under way.
    reported: usize,
}

enum Wish {
    Open(ChannelId),
    Close(ChannelId),
}

impl Session {
    /// A connection whose machine is configured as far as it can be.
    pub(super) fn new(rtc: Rtc, hub: Hub, now: Instant) -> Self {
        Self {
            rtc,
            hub,
            table: Table::default(),
            transmits: VecDeque::new(),
            now,
            wake: now,
            connected: false,
            path: None,
            window: LEAST_IN_FLIGHT,
            interrupted: None,
            taken_in: 0,
            undrained: 0,
        }
    }

    /// The machine, for what comes before a connection is up.
    pub(super) fn rtc(&mut self) -> &mut Rtc {
        &mut self.rtc
    }

    /// Makes a channel that both sides know of without saying so, as an inbound stream.
    pub(super) fn negotiated(&mut self, number: u16) {
        let handle = self
            .rtc
            .direct_api()
            .create_data_channel(ChannelConfig { negotiated: Some(number), ..ChannelConfig::default() });
        let id = self.table.insert(Some(handle));
        self.hub.incoming(id);
    }

    /// A channel that was made outside of any stream; nothing that comes on it is heard.
    pub(super) fn adopt(&mut self, handle: Handle) -> ChannelId {
        self.table.insert(Some(handle))
    }

    /// Closes a channel once it is open and what was sent has left.
    pub(super) fn dismiss(&mut self, channel: ChannelId) {
        Calls { rtc: &mut self.rtc, table: &mut self.table }.close(channel);
    }

    /// Whether the other side has proven who it is, as far as DTLS goes.
    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Takes a datagram. What is none of WebRTC is passed over.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        source: SocketAddr,
        destination: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Lost> {
        self.now = now.max(self.now);
        let Ok(received) = Receive::new(Protocol::Udp, source, destination, datagram) else { return Ok(()) };
        self.rtc.handle_input(Input::Receive(now, received))?;
        self.taken_in += datagram.len() as u64;
        self.undrained += 1;
        let batch = if self.taken_in < YOUNG { FIRST_BATCH } else { BATCH };
        if self.connected && self.undrained < batch { Ok(()) } else { self.drain() }
    }

    /// Time has passed.
    pub(super) fn timeout(&mut self, now: Instant) -> Result<(), Lost> {
        self.now = now.max(self.now);
        if self.interrupted.is_some_and(|until| until <= now) {
            return Err(Lost::Interrupted);
        }
        self.hub.timeout();
        self.rtc.handle_input(Input::Timeout(now))?;
        self.drain()
    }

    /// When [`Session::timeout`] is due.
    pub(super) fn wake(&self) -> Instant {
        self.interrupted.map_or(self.wake, |until| until.min(self.wake))
    }

    /// What is to be sent, in order.
    pub(super) fn transmits(&mut self) -> &mut VecDeque<Transmit> {
        &mut self.transmits
    }

    /// Carries out what streams want and tells them what has left.
    pub(super) fn settle(&mut self) -> Result<(), Lost> {
        self.drain()?;
        loop {
            if self.transmits.len() < MAX_OUT {
                self.hub.flush(&mut Calls { rtc: &mut self.rtc, table: &mut self.table });
            }
            let more = self.carry_out()? | self.send()?;
            self.report();
            if !more && self.table.wishes.is_empty() {
                break;
            }
        }
        if self.hub.is_closing() { Err(Lost::Unwanted) } else { Ok(()) }
    }

    /// Says goodbye; what it takes is in [`Session::transmits`].
    pub(super) fn close(&mut self) {
        if self.rtc.close().is_ok() {
            let _ = self.drain();
        }
    }

    /// Takes everything out of the machine; it must be empty before it takes anything in.
    fn drain(&mut self) -> Result<(), Lost> {
        self.undrained = 0;
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    self.wake = at;
                    return if self.rtc.is_alive() { Ok(()) } else { Err(Lost::Closed) };
                }
                Output::Transmit(transmit) => self.transmits.push_back(transmit),
                Output::Event(event) => self.on_event(event)?,
            }
        }
    }

    fn on_event(&mut self, event: Event) -> Result<(), Lost> {
        match event {
            Event::Connected => {
                self.connected = true;
                self.window = window(self.now.saturating_duration_since(self.path.unwrap_or(self.now)));
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) if self.connected => {
                self.interrupted = Some(self.now + INTERRUPTION);
            }
            Event::IceConnectionStateChange(state) if state.is_connected() => {
                self.path.get_or_insert(self.now);
                self.interrupted = None;
            }
            Event::ChannelOpen(handle, label) => self.on_open(handle, &label)?,
            Event::ChannelData(data) => {
                if let Some(id) = self.table.by_handle.get(&data.id) {
                    self.hub.message(*id, data.data);
                }
            }
            Event::ChannelClose(handle) => {
                if let Some(id) = self.table.remove(handle) {
                    self.hub.closed(id);
                }
            }
            Event::Closed => return Err(Lost::Closed),
            _ => {}
        }
        Ok(())
    }

    fn on_open(&mut self, handle: Handle, label: &str) -> Result<(), Lost> {
        let known = self.table.by_handle.get(&handle).copied();
        let id = known.unwrap_or_else(|| self.table.insert(Some(handle)));
        if self.table.entries.len() > MAX_CHANNELS {
            return Err(Lost::Flooded);
        }
        if let Some(entry) = self.table.entries.get_mut(&id) {
            entry.open = true;
            if entry.closing {
                self.table.wishes.push_back(Wish::Close(id));
            }
        }
        // Who made `init` closes it.
        if known.is_none() && label != INIT && !self.hub.incoming(id) {
            tracing::debug!("a stream over the limit was closed");
            self.table.wishes.push_back(Wish::Close(id));
        } else {
            self.hub.opened(id);
        }
        Ok(())
    }

    /// Opens and closes, each with all its consequences; whether there was anything to do.
    fn carry_out(&mut self) -> Result<bool, Lost> {
        let mut any = false;
        while let Some(wish) = self.table.wishes.pop_front() {
            any = true;
            match wish {
                Wish::Open(id) => {
                    let handle = self.rtc.direct_api().create_data_channel(ChannelConfig::default());
                    self.table.name(id, handle);
                }
                Wish::Close(id) => match self.table.entries.get(&id).and_then(|entry| entry.handle) {
                    Some(handle) => self.rtc.direct_api().close_data_channel(handle),
                    None => continue,
                },
            }
            self.drain()?;
            // Numbers of channels are given out when time passes.
            self.rtc.handle_input(Input::Timeout(self.now))?;
            self.drain()?;
        }
        Ok(any)
    }

    /// Gives the machine one message of each channel in turn while it takes them; whether it took any.
    fn send(&mut self) -> Result<bool, Lost> {
        if self.table.ready.is_empty() {
            return Ok(false);
        }
        let mut any = false;
        let busy = self.table.busy.iter().filter_map(|id| self.table.entries.get(id));
        let mut inside: usize = busy.map(|entry| entry.inside(&mut self.rtc)).sum();
        while self.transmits.len() < MAX_OUT && inside < self.window {
            let Some(id) = self.table.ready.pop_front() else { break };
            let Some(entry) = self.table.entries.get_mut(&id) else { continue };
            let Some(message) = entry.queue.front() else { continue };
            let written = match entry.handle.and_then(|handle| self.rtc.channel(handle)) {
                Some(mut channel) => channel.write(true, message),
                // Closed by the other side; that is about to be heard.
                None => continue,
            };
            match written {
                Ok(true) => {
                    any = true;
                    inside += message.len();
                    entry.queued -= message.len();
                    entry.queue.pop_front();
                    if !entry.queue.is_empty() {
                        self.table.ready.push_back(id);
                    }
                    self.drain()?;
                }
                Ok(false) => {
                    self.table.ready.push_front(id);
                    break;
                }
                Err(error) => {
                    tracing::debug!(%error, "a message could not be sent");
                    (entry.queued, entry.queue) = (0, VecDeque::new());
                    self.hub.closed(id);
                    self.table.wishes.push_back(Wish::Close(id));
                }
            }
        }
        Ok(any)
    }

    /// Tells streams how much of theirs is still under way, and closes what was waiting for that.
    fn report(&mut self) {
        let mut done = Vec::new();
        for id in &self.table.busy {
            let Some(entry) = self.table.entries.get_mut(id) else {
                done.push((*id, false));
                continue;
            };
            let left = entry.left(&mut self.rtc);
            if left == 0 {
                done.push((*id, entry.closing && entry.open));
            }
            if left < entry.reported && (left == 0 || left + STEP <= entry.reported) {
                entry.reported = left;
                self.hub.buffered(*id, left);
            }
        }
        for (id, close) in done {
            self.table.busy.remove(&id);
            if close {
                self.table.wishes.push_back(Wish::Close(id));
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Whatever ended it, a panic too: streams must not wait for it.
        self.hub.lost("the connection is gone");
    }
}

impl Entry {
    fn left(&self, rtc: &mut Rtc) -> usize {
        self.queued + self.inside(rtc)
    }

    /// What the machine has of it.
    fn inside(&self, rtc: &mut Rtc) -> usize {
        self.handle.and_then(|handle| rtc.channel(handle)).map_or(0, |mut channel| channel.buffered_amount())
    }
}

impl Table {
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.by_handle.is_empty() && self.ready.is_empty() && self.busy.is_empty()
    }

    fn insert(&mut self, handle: Option<Handle>) -> ChannelId {
        let id = self.next;
        self.next += 1;
        self.entries.insert(id, Entry::default());
        if let Some(handle) = handle {
            self.name(id, handle);
        }
        id
    }

    fn name(&mut self, id: ChannelId, handle: Handle) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.handle = Some(handle);
            self.by_handle.insert(handle, id);
        }
    }

    fn remove(&mut self, handle: Handle) -> Option<ChannelId> {
        let id = self.by_handle.remove(&handle)?;
        self.entries.remove(&id);
        Some(id)
    }
}

/// What streams may call; the machine is told later, one thing at a time.
struct Calls<'a> {
    rtc: &'a mut Rtc,
    table: &'a mut Table,
}

impl Backend for Calls<'_> {
    fn open(&mut self) -> io::Result<ChannelId> {
        if self.table.entries.len() >= MAX_CHANNELS {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "too many channels wait to be closed"));
        }
        let id = self.table.insert(None);
        self.table.wishes.push_back(Wish::Open(id));
        Ok(id)
    }

    fn send(&mut self, channel: ChannelId, message: &[u8]) -> io::Result<()> {
        let entry = self.table.entries.get_mut(&channel).ok_or(io::ErrorKind::NotConnected)?;
        if entry.queue.is_empty() {
            self.table.ready.push_back(channel);
        }
        self.table.busy.insert(channel);
        entry.queued += message.len();
        entry.reported += message.len();
        entry.queue.push_back(message.to_vec());
        Ok(())
    }

    fn buffered(&mut self, channel: ChannelId) -> usize {
        let Some(entry) = self.table.entries.get_mut(&channel) else { return 0 };
        entry.reported = entry.left(self.rtc);
        entry.reported
    }

    fn close(&mut self, channel: ChannelId) {
        let Some(entry) = self.table.entries.get_mut(&channel) else { return };
        entry.closing = true;
        if entry.open && entry.left(self.rtc) == 0 {
            self.table.wishes.push_back(Wish::Close(channel));
        }
    }
}

/// As much as is given to the machine on a way whose DTLS handshake took so long.
fn window(handshake: Duration) -> usize {
    let trip = handshake.saturating_sub(HANDSHAKE_WORK) / HANDSHAKE_TRIPS;
    let more = usize::try_from(trip.as_millis()).unwrap_or(usize::MAX).saturating_mul(PER_MILLISECOND);
    LEAST_IN_FLIGHT.saturating_add(more).min(IN_FLIGHT)
}

/// The machine's clock.
pub(super) fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}
