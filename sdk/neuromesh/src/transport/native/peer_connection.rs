//! A peer connection of a server: what `RTCPeerConnection` is in a browser, for `/webrtc`.

use std::task::{Context, Poll, ready};

use neuromesh_core::webrtc::{
    channel,
    signal::{Candidate, ConnectionState, Input, MAX_CANDIDATES},
};
use str0m::{
    Candidate as Address, Rtc, RtcConfig as Machine, RtcError,
    change::{SdpAnswer, SdpOffer, SdpPendingOffer},
};
use tokio::sync::mpsc;

use super::{
    drive::{Pilot, drive},
    session::{IN_FLIGHT, INIT, Lost, Session, clock},
    sockets::{MAX_DATAGRAM, Sockets},
};
use crate::{
    error::{Error, ErrorKind},
    platform,
    rtc::{ChannelId, Hub, Muxer, Order, Orders, RtcConfig},
};

/// Events of a connection that is being made: its candidates, and a few more.
const EVENTS: usize = 2 * MAX_CANDIDATES;

/// Starts the task of a new peer connection. It tries the machine's own addresses; what a browser hides behind a name in `.local` is
/// learnt from what comes from there.
///
/// # Errors
/// No socket can be had.
pub(crate) fn connect(config: &RtcConfig) -> Result<(Orders, Muxer), Error> {
    if !config.ice_servers.is_empty() {
        tracing::debug!("a server asks no STUN or TURN servers: only its own addresses are tried");
    }
    let sockets = Sockets::everywhere()
        .map_err(|error| Error::new(ErrorKind::Network, format!("no socket for WebRTC: {error}")))?;
    let (hub, muxer) = Hub::new(channel::Config::default());
    let (orders, ordered) = mpsc::unbounded_channel();
    let (sender, events) = mpsc::channel(EVENTS);
    let now = clock();
    let mut rtc = machine().build(now);
    let found: Vec<Candidate> = sockets
        .addresses()
        .into_iter()
        .filter_map(|address| Address::host(address, "udp").ok())
        .filter_map(|address| rtc.add_local_candidate(address).map(Address::to_sdp_string))
        .map(|candidate| Candidate { candidate, sdp_m_line_index: Some(0), ..Candidate::default() })
        .collect();
    let pilot = Negotiating {
        orders: ordered,
        events: sender,
        found,
        pending: None,
        init: None,
        established: false,
        state: None,
    };
    let session = Session::new(rtc, hub.clone(), now);
    platform::spawn(drive(session, sockets, hub, pilot));
    Ok((Orders { orders, events }, muxer))
}

/// The longest datagram that is made: every way takes it (RFC 8831, section 5), and browsers make theirs so.
const MTU: usize = 1200;

/// For data channels alone.
pub(super) fn machine() -> Machine {
    Machine::new().clear_codecs().set_mtu(MTU..=MAX_DATAGRAM).set_sctp_max_buffered_amount(IN_FLIGHT)
}

/// Obeys the negotiation, and tells it what happens.
struct Negotiating {
    orders: mpsc::UnboundedReceiver<Order>,
    events: mpsc::Sender<Input>,
    /// Candidates that were not told yet.
    found: Vec<Candidate>,
    pending: Option<SdpPendingOffer>,
    init: Option<ChannelId>,
    established: bool,
    state: Option<ConnectionState>,
}

impl Pilot for Negotiating {
    fn poll(&mut self, cx: &mut Context<'_>, session: &mut Session) -> Poll<Result<(), Lost>> {
        if self.established {
            return Poll::Pending;
        }
        let Some(order) = ready!(self.orders.poll_recv(cx)) else { return Poll::Ready(Err(Lost::Unwanted)) };
        if let Err(error) = self.obey(order, session) {
            self.tell(Input::Refused(error.to_string()));
        }
        Poll::Ready(session.settle())
    }

    fn look(&mut self, session: &mut Session) {
        if session.is_connected() && self.state != Some(ConnectionState::Connected) {
            self.state = Some(ConnectionState::Connected);
            self.tell(Input::State(ConnectionState::Connected));
        }
    }
}

impl Negotiating {
    fn obey(&mut self, order: Order, session: &mut Session) -> Result<(), RtcError> {
        match order {
            Order::CreateOffer => {
                let mut changes = session.rtc().sdp_api();
                let init = changes.add_channel(INIT.to_owned());
                if let Some((offer, pending)) = changes.apply() {
                    self.init = Some(session.adopt(init));
                    self.pending = Some(pending);
                    self.described(offer.to_sdp_string());
                }
            }
            Order::AnswerTo(offer) => {
                let offer = SdpOffer::from_sdp_string(&offer)?;
                let answer = session.rtc().sdp_api().accept_offer(offer)?;
                self.tell(Input::RemoteSet);
                self.described(answer.to_sdp_string());
            }
            Order::SetAnswer(answer) => {
                let answer = SdpAnswer::from_sdp_string(&answer)?;
                if let Some(pending) = self.pending.take() {
                    session.rtc().sdp_api().accept_answer(pending, answer)?;
                }
                self.tell(Input::RemoteSet);
            }
            Order::Add(candidate) => add(session.rtc(), &candidate),
            Order::Established => {
                self.established = true;
                if let Some(init) = self.init.take() {
                    session.dismiss(init);
                }
            }
        }
        Ok(())
    }

    fn described(&mut self, sdp: String) {
        self.tell(Input::Described(sdp));
        for candidate in std::mem::take(&mut self.found) {
            self.tell(Input::Found(candidate));
        }
    }

    /// Over the bound, or when nobody negotiates any more, it does not matter.
    fn tell(&self, input: Input) {
        let _ = self.events.try_send(input);
    }
}

/// Names in `.local`, TCP and what else is not known are passed over.
fn add(rtc: &mut Rtc, candidate: &Candidate) {
    match Address::from_sdp_string(&candidate.candidate) {
        Ok(address) => rtc.add_remote_candidate(address),
        Err(error) => tracing::debug!(%error, candidate = candidate.candidate, "a candidate was not taken"),
    }
}
