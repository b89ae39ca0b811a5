use std::{collections::VecDeque, time::Duration};

use super::message::{Candidate, Reader, Signal, SignalError};
use crate::Timestamp;

#[cfg(test)]
#[path = "negotiation_tests.rs"]
mod tests;

/// A connection has to be up within this time.
pub const TIME_LIMIT: Duration = Duration::from_secs(20);
/// The most candidates taken from the other side; a machine with many interfaces has a dozen.
pub const MAX_CANDIDATES: usize = 64;

/// Which side of the negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Opened the signalling stream, opens the channel `init`, and closes it again.
    Offerer,
    /// Was asked.
    Answerer,
}

/// State of the peer connection, as `RTCPeerConnection.connectionState` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// New or connecting, or interrupted in a way that may pass.
    Pending,
    /// Data flows.
    Connected,
    /// Over.
    Failed,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Bytes came on the signalling stream.
    Received(Vec<u8>),
    /// The other side sends no more on it, or it broke.
    StreamEnded,
    /// The description that was asked for; it is the local one from now on.
    Described(String),
    /// The other side's description was taken.
    RemoteSet,
    /// A local candidate was found.
    Found(Candidate),
    /// The peer connection changed its state.
    State(ConnectionState),
    /// The peer connection refused what it was given.
    Refused(String),
    /// The time that [`Negotiation::poll_timeout`] named has come.
    Timeout,
}

/// What must be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Create an offer, with a data channel `init` in it, and report it by [`Input::Described`] once it is set.
    CreateOffer,
    /// Set this offer and report [`Input::RemoteSet`]; create an answer, set it and report it by [`Input::Described`].
    AnswerTo(String),
    /// Set this answer and report [`Input::RemoteSet`].
    SetAnswer(String),
    /// Give the peer connection this candidate; one that it does not like does no harm.
    Add(Candidate),
    /// Send these bytes on the signalling stream; that it is closed by now does no harm.
    Send(Vec<u8>),
    /// The connection is up: close the stream, and as the offerer the channel `init`. Nothing follows.
    Connected,
    /// Reset the stream, close the peer connection. Nothing follows.
    Failed(NegotiationError),
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NegotiationError {
    /// Within [`TIME_LIMIT`].
    #[error("no direct connection within {} s", TIME_LIMIT.as_secs())]
    TimedOut,
    /// No path was found, or the peer connection ended.
    #[error("no direct connection: no path between the two peers was found")]
    NoPath,
    /// The stream ended before both had described themselves.
    #[error("the other side ended the negotiation")]
    Ended,
    /// A message that may not come now.
    #[error("the other side sent {0} out of turn")]
    OutOfTurn(&'static str),
    /// Over [`MAX_CANDIDATES`].
    #[error("the other side sent more than {MAX_CANDIDATES} candidates")]
    TooManyCandidates,
    /// Not of the protocol.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// The platform's WebRTC does not take what the other side said.
    #[error("a description was refused: {0}")]
    Refused(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remote {
    /// Nothing came yet.
    Silent,
    /// Its description is being set.
    Setting,
    Set,
}

/// One negotiation, on either side. [`Negotiation::new`] leaves the first output to be polled.
#[derive(Debug)]
pub struct Negotiation {
    role: Role,
    reader: Reader,
    remote: Remote,
    /// The own description was sent.
    described: bool,
    /// Local candidates found before it was.
    found: Vec<Candidate>,
    /// Remote candidates that came before the remote description was set.
    early: Vec<Candidate>,
    candidates: usize,
    deadline: Timestamp,
    out: VecDeque<Output>,
    over: bool,
}

impl Negotiation {
    /// Begins.
    pub fn new(role: Role, now: Timestamp) -> Self {
        let out = match role {
            Role::Offerer => VecDeque::from([Output::CreateOffer]),
            Role::Answerer => VecDeque::new(),
        };
        Self {
            role,
            reader: Reader::default(),
            remote: Remote::Silent,
            described: false,
            found: Vec::new(),
            early: Vec::new(),
            candidates: 0,
            deadline: now + TIME_LIMIT,
            out,
            over: false,
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        if self.over {
            return;
        }
        if let Err(error) = self.on_input(now, input) {
            tracing::debug!(role = ?self.role, %error, "negotiation failed");
            self.end(Output::Failed(error));
        }
    }

    /// What must be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to give [`Input::Timeout`].
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        (!self.over).then_some(self.deadline)
    }

    fn on_input(&mut self, now: Timestamp, input: Input) -> Result<(), NegotiationError> {
        match input {
            Input::Received(bytes) => {
                self.reader.push(&bytes)?.into_iter().try_for_each(|signal| self.on_signal(signal))
            }
            // Whoever is connected first closes the stream; what counts from then on is the peer connection.
            Input::StreamEnded if self.remote == Remote::Silent => Err(NegotiationError::Ended),
            Input::StreamEnded => Ok(()),
            Input::Described(sdp) => {
                self.on_described(sdp);
                Ok(())
            }
            Input::RemoteSet => {
                self.remote = Remote::Set;
                self.out.extend(self.early.drain(..).map(Output::Add));
                Ok(())
            }
            Input::Found(candidate) => {
                self.on_found(candidate);
                Ok(())
            }
            Input::State(ConnectionState::Connected) => {
                self.end(Output::Connected);
                Ok(())
            }
            Input::State(ConnectionState::Failed) => Err(NegotiationError::NoPath),
            Input::State(ConnectionState::Pending) => Ok(()),
            Input::Refused(reason) => Err(NegotiationError::Refused(reason)),
            Input::Timeout if self.deadline <= now => Err(NegotiationError::TimedOut),
            Input::Timeout => Ok(()),
        }
    }

    fn on_signal(&mut self, signal: Signal) -> Result<(), NegotiationError> {
        match (signal, self.role) {
            (Signal::Offer(sdp), Role::Answerer) if self.remote == Remote::Silent => {
                self.remote = Remote::Setting;
                self.out.push_back(Output::AnswerTo(sdp));
            }
            (Signal::Answer(sdp), Role::Offerer) if self.remote == Remote::Silent && self.described => {
                self.remote = Remote::Setting;
                self.out.push_back(Output::SetAnswer(sdp));
            }
            (Signal::Offer(_), _) => return Err(NegotiationError::OutOfTurn("an offer")),
            (Signal::Answer(_), _) => return Err(NegotiationError::OutOfTurn("an answer")),
            (Signal::Candidate(json), _) => self.on_candidate(&json)?,
        }
        Ok(())
    }

    fn on_candidate(&mut self, json: &str) -> Result<(), NegotiationError> {
        self.candidates += 1;
        if self.candidates > MAX_CANDIDATES {
            return Err(NegotiationError::TooManyCandidates);
        }
        // One that cannot be read is passed over, as one that leads nowhere is.
        let Some(candidate) = Candidate::parse(json) else { return Ok(()) };
        match self.remote {
            Remote::Set => self.out.push_back(Output::Add(candidate)),
            Remote::Silent | Remote::Setting => self.early.push(candidate),
        }
        Ok(())
    }

    fn on_described(&mut self, sdp: String) {
        let signal = match self.role {
            Role::Offerer => Signal::Offer(sdp),
            Role::Answerer => Signal::Answer(sdp),
        };
        self.out.push_back(Output::Send(signal.encode()));
        self.described = true;
        for candidate in std::mem::take(&mut self.found) {
            self.on_found(candidate);
        }
    }

    /// A candidate before its description would be out of turn.
    fn on_found(&mut self, candidate: Candidate) {
        if self.described {
            self.out.push_back(Output::Send(Signal::Candidate(candidate.to_json()).encode()));
        } else if self.found.len() < MAX_CANDIDATES {
            self.found.push(candidate);
        }
    }

    fn end(&mut self, last: Output) {
        self.over = true;
        // What was to be sent still helps the other side; the rest is of no use any more.
        self.out.retain(|output| matches!(output, Output::Send(_)));
        self.out.push_back(last);
    }
}
