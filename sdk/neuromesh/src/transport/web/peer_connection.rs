//! A peer connection of the browser: `RTCPeerConnection` and its data channels.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{pending, poll_fn},
    io,
    rc::Rc,
    time::Duration,
};

use js_sys::{Array, ArrayBuffer, JSON, Reflect, Uint8Array};
use neuromesh_core::webrtc::{
    channel,
    signal::{Candidate, ConnectionState, Input, MAX_CANDIDATES},
};
use tokio::sync::{Notify, mpsc};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Event, MessageEvent, RtcConfiguration, RtcDataChannel, RtcDataChannelEvent, RtcDataChannelInit,
    RtcDataChannelState, RtcDataChannelType, RtcIceCandidateInit, RtcIceServer, RtcPeerConnection,
    RtcPeerConnectionIceEvent, RtcPeerConnectionState, RtcSdpType, RtcSessionDescriptionInit,
};

use crate::{
    error::{Error, ErrorKind},
    platform,
    rtc::{Backend, ChannelId, Hub, IceServer, Muxer, Order, Orders, RtcConfig, direct::HANDSHAKE_CHANNEL},
};

/// The channel that makes a browser describe the transport of data channels; nothing is ever sent on it.
const INIT: &str = "init";
/// An interruption that lasts longer is the end. Browsers give up by themselves only after half a minute.
const INTERRUPTION: Duration = Duration::from_secs(8);
/// Once so few bytes of a channel wait in the browser, the next are handed to it.
const LOW: u32 = 256 << 10;
/// Events of a connection that is being made: its candidates, and a few more.
const EVENTS: usize = 2 * MAX_CANDIDATES;

/// Starts the task of a new peer connection.
///
/// # Errors
/// There is no WebRTC here (a Worker, a browser that was told so), or a browser's limit of peer connections is reached.
pub(crate) fn connect(config: &RtcConfig) -> Result<(Orders, Muxer), Error> {
    let (task, ordered, orders, muxer) = begin(config)?;
    platform::spawn(task.run(ordered));
    Ok((orders, muxer))
}

/// Starts the task of a connection to a server that answers without having been asked (`/webrtc-direct`): both descriptions are written
/// here. The events are [`Input::Described`], with the description that the browser has taken, and its state. The channel of the
/// handshake comes in as the first stream.
pub(super) fn towards(server: Server) -> Result<(Orders, Muxer), Error> {
    let (task, ordered, orders, muxer) = begin(&RtcConfig::default())?;
    platform::spawn(async move {
        let told = match task.connection.describe_both(&server).await {
            Ok(own) => Input::Described(own),
            Err(error) => Input::Refused(text(&error)),
        };
        task.connection.tell(told).await;
        task.run(ordered).await;
    });
    Ok((orders, muxer))
}

/// A server, and how it is to be described.
pub(super) struct Server {
    /// Its description, as if it had answered.
    pub(super) answer: String,
    /// The dialer's name and password at ICE.
    pub(super) name: String,
}

fn begin(config: &RtcConfig) -> Result<(Task, mpsc::UnboundedReceiver<Order>, Orders, Muxer), Error> {
    let peer = RtcPeerConnection::new_with_configuration(&configuration(config))
        .map_err(|error| Error::new(ErrorKind::Network, format!("this browser gives no WebRTC: {}", text(&error))))?;
    let (hub, muxer) = Hub::new(channel::Config::default());
    let (orders, ordered) = mpsc::unbounded_channel();
    let (sender, events) = mpsc::channel(EVENTS);
    let task = Task { connection: Connection::new(peer, hub, sender), init: None };
    Ok((task, ordered, Orders { orders, events }, muxer))
}

fn configuration(config: &RtcConfig) -> RtcConfiguration {
    let servers = Array::new();
    for IceServer { urls, username, credential } in &config.ice_servers {
        let server = RtcIceServer::new();
        server.set_urls(&urls.iter().map(|url| JsValue::from_str(url)).collect::<Array>());
        if let Some(username) = username {
            server.set_username(username);
        }
        if let Some(credential) = credential {
            server.set_credential(credential);
        }
        servers.push(&server);
    }
    let configuration = RtcConfiguration::new();
    configuration.set_ice_servers(&servers);
    configuration
}

/// The message of what JavaScript threw.
fn text(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{error:?}"), |error| String::from(error.message()))
}

/// Listeners of a data channel; they go with it.
struct Tracked {
    channel: RtcDataChannel,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _event: Closure<dyn FnMut(Event)>,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.channel.set_onmessage(None);
        for set in [RtcDataChannel::set_onopen, RtcDataChannel::set_onbufferedamountlow, RtcDataChannel::set_onclose] {
            set(&self.channel, None);
        }
    }
}

/// What the task and the browser's events share.
struct Table {
    hub: Hub,
    next: Cell<ChannelId>,
    channels: RefCell<BTreeMap<ChannelId, Tracked>>,
    /// Channels that ended; a listener must not free itself.
    ended: RefCell<Vec<ChannelId>>,
    changed: Notify,
    /// The other side's channel `init`.
    init_came: Cell<bool>,
    /// The other side closed the connection. ICE would wait for seconds whether it comes back.
    hung_up: Cell<bool>,
}

impl Table {
    fn track(self: &Rc<Self>, channel: RtcDataChannel) -> ChannelId {
        let id = self.next.get();
        self.next.set(id + 1);
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        channel.set_buffered_amount_low_threshold(LOW);
        let hub = self.hub.clone();
        let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            // Text is not of the protocol; an array would take it for its length. Its reader passes over nothing.
            let bytes = event.data().dyn_into::<ArrayBuffer>().map(|data| Uint8Array::new(&data).to_vec());
            hub.message(id, bytes.unwrap_or_default());
        });
        let table = Rc::downgrade(self);
        let source = channel.clone();
        let event = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
            let Some(table) = table.upgrade() else { return };
            match event.type_().as_str() {
                "open" => table.hub.opened(id),
                "bufferedamountlow" => table.hub.buffered(id, source.buffered_amount() as usize),
                _ => {
                    table.hub.closed(id);
                    table.ended.borrow_mut().push(id);
                    table.changed.notify_one();
                }
            }
        });
        channel.set_onmessage(Some(message.as_ref().unchecked_ref()));
        let listener = Some(event.as_ref().unchecked_ref());
        channel.set_onopen(listener);
        channel.set_onbufferedamountlow(listener);
        channel.set_onclose(listener);
        self.channels.borrow_mut().insert(id, Tracked { channel, _message: message, _event: event });
        id
    }

    fn incoming(self: &Rc<Self>, channel: RtcDataChannel) {
        // Who made `init` closes it; closed from here, other implementations wait for it to open. It is one: more are streams.
        if channel.label() == INIT && !self.init_came.replace(true) {
            return;
        }
        let id = self.track(channel.clone());
        if !self.hub.incoming(id) {
            tracing::debug!("a stream over the limit was closed");
            self.channels.borrow_mut().remove(&id);
            channel.close();
        } else if channel.ready_state() == RtcDataChannelState::Open {
            self.hub.opened(id);
        }
    }
}

struct Connection {
    peer: RtcPeerConnection,
    table: Rc<Table>,
    events: mpsc::Sender<Input>,
    _candidate: Closure<dyn FnMut(RtcPeerConnectionIceEvent)>,
    _channel: Closure<dyn FnMut(RtcDataChannelEvent)>,
    _state: Closure<dyn FnMut(Event)>,
    /// Of the transport that all data channels share.
    transport: Closure<dyn FnMut(Event)>,
}

impl Connection {
    fn new(peer: RtcPeerConnection, hub: Hub, events: mpsc::Sender<Input>) -> Self {
        let table = Rc::new(Table {
            hub,
            next: Cell::default(),
            channels: RefCell::default(),
            ended: RefCell::default(),
            changed: Notify::new(),
            init_came: Cell::default(),
            hung_up: Cell::default(),
        });
        let found = events.clone();
        let candidate =
            Closure::<dyn FnMut(RtcPeerConnectionIceEvent)>::new(move |event: RtcPeerConnectionIceEvent| {
                let json = event.candidate().and_then(|candidate| JSON::stringify(&candidate.to_json()).ok());
                if let Some(candidate) = json.and_then(|json| Candidate::parse(&String::from(json))) {
                    // Over the bound, some paths are not tried.
                    let _ = found.try_send(Input::Found(candidate));
                }
            });
        peer.set_onicecandidate(Some(candidate.as_ref().unchecked_ref()));
        let weak = Rc::downgrade(&table);
        let channel = Closure::<dyn FnMut(RtcDataChannelEvent)>::new(move |event: RtcDataChannelEvent| {
            if let Some(table) = weak.upgrade() {
                table.incoming(event.channel());
            }
        });
        peer.set_ondatachannel(Some(channel.as_ref().unchecked_ref()));
        let weak = Rc::downgrade(&table);
        let state = Closure::<dyn FnMut(Event)>::new(move |_| {
            if let Some(table) = weak.upgrade() {
                table.changed.notify_one();
            }
        });
        peer.set_onconnectionstatechange(Some(state.as_ref().unchecked_ref()));
        let weak = Rc::downgrade(&table);
        let transport = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
            let state = event.target().and_then(|transport| Reflect::get(&transport, &"state".into()).ok());
            if let Some(table) = weak.upgrade().filter(|_| state.is_some_and(|state| state == "closed")) {
                table.hung_up.set(true);
                table.changed.notify_one();
            }
        });
        Self { peer, table, events, _candidate: candidate, _channel: channel, _state: state, transport }
    }

    /// Listens to the transport of the data channels (`RTCSctpTransport`), or does so no more; it is there once there is a connection.
    fn hear_transport(&self, listener: &JsValue) {
        if let Some(transport) = Reflect::get(&self.peer, &"sctp".into()).ok().filter(JsValue::is_object) {
            let _ = Reflect::set(&transport, &"onstatechange".into(), listener);
        }
    }

    async fn offer(&self) -> Result<String, JsValue> {
        self.describe(RtcSdpType::Offer, JsFuture::from(self.peer.create_offer()).await?).await
    }

    async fn answer_to(&self, offer: &str) -> Result<String, JsValue> {
        self.set_remote(RtcSdpType::Offer, offer).await?;
        self.describe(RtcSdpType::Answer, JsFuture::from(self.peer.create_answer()).await?).await
    }

    async fn describe(&self, kind: RtcSdpType, description: JsValue) -> Result<String, JsValue> {
        let sdp = Reflect::get(&description, &"sdp".into())?.as_string().unwrap_or_default();
        JsFuture::from(self.peer.set_local_description(&described(kind, &sdp))).await?;
        Ok(sdp)
    }

    async fn set_remote(&self, kind: RtcSdpType, sdp: &str) -> Result<(), JsValue> {
        JsFuture::from(self.peer.set_remote_description(&described(kind, sdp))).await?;
        self.tell(Input::RemoteSet).await;
        Ok(())
    }

    /// The own description, which names the browser's certificate.
    async fn describe_both(&self, server: &Server) -> Result<String, JsValue> {
        let init = RtcDataChannelInit::new();
        init.set_negotiated(true);
        init.set_id(HANDSHAKE_CHANNEL);
        let channel = self.table.track(self.peer.create_data_channel_with_data_channel_dict("", &init));
        self.table.hub.incoming(channel);
        let offer = JsFuture::from(self.peer.create_offer()).await?;
        let offer = Reflect::get(&offer, &"sdp".into())?.as_string().unwrap_or_default();
        let offer = renamed(&offer, &server.name);
        JsFuture::from(self.peer.set_local_description(&described(RtcSdpType::Offer, &offer))).await?;
        JsFuture::from(self.peer.set_remote_description(&described(RtcSdpType::Answer, &server.answer))).await?;
        Ok(offer)
    }

    async fn add(&self, candidate: &Candidate) -> Result<(), JsValue> {
        let init = JSON::parse(&candidate.to_json())?.unchecked_into::<RtcIceCandidateInit>();
        JsFuture::from(self.peer.add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&init))).await?;
        Ok(())
    }

    async fn tell(&self, input: Input) {
        // Nobody negotiates any more: then it does not matter.
        let _ = self.events.send(input).await;
    }
}

/// The same description with another name and password at ICE: the server knows the dialer by them.
fn renamed(sdp: &str, name: &str) -> String {
    let line = |line: &str| match line.split_once(':') {
        Some((key @ ("a=ice-ufrag" | "a=ice-pwd"), _)) => format!("{key}:{name}\r\n"),
        _ => format!("{line}\r\n"),
    };
    sdp.lines().filter(|text| !text.is_empty()).map(line).collect()
}

fn described(kind: RtcSdpType, sdp: &str) -> RtcSessionDescriptionInit {
    let description = RtcSessionDescriptionInit::new(kind);
    description.set_sdp(sdp);
    description
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.peer.set_onicecandidate(None);
        self.peer.set_ondatachannel(None);
        self.peer.set_onconnectionstatechange(None);
        self.hear_transport(&JsValue::NULL);
        self.table.channels.borrow_mut().clear();
        self.peer.close();
    }
}

struct Task {
    connection: Connection,
    init: Option<RtcDataChannel>,
}

impl Task {
    async fn run(mut self, orders: mpsc::UnboundedReceiver<Order>) {
        let reason = self.serve(orders).await;
        tracing::debug!(reason, "peer connection ends");
        let hub = self.connection.table.hub.clone();
        drop(self);
        hub.lost(reason);
    }

    /// Until the connection ends: why it does.
    async fn serve(&mut self, mut orders: mpsc::UnboundedReceiver<Order>) -> &'static str {
        let table = self.connection.table.clone();
        let hub = table.hub.clone();
        let mut established = false;
        let mut reported = RtcPeerConnectionState::New;
        let mut interrupted = None;
        loop {
            hub.flush(self);
            for id in table.ended.take() {
                table.channels.borrow_mut().remove(&id);
            }
            if hub.is_closing() {
                return "closed";
            }
            let state = self.connection.peer.connection_state();
            if state != reported {
                reported = state;
                if state == RtcPeerConnectionState::Connected {
                    self.connection.hear_transport(self.connection.transport.as_ref());
                }
                self.connection.tell(Input::State(plain(state))).await;
                interrupted = (state == RtcPeerConnectionState::Disconnected).then(|| platform::now() + INTERRUPTION);
            }
            if matches!(state, RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed) {
                return "the direct path broke";
            }
            if table.hung_up.get() {
                return "the other side closed the connection";
            }
            let now = platform::now();
            if interrupted.is_some_and(|until| until <= now) {
                return "the direct path was interrupted for too long";
            }
            hub.timeout();
            let wake = [hub.poll_timeout(), interrupted].into_iter().flatten().min();
            let timer = async {
                match wake {
                    Some(at) => platform::sleep(at.since(now)).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = poll_fn(|cx| hub.poll_woken(cx)) => {}
                () = table.changed.notified() => {}
                order = orders.recv(), if !established => match order {
                    Some(Order::Established) => {
                        established = true;
                        self.close_init();
                    }
                    Some(order) => self.obey(order).await,
                    None => return "the negotiation was given up",
                },
                () = timer => {}
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        let connection = &self.connection;
        let result = match order {
            Order::CreateOffer => {
                self.init = Some(connection.peer.create_data_channel(INIT));
                connection.offer().await.map(Some)
            }
            Order::AnswerTo(sdp) => connection.answer_to(&sdp).await.map(Some),
            Order::SetAnswer(sdp) => connection.set_remote(RtcSdpType::Answer, &sdp).await.map(|()| None),
            Order::Add(candidate) => {
                if let Err(error) = connection.add(&candidate).await {
                    tracing::debug!(error = text(&error), "a candidate was not taken");
                }
                Ok(None)
            }
            Order::Established => Ok(None),
        };
        match result {
            Ok(Some(sdp)) => connection.tell(Input::Described(sdp)).await,
            Ok(None) => {}
            Err(error) => connection.tell(Input::Refused(text(&error))).await,
        }
    }

    /// Its number is free again only once it is closed, and it can be closed only once it is open.
    fn close_init(&mut self) {
        let Some(init) = self.init.take() else { return };
        if init.ready_state() == RtcDataChannelState::Open {
            init.close();
            return;
        }
        let channel = init.clone();
        let close = Closure::once_into_js(move |_: Event| channel.close());
        init.set_onopen(Some(close.unchecked_ref()));
    }
}

fn plain(state: RtcPeerConnectionState) -> ConnectionState {
    match state {
        RtcPeerConnectionState::Connected => ConnectionState::Connected,
        RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed => ConnectionState::Failed,
        _ => ConnectionState::Pending,
    }
}

fn refused(error: &JsValue) -> io::Error {
    io::Error::other(text(error))
}

impl Backend for Task {
    fn open(&mut self) -> io::Result<ChannelId> {
        if self.connection.peer.connection_state() != RtcPeerConnectionState::Connected {
            return Err(io::ErrorKind::NotConnected.into());
        }
        Ok(self.connection.table.track(self.connection.peer.create_data_channel("")))
    }

    fn send(&mut self, channel: ChannelId, message: &[u8]) -> io::Result<()> {
        let channels = self.connection.table.channels.borrow();
        let Some(tracked) = channels.get(&channel) else { return Err(io::ErrorKind::NotConnected.into()) };
        tracked.channel.send_with_u8_array(message).map_err(|error| refused(&error))
    }

    fn buffered(&mut self, channel: ChannelId) -> usize {
        let channels = self.connection.table.channels.borrow();
        channels.get(&channel).map_or(0, |tracked| tracked.channel.buffered_amount() as usize)
    }

    fn close(&mut self, channel: ChannelId) {
        if let Some(tracked) = self.connection.table.channels.borrow_mut().remove(&channel) {
            tracked.channel.close();
        }
    }
}
