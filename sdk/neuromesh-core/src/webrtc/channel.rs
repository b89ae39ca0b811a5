//! One stream over one data channel: libp2p/specs `webrtc/README.md`, sections "Multiplexing" and "Closing an `RTCDataChannel`".
//!
//! A data channel knows neither half-close nor reset, and a browser gives its receiver no back-pressure. So the machine speaks the
//! specification's flags, holds what was written back once [`Config::write_window`] bytes wait in the transport, and ends a stream
//! whose reader lets more than [`Config::read_buffer`] bytes pile up ([`StreamError::Overflow`]).
//!
//! The driver hands in every event of the data channel, obeys [`Channel::poll_output`] after each call, and wakes reader and writer
//! when [`Channel::is_readable`] and [`Channel::is_writable`] say so. It keeps the machine after the stream was dropped
//! ([`Channel::abandon`]) until [`Output::Close`].

use std::{collections::VecDeque, time::Duration};

use super::frame::{self, Decoder, Flag, Frame, FrameError, MAX_DATA};
use crate::Timestamp;

#[cfg(test)]
mod tests;

/// Bounds of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Writing pauses while at least so many bytes wait in the transport.
    pub write_window: usize,
    /// The most bytes that wait to be read.
    pub read_buffer: usize,
    /// How long a dropped stream waits for the other side's last word.
    pub linger: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { write_window: 1 << 20, read_buffer: 16 << 20, linger: Duration::from_secs(5) }
    }
}

/// What happened to the data channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// It can send now.
    Opened,
    /// A message came.
    Message(Vec<u8>),
    /// So many bytes that were sent wait in the transport (`bufferedAmount`).
    Buffered(usize),
    /// It is gone.
    Closed,
    /// Over so many bytes wait to be read on the connection, this stream's among them: it is ended, so that they get fewer.
    Crowded(usize),
    /// The time that [`Channel::poll_timeout`] named has come.
    Timeout,
}

/// What must be done with the data channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this message; then report [`Input::Buffered`].
    Send(Vec<u8>),
    /// Close it. Nothing follows.
    Close,
}

/// Why a stream can not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The other side gave the stream up.
    #[error("the stream was reset by the other side")]
    Reset,
    /// The other side does not read any more.
    #[error("the other side reads no more")]
    Stopped,
    /// Written after the end.
    #[error("the stream was finished; it cannot be written any more")]
    Finished,
    /// The data channel or its connection ended first.
    #[error("the connection was lost")]
    Lost,
    /// More came than the reader took.
    #[error("over {0} bytes came that nobody read; the stream was reset")]
    Overflow(usize),
    /// The other side does not speak the protocol.
    #[error("the stream was reset: {0}")]
    Protocol(#[from] FrameError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Open,
    /// The other side has finished; what waits can be read.
    Ended,
    /// Nobody reads any more; what comes is thrown away.
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Open,
    /// FIN was sent, its acknowledgement has not come.
    Finishing,
    /// All that was written has arrived.
    Acknowledged,
    /// The other side stopped reading.
    Stopped,
    /// Given up here.
    Reset,
}

/// A stream.
#[derive(Debug)]
pub struct Channel {
    config: Config,
    decoder: Decoder,
    opened: bool,
    /// The data channel is gone, or [`Output::Close`] was given.
    closed: bool,
    reading: Reading,
    writing: Writing,
    failed: Option<StreamError>,
    waiting: VecDeque<u8>,
    /// Messages for the driver: at most a window of data, and one of each flag.
    out: VecDeque<Vec<u8>>,
    out_bytes: usize,
    in_transport: usize,
    acknowledged_fin: bool,
    abandoned: bool,
    close: bool,
    deadline: Option<Timestamp>,
}

/// A buffer that grew beyond this is let go once it is empty.
const KEPT_BUFFER: usize = 64 << 10;

impl Channel {
    /// A stream over a data channel that has not opened yet.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            decoder: Decoder::default(),
            opened: false,
            closed: false,
            reading: Reading::Open,
            writing: Writing::Open,
            failed: None,
            waiting: VecDeque::new(),
            out: VecDeque::new(),
            out_bytes: 0,
            in_transport: 0,
            acknowledged_fin: false,
            abandoned: false,
            close: false,
            deadline: None,
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        if self.closed {
            return;
        }
        match input {
            Input::Opened => self.opened = true,
            Input::Buffered(bytes) => self.in_transport = bytes,
            Input::Message(bytes) => self.on_message(now, &bytes),
            Input::Closed => self.on_closed(),
            Input::Crowded(limit) => self.fail(now, StreamError::Overflow(limit)),
            Input::Timeout if self.deadline.is_some_and(|deadline| deadline <= now) => self.close = true,
            Input::Timeout => {}
        }
        self.settle(now);
    }

    /// What must be done next; nothing before the data channel has opened.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.closed {
            return None;
        }
        if self.opened
            && let Some(message) = self.out.pop_front()
        {
            self.out_bytes -= message.len();
            self.in_transport += message.len();
            return Some(Output::Send(message));
        }
        if self.close {
            self.closed = true;
            self.out.clear();
            return Some(Output::Close);
        }
        None
    }

    /// Whether [`Channel::poll_output`] has something to say.
    pub fn has_output(&self) -> bool {
        !self.closed && (self.close || (self.opened && !self.out.is_empty()))
    }

    /// When to give [`Input::Timeout`].
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.deadline.filter(|_| !self.closed)
    }

    /// Copies what waits into `to`: how many bytes, zero at the end of the stream, none when nothing has come yet.
    pub fn read(&mut self, to: &mut [u8]) -> Result<Option<usize>, StreamError> {
        if !self.waiting.is_empty() {
            let (front, _) = self.waiting.as_slices();
            let len = front.len().min(to.len());
            to[..len].copy_from_slice(&front[..len]);
            self.waiting.drain(..len);
            if self.waiting.is_empty() && self.waiting.capacity() > KEPT_BUFFER {
                self.waiting = VecDeque::new();
            }
            return Ok(Some(len));
        }
        match (&self.failed, self.reading) {
            (_, Reading::Ended) => Ok(Some(0)),
            (Some(error), _) => Err(error.clone()),
            (None, Reading::Open) if self.closed => Err(StreamError::Lost),
            (None, Reading::Open) => Ok(None),
            (None, Reading::Stopped) => Err(StreamError::Finished),
        }
    }

    /// Takes the beginning of `data`: how many bytes; zero when the window is full or the channel has not opened.
    pub fn write(&mut self, data: &[u8]) -> Result<usize, StreamError> {
        self.may_write()?;
        let mut taken = 0;
        while taken < data.len() && self.has_room() {
            let piece = &data[taken..data.len().min(taken + MAX_DATA)];
            self.send(frame::encode_data(piece));
            taken += piece.len();
        }
        Ok(taken)
    }

    /// Ends the writing half; what was written before still arrives.
    pub fn finish(&mut self, now: Timestamp) -> Result<(), StreamError> {
        match self.writing {
            Writing::Finishing | Writing::Acknowledged => return Ok(()),
            _ => self.may_write()?,
        }
        self.send(frame::encode_flag(Flag::Fin));
        self.writing = Writing::Finishing;
        self.settle(now);
        Ok(())
    }

    /// Nobody reads or writes any more: a half that has not ended is given up, and the other side is told.
    pub fn abandon(&mut self, now: Timestamp) {
        if self.abandoned || self.closed {
            return;
        }
        self.abandoned = true;
        self.waiting = VecDeque::new();
        if self.failed.is_none() {
            self.give_up(now);
        }
        self.settle(now);
    }

    /// Bytes that wait to be read.
    pub fn unread(&self) -> usize {
        self.waiting.len()
    }

    /// Whether [`Channel::read`] has something to say.
    pub fn is_readable(&self) -> bool {
        !self.waiting.is_empty() || self.failed.is_some() || self.closed || self.reading != Reading::Open
    }

    /// Whether [`Channel::write`] has something to say.
    pub fn is_writable(&self) -> bool {
        self.may_write().is_err() || self.has_room()
    }

    /// Whether all that was written, and its end, has arrived on the other side.
    pub fn is_acknowledged(&self) -> bool {
        self.writing == Writing::Acknowledged
    }

    /// Whether the data channel is done with.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn may_write(&self) -> Result<(), StreamError> {
        match (&self.failed, self.writing) {
            (Some(error), _) => Err(error.clone()),
            (None, Writing::Stopped) => Err(StreamError::Stopped),
            (None, Writing::Open) if self.closed => Err(StreamError::Lost),
            (None, Writing::Open) => Ok(()),
            (None, Writing::Finishing | Writing::Acknowledged | Writing::Reset) => Err(StreamError::Finished),
        }
    }

    fn has_room(&self) -> bool {
        self.opened && self.out_bytes + self.in_transport < self.config.write_window
    }

    fn send(&mut self, message: Vec<u8>) {
        self.out_bytes += message.len();
        self.out.push_back(message);
    }

    fn on_message(&mut self, now: Timestamp, bytes: &[u8]) {
        // A message proves that the channel is open, whichever event is delivered first.
        self.opened = true;
        let mut decoder = std::mem::take(&mut self.decoder);
        let decoded = decoder.push(bytes, |frame| self.on_frame(now, frame));
        self.decoder = decoder;
        if let Err(error) = decoded {
            self.fail(now, StreamError::Protocol(error));
        }
    }

    fn on_frame(&mut self, now: Timestamp, Frame { flag, data }: Frame) {
        if !data.is_empty() && self.reading == Reading::Open && self.failed.is_none() {
            if self.waiting.len() + data.len() > self.config.read_buffer {
                self.fail(now, StreamError::Overflow(self.config.read_buffer));
                return;
            }
            self.waiting.extend(data);
        }
        match flag {
            Some(Flag::Fin) => {
                if self.reading == Reading::Open {
                    self.reading = Reading::Ended;
                }
                // Once: whoever repeats it gets no second message.
                if !self.acknowledged_fin {
                    self.acknowledged_fin = true;
                    self.send(frame::encode_flag(Flag::FinAck));
                }
            }
            Some(Flag::FinAck) if self.writing == Writing::Finishing => self.writing = Writing::Acknowledged,
            // No RESET in reply, unlike QUIC.
            Some(Flag::StopSending) if matches!(self.writing, Writing::Open | Writing::Finishing) => {
                self.writing = Writing::Stopped;
            }
            Some(Flag::Reset) if !self.is_complete() && self.failed.is_none() => {
                // Other implementations mean both halves, whatever the specification says.
                self.waiting = VecDeque::new();
                self.failed = Some(StreamError::Reset);
                self.close = true;
            }
            _ => {}
        }
    }

    fn on_closed(&mut self) {
        self.closed = true;
        self.out.clear();
        self.out_bytes = 0;
        // Whoever closes has received our end, if we have sent it and have received theirs: nothing was lost.
        if self.reading == Reading::Ended && self.writing == Writing::Finishing {
            self.writing = Writing::Acknowledged;
        }
        if !self.is_complete() && self.failed.is_none() && self.writing != Writing::Reset {
            self.failed = Some(StreamError::Lost);
        }
    }

    /// Ends the stream because of what came.
    fn fail(&mut self, now: Timestamp, error: StreamError) {
        if self.failed.is_some() {
            return;
        }
        tracing::debug!(%error, "stream ended");
        self.waiting = VecDeque::new();
        self.give_up(now);
        self.reading = Reading::Stopped;
        self.failed = Some(error);
    }

    /// Tells the other side of each half that ends early.
    fn give_up(&mut self, now: Timestamp) {
        if self.reading == Reading::Open {
            self.reading = Reading::Stopped;
            self.send(frame::encode_flag(Flag::StopSending));
        }
        if self.writing == Writing::Open {
            self.writing = Writing::Reset;
            self.send(frame::encode_flag(Flag::Reset));
        }
        self.deadline = Some(now + self.config.linger);
    }

    /// Both halves have ended in order.
    fn is_complete(&self) -> bool {
        self.reading == Reading::Ended && matches!(self.writing, Writing::Acknowledged | Writing::Stopped)
    }

    fn settle(&mut self, now: Timestamp) {
        let told = matches!(self.writing, Writing::Acknowledged | Writing::Stopped);
        if self.is_complete() || (self.abandoned && self.failed.is_none() && told) {
            self.close = true;
        }
        if self.abandoned && self.deadline.is_none() {
            self.deadline = Some(now + self.config.linger);
        }
    }
}
