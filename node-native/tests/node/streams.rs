//! Answers in parts: over HTTP, and on the command line.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use neuromesh::{
    Config, Digest, Manifest, Mesh, Parts, Pipeline, Tier,
    core::model::ModelFile,
    engine::{Cancel, Engine, Job, JobDone, JobError, LocalEngine, LocalEngineConfig},
    platform::BoxFuture,
    storage::BlobStore,
};
use neuromesh_node::{
    data::DataDir,
    http::{Api, Listener, public},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::fixture::{Node, PATIENCE, Reply, authority, doubling_file, model_folder, neuromesh, request};

/// Tokens of a long answer, as many as the decoder can make.
const LONG: u32 = 480;

fn pipeline() -> Pipeline {
    Pipeline::TextGeneration { context: 512, max_new_tokens: 12, stop: Vec::new() }
}

fn graph() -> Vec<u8> {
    let cache = std::env::var_os("NEUROMESH_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| std::env::home_dir().expect("a home").join(".cache/neuromesh"));
    let path = cache.join("reference/decoder/model.onnx");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{} ({error}): run `make test`", path.display()))
}

fn decoder(folder: &Path) -> PathBuf {
    model_folder(folder, "decoder", pipeline(), &[("graph", &graph())])
}

fn wishes(count: u32) -> Value {
    json!({"json": {"tokens": [5, 6, 7], "maxNewTokens": count, "temperature": 0.8, "seed": 4}})
}

fn ask(url: &str, body: &Value) -> Reply {
    let headers = [("content-type", "application/json"), ("accept", "text/event-stream")];
    request(url, "POST", "/v1/run", &headers, body.to_string().as_bytes())
}

/// Names and data of events.
fn events(reply: &Reply) -> Vec<(String, Value)> {
    assert_eq!(reply.status, 200, "{}", reply.head);
    assert!(reply.header("content-type").expect("a type").starts_with("text/event-stream"));
    let text = String::from_utf8(reply.body.clone()).expect("text");
    let events = text.split("\n\n").filter(|event| event.contains("event:"));
    let field = |event: &str, name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect(name);
        line.trim_start().to_owned()
    };
    events.map(|event| (field(event, "event"), field(event, "data").parse().expect("JSON"))).collect()
}

/// The tokens of parts, and the answer behind them.
fn told(mut all: Vec<Value>) -> (Vec<Value>, Value) {
    let answer = all.pop().expect("something");
    (all.iter().flat_map(|part| part["tokens"].as_array().expect("tokens").clone()).collect(), answer)
}

#[test]
fn an_answer_comes_as_events_to_those_who_accept_them() {
    let node = Node::start(&[]);
    node.add(&decoder(&node.data));
    node.add(&doubling_file(&node.data));
    let body = json!({"model": "decoder", "input": wishes(LONG)});
    let all = events(&ask(&node.url, &body));
    let (last, parts) = all.split_last().expect("events");
    assert_eq!(last.0, "answer", "{last:?}");
    assert!(parts.len() > 1 && parts.iter().all(|(name, _)| name == "part"), "{} parts", parts.len());
    let (tokens, answer) = told(all.iter().map(|(_, data)| data.clone()).collect());
    assert_eq!(answer["output"]["json"]["tokens"], Value::Array(tokens));
    assert_eq!(answer["receipt"]["signature"].as_str().map(str::len), Some(128));

    let plain = node.run(&body).json();
    assert_eq!(plain["output"], answer["output"], "the answer is the same for others");

    let all = events(&ask(&node.url, &crate::fixture::double(&[4.0])));
    assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["answer"], "this one has no parts");
    for (body, name) in [
        (json!({"model": "other", "input": {"text": "x"}}), "ModelNotFound"),
        (json!({"model": "decoder", "input": {"text": "no tokenizer"}}), "InvalidInput"),
    ] {
        let all = events(&ask(&node.url, &body));
        assert_eq!((all[0].0.as_str(), &all[0].1["error"]["name"]), ("error", &json!(name)));
        assert_eq!(all.len(), 1);
    }
    assert_eq!(ask(&node.url, &json!({"model": 7})).status, 400, "what is no request is refused as ever");
}

/// An engine that counts the runs that were cancelled.
struct Watched(LocalEngine, watch::Sender<usize>);

impl Engine for Watched {
    fn run(&self, job: Job, cancel: Cancel) -> BoxFuture<'static, Result<JobDone, JobError>> {
        let (run, cancelled) = (self.0.run(job, cancel), self.1.clone());
        Box::pin(async move {
            let result = run.await;
            if result.as_ref().is_err_and(|error| *error == JobError::Cancelled) {
                cancelled.send_modify(|count| *count += 1);
            }
            result
        })
    }

    fn loaded(&self) -> Vec<Digest> {
        self.0.loaded()
    }

    fn unload(&self, model: &Digest) {
        self.0.unload(model);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hangs_up_cancels_the_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stores = DataDir::create(folder.path()).expect("made").open().expect("open");
    let (cancelled, mut count) = watch::channel(0);
    let engine = LocalEngine::new(stores.blobs.clone(), None, &LocalEngineConfig::default());
    let engine = Arc::new(Watched(engine, cancelled));
    let parts = Parts { engine, blobs: stores.blobs.clone(), docs: stores.docs.clone() };
    let mesh = Mesh::join(Config::new([77; 32], Tier::Edge), parts).await.expect("joined");
    let graph = graph();
    let file = ModelFile { role: "graph".into(), digest: Digest::of(&graph), size: graph.len() as u64 };
    let mut writer = stores.blobs.write(&file.digest, file.size).await.expect("room");
    writer.append(graph).await.expect("written");
    writer.finish().await.expect("whole");
    let manifest = Manifest {
        format: 1,
        name: "decoder".into(),
        pipeline: pipeline(),
        files: vec![file],
        memory: 64 << 20,
        license: String::new(),
    };
    mesh.add_model(&manifest.to_json()).await.expect("added");
    let api = Arc::new(Api::new(Tier::Edge, 1));
    api.ready(mesh.clone(), stores);
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.expect("a port");
    let url = listener.url();
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(listener.serve(public(&api, None), stopped));

    let body = json!({"model": "decoder", "input": wishes(LONG)}).to_string();
    let hung_up = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(authority(&url)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let head =
            "POST /v1/run HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\ncontent-type: application/json\r\n";
        write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).expect("sent");
        let (mut seen, mut byte) = (Vec::new(), [0]);
        while !seen.ends_with(b"event: part") {
            stream.read_exact(&mut byte).expect("more");
            seen.push(byte[0]);
        }
    });
    hung_up.await.expect("a part came");
    let cancelled = tokio::time::timeout(PATIENCE, count.wait_for(|count| *count == 1)).await;
    assert!(cancelled.is_ok(), "the run went on for nobody");
    stop.send_replace(true);
    mesh.close().await;
    server.await.expect("it ends");
}

#[test]
fn the_command_line_prints_an_answer_as_it_is_made() {
    let node = Node::start(&[]);
    node.add(&decoder(&node.data));
    let input = node.data.join("input.json");
    std::fs::write(&input, wishes(24).to_string()).expect("written");
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    // A node that runs, a node by its address, and no node but the folder of one that joins for this request.
    let how: [&[&str]; 3] = [&[], &["--node", &node.url], &["--peer", &node.address("/tcp")]];
    let mut seen = Vec::new();
    for args in how {
        let data = if args.is_empty() { node.data.as_path() } else { elsewhere.path() };
        let mut command = neuromesh(data);
        command.args(["run", "decoder", "--stream", "--input-json"]).arg(&input).args(args);
        let plain = command.output().expect("it runs");
        let output = command.arg("--json").output().expect("it runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let all = lines.map(|mut line| match line["part"].take() {
            Value::Null => line["answer"].take(),
            part => part,
        });
        let (tokens, answer) = told(all.collect());
        assert_eq!((tokens.len(), &answer["output"]["json"]["tokens"]), (24, &json!(tokens)), "{args:?}");
        let plain = String::from_utf8(plain.stdout).expect("text");
        let shown: String = tokens.iter().map(|token| format!("{token} ")).collect();
        assert!(plain.starts_with(&shown) && plain.contains(" ms, exact: "), "{args:?}: {plain}");
        seen.push(tokens);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    let mut command = node.command();
    let output = command.args(["run", "other", "--stream", "--json", "--input", "x"]).output().expect("it runs");
    assert!(!output.status.success());
    let error: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(error["error"]["name"], "ModelNotFound");
}

#[test]
fn an_interrupt_ends_a_stream() {
    let node = Node::start(&[]);
    node.add(&decoder(&node.data));
    let input = node.data.join("input.json");
    std::fs::write(&input, wishes(LONG).to_string()).expect("written");
    let mut command = node.command();
    command.args(["run", "decoder", "--stream", "--json", "--input-json"]).arg(&input);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    assert!(line.starts_with(r#"{"part":"#), "{line}");
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "INT", &pid]).status().expect("kill runs").success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    let last = rest.lines().last().expect("a line");
    assert!(last.contains("AbortError"), "{last}");
    assert_eq!(node.get("/readyz").status, 200);
}
