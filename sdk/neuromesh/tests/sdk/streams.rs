//! Answers in parts, from a real decoder, over real connections.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures::{Stream, StreamExt};
use neuromesh::{
    Answer, Config, Digest, Error, Manifest, Mesh, Part, Parts, Payload, Pipeline, Progress, Tier,
    core::model::ModelFile,
    engine::{Cancel, Engine, Job, JobDone, JobError, LocalEngine, LocalEngineConfig},
    platform::BoxFuture,
};
use serde_json::json;

use crate::peers::{Stores, join, request, until, until_holds};

/// Tokens of a long answer: seconds of work.
const LONG: usize = 480;

/// An engine that counts how its runs end.
struct Watched {
    engine: LocalEngine,
    cancelled: Arc<AtomicUsize>,
}

impl Engine for Watched {
    fn run(&self, job: Job, cancel: Cancel) -> BoxFuture<'static, Result<JobDone, JobError>> {
        let (run, cancelled) = (self.engine.run(job, cancel), self.cancelled.clone());
        Box::pin(async move {
            let result = run.await;
            if result.as_ref().is_err_and(|error| *error == JobError::Cancelled) {
                cancelled.fetch_add(1, Ordering::SeqCst);
            }
            result
        })
    }

    fn loaded(&self) -> Vec<Digest> {
        self.engine.loaded()
    }

    fn unload(&self, model: &Digest) {
        self.engine.unload(model);
    }
}

/// A server that holds the decoder, and the number of its runs that were cancelled.
async fn server(key: u8, stores: &Stores) -> (Mesh, Arc<AtomicUsize>) {
    let cancelled = Arc::new(AtomicUsize::new(0));
    let mut config = Config::new([key; 32], Tier::Edge);
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    let engine = LocalEngine::new(stores.blobs.clone(), None, &LocalEngineConfig::default());
    let engine = Arc::new(Watched { engine, cancelled: cancelled.clone() });
    let mesh = Mesh::join(config, Parts { engine, blobs: stores.blobs.clone(), docs: stores.docs.clone() }).await;
    let mesh = mesh.unwrap();
    add_decoder(&mesh, stores).await;
    (mesh, cancelled)
}

async fn add_decoder(mesh: &Mesh, stores: &Stores) {
    let cache = std::env::var_os("NEUROMESH_CACHE").map(std::path::PathBuf::from);
    let cache = cache.unwrap_or_else(|| std::env::home_dir().expect("a home").join(".cache/neuromesh"));
    let path = cache.join("reference/decoder/model.onnx");
    let graph = std::fs::read(&path).unwrap_or_else(|error| panic!("{} ({error}): run `make test`", path.display()));
    let mut files = Vec::new();
    for (role, bytes) in [("graph", graph), ("tokenizer", tokenizer())] {
        let file = ModelFile { role: role.into(), digest: Digest::of(&bytes), size: bytes.len() as u64 };
        let mut writer = stores.blobs.write(&file.digest, file.size).await.unwrap();
        writer.append(bytes).await.unwrap();
        writer.finish().await.unwrap();
        files.push(file);
    }
    let manifest = Manifest {
        format: 1,
        name: "decoder".into(),
        pipeline: Pipeline::TextGeneration { context: 512, max_new_tokens: 12, stop: vec![] },
        files,
        memory: 64 << 20,
        license: "MIT".into(),
    };
    mesh.add_model(&manifest.to_json()).await.unwrap();
}

/// Tokens of bytes, so that most characters are cut in several, and of words.
fn tokenizer() -> Vec<u8> {
    let bytes = (0..256).map(|byte| (format!("<0x{byte:02X}>"), json!(byte)));
    let words = (256..1024).map(|id| (format!("é{}", char::from_u32(0x4e00 + id).unwrap()), json!(id)));
    let vocab: serde_json::Map<_, _> = bytes.chain(words).collect();
    let file = json!({"model": {"type": "BPE", "vocab": vocab, "merges": [], "byte_fallback": true},
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}});
    file.to_string().into_bytes()
}

fn ask(mesh: &Mesh, tokens: usize, options: serde_json::Value) -> impl Stream<Item = Result<Progress, Error>> + use<> {
    let wishes = json!({"tokens": [5, 6, 7], "maxNewTokens": tokens, "temperature": 0.8, "seed": 4});
    mesh.stream(request("decoder", Payload::Json(wishes.to_string()), options))
}

async fn part(stream: &mut (impl Stream<Item = Result<Progress, Error>> + Unpin)) -> Part {
    match stream.next().await {
        Some(Ok(Progress::Part(part))) => part,
        other => panic!("no part: {other:?}"),
    }
}

/// The rest of a stream: the parts behind those that were taken, and the answer that is all of them.
async fn whole(
    mut stream: impl Stream<Item = Result<Progress, Error>> + Unpin,
    taken: Vec<Part>,
) -> (Vec<Part>, Answer) {
    let mut parts = taken;
    loop {
        match stream.next().await.expect("an end that says so").unwrap() {
            Progress::Part(part) => parts.push(part),
            Progress::Answer(answer) => {
                assert!(stream.next().await.is_none());
                let mut joined = Part::default();
                parts.iter().for_each(|part| joined.append(part.clone()));
                assert!(!joined.text.is_empty());
                assert_eq!(Part::of_answer(&answer.output), Some(joined));
                return (parts, *answer);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_in_parts_from_here_and_from_there() {
    let stores = [Stores::default(), Stores::default()];
    let (edge, _) = server(1, &stores[0]).await;
    let tab = join(Tier::Device, 2, &[&edge], &stores[1]).await;
    add_decoder(&tab, &stores[1]).await;
    until_holds(&tab, "decoder", edge.id()).await;
    let mut answers = Vec::new();
    for tier in ["device", "edge"] {
        let (parts, answer) = whole(ask(&tab, 24, json!({"tier": tier})), Vec::new()).await;
        assert!(!parts.is_empty() && parts.iter().all(|part| !part.is_empty()));
        assert_eq!(answer.route.tier.as_str(), tier);
        answers.push(answer.output);
    }
    assert_eq!(answers[0], answers[1]);
    // Parts are there long before the answer is: the first is one of many.
    let mut stream = Box::pin(ask(&tab, LONG, json!({"tier": "edge"})));
    let first = part(&mut stream).await;
    assert!(first.tokens.len() < LONG / 2, "{}", first.tokens.len());
    let (parts, _) = whole(stream, vec![first]).await;
    assert_eq!(parts.iter().map(|part| part.tokens.len()).sum::<usize>(), LONG);
    let refused = ask(&tab, 0, json!({})).next().await;
    assert!(matches!(refused, Some(Err(error)) if error.kind() == neuromesh::ErrorKind::InvalidInput));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lets_go_of_a_stream_stops_the_run() {
    let stores = [Stores::default(), Stores::default()];
    let (edge, cancelled) = server(3, &stores[0]).await;
    let tab = join(Tier::Device, 4, &[&edge], &stores[1]).await;
    until_holds(&tab, "decoder", edge.id()).await;
    let mut stream = Box::pin(ask(&tab, LONG, json!({"tier": "edge"})));
    part(&mut stream).await;
    drop(stream);
    until(&tab, "the server's run is cancelled", || async { cancelled.load(Ordering::SeqCst) == 1 }).await;
    whole(ask(&tab, 3, json!({"tier": "edge"})), Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_lost_in_the_middle_is_replaced_without_a_seam() {
    let stores = [Stores::default(), Stores::default(), Stores::default()];
    let (first, _) = server(5, &stores[0]).await;
    let (second, _) = server(6, &stores[1]).await;
    let tab = join(Tier::Device, 7, &[&first, &second], &stores[2]).await;
    until_holds(&tab, "decoder", first.id()).await;
    until_holds(&tab, "decoder", second.id()).await;
    let asked = Arc::new(Mutex::new(None));
    let (mut events, heard) = (tab.events(), asked.clone());
    tokio::spawn(async move {
        while let Ok(event) = events.recv().await {
            if let neuromesh::Event::Request { peer, .. } = event {
                heard.lock().unwrap().get_or_insert(peer);
            }
        }
    });
    let mut stream = Box::pin(ask(&tab, LONG, json!({"tier": "edge"})));
    let taken = vec![part(&mut stream).await];
    until(&tab, "it is known who was asked", || async { asked.lock().unwrap().is_some() }).await;
    let lost = if *asked.lock().unwrap() == Some(first.id()) { &first } else { &second };
    lost.set_online(false).await.unwrap();
    let (_, answer) = whole(stream, taken).await;
    assert_eq!(answer.route.attempts[0].outcome, "lost", "{:?}", answer.route);
    assert_ne!(answer.route.peer, lost.id());
}
