use std::{cell::RefCell, rc::Rc, sync::Arc};

use futures::{
    StreamExt,
    future::{AbortHandle, Abortable},
};
use js_sys::{Array, Function};
use neuromesh::{
    Config, Error, IceServer, Mesh, Options, Parts, Progress, Request, RoomOptions, Tier,
    core::{Manifest, Pipeline},
    platform,
    storage::{DocStore, IndexedDbDocStore},
};
use serde::Deserialize;
use wasm_bindgen::prelude::*;

use crate::{
    doc::WasmDoc,
    errors::{invalid, named, to_js},
    host::{Host, HostBlobs, HostEngine},
    log,
    room::WasmRoom,
    stream::{WasmStream, hand_out},
    values::{answer_to_js, part_to_js, payload_from_js, plain, set},
};

/// Where the identity is kept beside the documents.
const IDENTITY: &str = "identity";
/// STUN and TURN servers of one mesh; browsers slow down with more than a few.
const MAX_ICE_SERVERS: usize = 8;
/// Listeners of one mesh.
const MAX_LISTENERS: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JoinConfig {
    addresses: Vec<String>,
    #[serde(default = "default_store")]
    store_name: String,
    /// Which of the site's open tabs this is: they share their documents, and each is a peer of its own.
    #[serde(default)]
    slot: u32,
    #[serde(default)]
    agent: Option<String>,
    /// As `RTCConfiguration.iceServers`.
    #[serde(default)]
    ice_servers: Vec<IceServerConfig>,
    /// What goes to the console: `error`, `warn`, `info`, `debug`, `trace`; absent, nothing.
    #[serde(default)]
    log: Option<String>,
}

#[derive(Deserialize)]
struct IceServerConfig {
    urls: Vec<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    credential: Option<String>,
}

fn default_store() -> String {
    "neuromesh".into()
}

/// A peer in this tab.
#[wasm_bindgen]
pub struct WasmMesh {
    mesh: Mesh,
    listeners: Rc<RefCell<Vec<Function>>>,
    pump: AbortHandle,
}

#[wasm_bindgen]
impl WasmMesh {
    /// Joins the mesh; resolves when the peer is ready, connected or not.
    pub async fn join(config: JsValue, host: Host) -> Result<WasmMesh, JsValue> {
        let config: JoinConfig =
            serde_wasm_bindgen::from_value(config).map_err(|error| invalid(&format!("join: {error}")))?;
        if let Some(level) = &config.log {
            log::start(level.parse().map_err(|_| invalid(&format!("no level of logs is called {level:?}")))?);
        }
        let docs = IndexedDbDocStore::open(&config.store_name).await.map_err(|error| to_js(&error.into()))?;
        let key = identity(&docs, config.slot).await.map_err(|error| to_js(&error))?;
        let host = Rc::new(host);
        let dial = config
            .addresses
            .iter()
            .map(|address| address.parse().map_err(|error| invalid(&format!("node address {address:?}: {error}"))));
        let mut mesh_config = Config::new(key, Tier::Device);
        mesh_config.dial = dial.collect::<Result<_, _>>()?;
        let servers = config.ice_servers.into_iter().take(MAX_ICE_SERVERS);
        mesh_config.ice_servers = servers
            .map(|IceServerConfig { urls, username, credential }| IceServer { urls, username, credential })
            .collect();
        if let Some(agent) = config.agent {
            mesh_config.agent = agent.chars().take(64).collect();
        }
        #[allow(clippy::arc_with_non_send_sync, reason = "the same types cross threads natively")]
        let parts = Parts {
            engine: Arc::new(HostEngine::new(host.clone())),
            blobs: Arc::new(HostBlobs(host)),
            docs: Arc::new(docs),
        };
        let mesh = Mesh::join(mesh_config, parts).await.map_err(|error| to_js(&error))?;
        let listeners = Rc::new(RefCell::new(Vec::new()));
        let (pump, registration) = AbortHandle::new_pair();
        let forwarding = Abortable::new(forward(mesh.events(), listeners.clone()), registration);
        wasm_bindgen_futures::spawn_local(async move {
            let _ = forwarding.await;
        });
        Ok(Self { mesh, listeners, pump })
    }

    /// This peer's id.
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> String {
        self.mesh.id().to_string()
    }

    /// Runs a model; `request` is the caller's number for [`WasmMesh::cancel`] and, in events, `requestId`.
    pub async fn run(&self, request: u32, model: String, input: JsValue, options: JsValue) -> Result<JsValue, JsValue> {
        let question = asked(model, &input, options)?;
        let result = self.mesh.run_as(u64::from(request), question).await;
        answer_to_js(&result.map_err(|error| to_js(&error))?)
    }

    /// The same, and calls `on_part` with `{text, tokens}` whenever there is something new of the answer, before it resolves.
    pub async fn stream(
        &self,
        request: u32,
        model: String,
        input: JsValue,
        options: JsValue,
        on_part: Function,
    ) -> Result<JsValue, JsValue> {
        let question = asked(model, &input, options)?;
        let mut progress = Box::pin(self.mesh.stream_as(u64::from(request), question));
        while let Some(next) = progress.next().await {
            match next.map_err(|error| to_js(&error))? {
                Progress::Part(part) => {
                    // What a listener throws is its own affair.
                    let _ = on_part.call1(&JsValue::NULL, &part_to_js(&part));
                }
                Progress::Answer(answer) => return answer_to_js(&answer),
            }
        }
        Err(named("Closed", "the mesh is closed"))
    }

    /// Cancels a run, wherever it is.
    pub fn cancel(&self, request: u32) {
        self.mesh.cancel(u64::from(request));
    }

    /// The peers known now.
    pub async fn peers(&self) -> Result<JsValue, JsValue> {
        plain(&self.mesh.peers().await.map_err(|error| to_js(&error))?)
    }

    /// The models known now; those whose manifest is here say what they take and which parts of a file they read.
    pub async fn models(&self) -> Result<JsValue, JsValue> {
        let models = self.mesh.models().await.map_err(|error| to_js(&error))?;
        let array = Array::new();
        for model in &models {
            let entry: js_sys::Object = plain(model)?.unchecked_into();
            let manifest = self.mesh.manifest(model.digest).await.map_err(|error| to_js(&error))?;
            if let Some(Manifest { pipeline, .. }) = manifest {
                let takes = match pipeline {
                    Pipeline::Tensors => "tensors",
                    Pipeline::TextEmbedding { .. } | Pipeline::TextGeneration { .. } => "text",
                    Pipeline::Image(_) => "image",
                    Pipeline::VoiceActivity(_) => "audio",
                    Pipeline::Plugin { .. } => "bytes",
                };
                set(&entry, "takes", &takes.into());
                if let Pipeline::Plugin { head, tail } = pipeline {
                    let reads = js_sys::Object::new();
                    set(&reads, "head", &head.into());
                    set(&reads, "tail", &tail.into());
                    set(&entry, "reads", &reads);
                }
            }
            array.push(&entry);
        }
        Ok(array.into())
    }

    /// Calls `listener` with every event from now on.
    pub fn subscribe(&self, listener: Function) -> Result<(), JsValue> {
        let mut listeners = self.listeners.borrow_mut();
        if listeners.len() >= MAX_LISTENERS {
            return Err(invalid(&format!("over the limit of {MAX_LISTENERS} listeners")));
        }
        listeners.push(listener);
        Ok(())
    }

    /// Opens a shared document.
    pub async fn doc(&self, name: String, init: JsValue) -> Result<WasmDoc, JsValue> {
        let init = if init.is_undefined() || init.is_null() {
            serde_json::Value::Object(serde_json::Map::new())
        } else {
            serde_wasm_bindgen::from_value(init).map_err(|error| invalid(&format!("init: {error}")))?
        };
        let doc = self.mesh.doc(&name, init).await.map_err(|error| to_js(&error))?;
        Ok(WasmDoc::new(doc))
    }

    /// Opens a stream of an application's protocol to a connected peer.
    pub async fn open(&self, peer: String, protocol: String) -> Result<WasmStream, JsValue> {
        let id = peer.parse().map_err(|error| invalid(&format!("peer {peer:?}: {error}")))?;
        let stream = self.mesh.open(id, &protocol).await.map_err(|error| to_js(&error))?;
        Ok(WasmStream::new(id, stream))
    }

    /// Gives every stream of an application's protocol that peers open to `take`, until the result is called.
    pub fn accept(&self, protocol: &str, take: Function) -> Result<Function, JsValue> {
        let accepted = self.mesh.accept(protocol).map_err(|error| to_js(&error))?;
        let (stop, registration) = AbortHandle::new_pair();
        let streams = Abortable::new(hand_out(accepted, take), registration);
        wasm_bindgen_futures::spawn_local(async move {
            let _ = streams.await;
        });
        Ok(Closure::once_into_js(move || stop.abort()).unchecked_into())
    }

    /// Joins a room, or changes how it is joined.
    #[wasm_bindgen(js_name = joinRoom)]
    pub async fn join_room(&self, name: String, serve: bool, token: Option<String>) -> Result<WasmRoom, JsValue> {
        let options = RoomOptions { serves: serve, token };
        let room = self.mesh.join_room(&name, &options).await.map_err(|error| to_js(&error))?;
        Ok(WasmRoom::new(room))
    }

    /// Connects to an address and stays connected.
    pub async fn dial(&self, address: String) -> Result<(), JsValue> {
        let parsed = address.parse().map_err(|error| invalid(&format!("address {address:?}: {error}")))?;
        self.mesh.dial(parsed).await.map_err(|error| to_js(&error))
    }

    /// Drops every connection, or returns.
    #[wasm_bindgen(js_name = setOnline)]
    pub async fn set_online(&self, online: bool) -> Result<(), JsValue> {
        self.mesh.set_online(online).await.map_err(|error| to_js(&error))
    }

    /// Brings a model into this tab's cache.
    #[wasm_bindgen(js_name = fetchModel)]
    pub async fn fetch_model(&self, name: String) -> Result<String, JsValue> {
        let digest = self.mesh.fetch_model(&name).await.map_err(|error| to_js(&error))?;
        Ok(digest.to_string())
    }

    /// Leaves.
    pub async fn close(&self) {
        self.mesh.close().await;
        self.pump.abort();
        self.listeners.borrow_mut().clear();
    }
}

fn asked(model: String, input: &JsValue, options: JsValue) -> Result<Request, JsValue> {
    let input = payload_from_js(input)?;
    let options: Options = if options.is_undefined() || options.is_null() {
        Options::default()
    } else {
        serde_wasm_bindgen::from_value(options).map_err(|error| invalid(&format!("options: {error}")))?
    };
    Ok(Request { model, input, options })
}

async fn forward(
    mut events: tokio::sync::broadcast::Receiver<neuromesh::Event>,
    listeners: Rc<RefCell<Vec<Function>>>,
) {
    use tokio::sync::broadcast::error::RecvError;
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let Ok(value) = event_to_js(&event) else { continue };
        // A copy, because a listener may subscribe another one while it runs.
        let current = listeners.borrow().clone();
        for listener in current {
            let _ = listener.call1(&JsValue::NULL, &value);
        }
    }
}

/// As a plain object; the bytes of a message stay bytes.
fn event_to_js(event: &neuromesh::Event) -> Result<JsValue, JsValue> {
    let neuromesh::Event::Message { topic, from, data } = event else { return plain(event) };
    let object = js_sys::Object::new();
    set(&object, "type", &"message".into());
    set(&object, "topic", &topic.into());
    set(&object, "from", &from.map_or(JsValue::NULL, |peer| peer.to_string().into()));
    set(&object, "data", &js_sys::Uint8Array::from(&data[..]).into());
    Ok(object.into())
}

/// The tab's identity: kept with the documents, made on the first visit.
async fn identity(docs: &IndexedDbDocStore, slot: u32) -> Result<[u8; 32], Error> {
    let key = vec![IDENTITY.to_owned(), slot.to_string()];
    if let Some(stored) = docs.load(key.clone()).await?.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
        return Ok(stored);
    }
    let fresh = platform::random_seed();
    let put = neuromesh::storage::StoreChange::Put { key, value: fresh.to_vec() };
    docs.commit(vec![put]).await?;
    Ok(fresh)
}
