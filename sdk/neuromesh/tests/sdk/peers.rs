//! Peers for tests, and waiting for what they report.

use std::{sync::Arc, time::Duration};

use neuromesh::{
    Config, Event, Manifest, Mesh, Multiaddr, Parts, Payload, PeerId, Pipeline, Request, SparseBytes, Tensor, Tier,
    core::{model::ModelFile, payload::DType},
    engine::{LocalEngine, LocalEngineConfig},
    platform,
    storage::{BlobStore, DocStore, MemoryBlobStore, MemoryDocStore},
};

/// Nothing here takes this long; a test that waits so long has failed.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Stores {
    pub blobs: Arc<dyn BlobStore>,
    pub docs: Arc<dyn DocStore>,
}

impl Default for Stores {
    fn default() -> Self {
        Self { blobs: Arc::new(MemoryBlobStore::default()), docs: Arc::new(MemoryDocStore::default()) }
    }
}

pub async fn join(tier: Tier, key: u8, dial: &[&Mesh], stores: &Stores) -> Mesh {
    join_as(Config::new([key; 32], tier), dial, stores).await
}

/// The same with settings of one's own.
pub async fn join_as(mut config: Config, dial: &[&Mesh], stores: &Stores) -> Mesh {
    // `RUST_LOG=debug` shows what the peers of a failing test did.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
    config.listen.extend(["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"].map(|text| text.parse().unwrap()));
    for peer in dial {
        config.dial.push(address(peer, |text| text.contains("/tcp/")).await.unwrap());
    }
    let engine = LocalEngine::new(stores.blobs.clone(), None, &LocalEngineConfig::default());
    let parts = Parts { engine: Arc::new(engine), blobs: stores.blobs.clone(), docs: stores.docs.clone() };
    Mesh::join(config, parts).await.unwrap()
}

/// The first address of this kind.
pub async fn address(mesh: &Mesh, kind: impl Fn(&str) -> bool) -> Option<Multiaddr> {
    mesh.addresses().await.unwrap().into_iter().find(|address| kind(&address.to_string()))
}

/// Adds an ONNX file as a model with the pipeline `tensors`.
pub async fn add_model(mesh: &Mesh, stores: &Stores, name: &str, onnx: &[u8]) {
    add_model_of(mesh, stores, name, onnx, 1 << 20).await;
}

/// The same, with the bytes of memory that its manifest asks for.
pub async fn add_model_of(mesh: &Mesh, stores: &Stores, name: &str, onnx: &[u8], memory: u64) {
    let digest = neuromesh::Digest::of(onnx);
    let mut writer = stores.blobs.write(&digest, onnx.len() as u64).await.unwrap();
    writer.append(onnx.to_vec()).await.unwrap();
    writer.finish().await.unwrap();
    let manifest = Manifest {
        format: 1,
        name: name.into(),
        pipeline: Pipeline::Tensors,
        files: vec![ModelFile { role: "graph".into(), digest, size: onnx.len() as u64 }],
        memory,
        license: "MIT".into(),
    };
    mesh.add_model(&manifest.to_json()).await.unwrap();
}

pub fn vector(values: &[f32]) -> Payload {
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Payload::Tensors(vec![Tensor { name: "x".into(), dtype: DType::F32, shape: vec![values.len() as u32], data }])
}

pub fn square(side: u32) -> Payload {
    let data = (0..side * side).flat_map(|_| (1.0 / side as f32).to_le_bytes()).collect();
    Payload::Tensors(vec![Tensor { name: "x".into(), dtype: DType::F32, shape: vec![side, side], data }])
}

pub fn bytes(data: &[u8]) -> Payload {
    Payload::Bytes(SparseBytes::whole(data.to_vec()))
}

pub fn request(model: &str, input: Payload, options: serde_json::Value) -> Request {
    Request { model: model.into(), input, options: serde_json::from_value(options).unwrap() }
}

/// Waits until `ready` holds, looking again after every event of `mesh`.
pub async fn until<F: Future<Output = bool>>(mesh: &Mesh, what: &str, mut ready: impl FnMut() -> F) {
    let mut events = mesh.events();
    let wait = async {
        while !ready().await {
            // Not everything that changes is an event: look again after a while in any case.
            let _ = platform::timeout(Duration::from_millis(100), events.recv()).await;
        }
    };
    assert!(platform::timeout(LIMIT, wait).await.is_some(), "timed out waiting until {what}");
}

pub async fn until_holds(mesh: &Mesh, model: &str, holder: PeerId) {
    until(mesh, &format!("{holder} offers {model}"), || async {
        let models = mesh.models().await.unwrap();
        models.iter().any(|known| known.name == model && known.holders.contains(&holder))
    })
    .await;
}

pub async fn until_event(mesh: &Mesh, what: &str, matches: impl Fn(&Event) -> bool) {
    let mut events = mesh.events();
    let wait = async { while !events.recv().await.is_ok_and(|event| matches(&event)) {} };
    assert!(platform::timeout(LIMIT, wait).await.is_some(), "timed out waiting for {what}");
}
