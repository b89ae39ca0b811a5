//! A node: the mesh, its stores, the sandbox and HTTP, started and stopped together.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use neuromesh::{
    Config as MeshConfig, Error, Mesh, Multiaddr, Parts, PeerId,
    engine::{LocalEngine, LocalEngineConfig},
    platform,
};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    certificate::{self, CertificateError},
    client::NodeRecord,
    config::NodeConfig,
    data::{DataDir, DataError, Stores},
    http::{self, Api, Listener, ServeError},
    identity::{Identity, IdentityError},
    machine,
    plugins::{PluginError, PluginLimits, PluginSandbox},
};

/// A node has stopped after this long, whatever hangs.
pub const STOP_TIME: Duration = Duration::from_millis(4800);

/// A running node.
pub struct Node {
    mesh: Mesh,
    api: Arc<Api>,
    data: DataDir,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
    url: String,
}

/// A node cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data folder.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The sandbox.
    #[error("plugins: {0}")]
    Plugins(#[from] PluginError),
    /// A port.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The mesh.
    #[error("the mesh cannot be joined: {0}")]
    Join(Error),
    /// The page's folder.
    #[error("--web {0}: no such folder with an index.html in it; build the page first")]
    Web(std::path::PathBuf),
    /// Its certificate cannot be had.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The record for the command line.
    #[error("node.json cannot be written: {0}")]
    Record(io::Error),
    /// Another node runs on the same data.
    #[error("a node runs on data folder {0} already; stop it, or give this one another with --data DIR")]
    Running(std::path::PathBuf),
}

impl Node {
    /// Starts a node on `data`.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(data: &DataDir, config: &NodeConfig) -> Result<Self, StartError> {
        if let Some(folder) = config.web.as_ref().filter(|folder| !folder.join("index.html").is_file()) {
            return Err(StartError::Web(folder.clone()));
        }
        if crate::client::Client::local(data).await.is_some() {
            return Err(StartError::Running(data.path().to_owned()));
        }
        let identity = Identity::open(data)?;
        let api = Arc::new(Api::new(config.tier, config.threads));
        let (stop, stopped) = watch::channel(false);
        let public = Listener::bind(config.http).await?;
        let control = Listener::bind(([127, 0, 0, 1], 0).into()).await?;
        let token = hex::encode(platform::random_seed());
        let record = NodeRecord { control: control.url(), token: token.clone(), http: public.url() };
        let url = public.url();
        // Served from the first moment: `/readyz` tells that it is not ready.
        let page = config.web.clone();
        let servers = vec![
            tokio::spawn(public.serve(http::public(&api, page), stopped.clone())),
            tokio::spawn(control.serve(http::control(&api, token), stopped)),
        ];
        let (mesh, stores) = match join(data, &identity, config).await {
            Ok(both) => both,
            Err(error) => {
                stop.send_replace(true);
                return Err(error);
            }
        };
        api.ready(mesh.clone(), stores);
        record.write(data).map_err(StartError::Record)?;
        tracing::info!(peer = %mesh.id(), http = %url, "node is up");
        Ok(Self { mesh, api, data: data.clone(), stop, servers, url })
    }

    /// Who it is.
    pub fn id(&self) -> PeerId {
        self.mesh.id()
    }

    /// Where it is served, for this machine's own use.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its mesh.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Where other peers reach it.
    pub async fn addresses(&self) -> Vec<Multiaddr> {
        self.mesh.addresses().await.unwrap_or_default()
    }

    /// Stops: takes no more requests, finishes those under way, and is gone within [`STOP_TIME`].
    pub async fn stop(self) {
        let began = Instant::now();
        self.api.drain();
        let mut servers = self.servers;
        let drained = async {
            self.mesh.close().await;
            self.stop.send_replace(true);
            for server in &mut servers {
                let _ = server.await;
            }
        };
        if tokio::time::timeout(STOP_TIME, drained).await.is_err() {
            tracing::warn!("requests were still under way; they are cut off");
        }
        self.stop.send_replace(true);
        servers.iter().for_each(JoinHandle::abort);
        NodeRecord::remove(&self.data);
        tracing::info!(after_ms = began.elapsed().as_millis(), "node has stopped");
    }
}

/// A mesh on the stores of `data`, as `config` says.
///
/// # Errors
/// [`StartError`].
pub async fn join(data: &DataDir, identity: &Identity, config: &NodeConfig) -> Result<(Mesh, Stores), StartError> {
    let stores = data.open()?;
    let sandbox = PluginSandbox::new(PluginLimits::default())?;
    let limits = LocalEngineConfig { threads: config.threads, memory: config.max_memory };
    let engine = LocalEngine::new(stores.blobs.clone(), Some(Arc::new(sandbox)), &limits);
    let engine = engine.remembering(stores.docs.clone(), &machine::name(config.threads)).await;
    let parts = Parts { engine: Arc::new(engine), blobs: stores.blobs.clone(), docs: stores.docs.clone() };
    let defaults = MeshConfig::new(identity.seed(), config.tier);
    let mesh_config = MeshConfig {
        listen: config.listen.clone(),
        dial: config.peers.clone(),
        external: config.external.clone(),
        relay_server: config.relay,
        room_issuers: config.room_issuers.iter().map(|issuer| issuer.peer(identity.peer())).collect(),
        relay_slots: config.relay_slots.unwrap_or(defaults.relay_slots),
        certificate: Some(certificate::open(data)?),
        concurrency: config.threads,
        ..defaults
    };
    let mesh = Mesh::join(mesh_config, parts).await.map_err(StartError::Join)?;
    Ok((mesh, stores))
}
