//! The Magika pipeline, whole: plugin, engine and HTTP against the answers of the PyPI package; and bad plugins beside it.

use std::{
    env, fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    time::Instant,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use neuromesh::Pipeline;
use serde_json::{Value, json};

use crate::fixture::{Node, authority, double, doubling, doubling_file, json_of, model_folder, numbers};

/// The folder that `make models` builds.
fn magika() -> PathBuf {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("NEUROMESH_CACHE")
        .or_else(|| absolute("XDG_CACHE_HOME").map(|base| base.join("neuromesh")))
        .or_else(|| absolute("HOME").map(|home| home.join(".cache/neuromesh")))
        .expect("a cache folder");
    let folder = cache.join("models/magika");
    assert!(folder.join("manifest.json").exists(), "{} is not there; `make models` builds it", folder.display());
    folder
}

fn reference() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("plugins/magika/reference")
}

fn question(bytes: &[u8]) -> Value {
    json!({"model": "magika", "input": {"bytesBase64": BASE64_STANDARD.encode(bytes)}})
}

#[test]
fn files_get_the_packages_labels() {
    let node = Node::start(&[]);
    node.add(&magika());
    let rows: Vec<Value> =
        serde_json::from_slice(&fs::read(reference().join("reference.json")).expect("there")).expect("JSON");
    for row in &rows {
        let sample = row["sample"].as_str().expect("text");
        let path = reference().join("samples").join(sample);
        let reply = node.run(&question(&fs::read(&path).expect("there")));
        let answer = reply.json();
        assert_eq!(reply.status, 200, "{sample}: {answer}");
        let answer = &answer["output"]["json"];
        for key in
            ["label", "group", "mime_type", "description", "is_text", "extensions", "model_label", "overwrite_reason"]
        {
            assert_eq!(answer[key], row[key], "{sample}: {key}");
        }
        let (score, expected) = (answer["score"].as_f64().expect("a number"), row["score"].as_f64().expect("a number"));
        assert!((score - expected).abs() < 1e-4, "{sample}: score {score}, the package says {expected}");
    }
    assert!(rows.len() > 50);

    // Through the command line, and a file of which only the ends travel.
    let large = node.data.join("large.rs");
    let text = fs::read(reference().join("samples/rust")).expect("there").repeat(5000);
    assert!(text.len() > 2 << 20);
    fs::write(&large, &text).expect("written");
    let (answer, ok) = json_of(node.command().args(["run", "magika", "--file"]).arg(&large));
    assert!(ok && answer["output"]["json"]["label"] == "rust", "{answer}");
}

/// A plugin that spoils its own call only.
fn bad_plugin(code: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m (memory (export "memory") 1) (func (export "run") (result i32) {code}))
            (core instance $i (instantiate $m))
            (func (export "run") (result (result string (error string)))
                (canon lift (core func $i "run") (memory $i "memory"))))"#
    );
    wat::parse_str(text).expect("the test's component is valid")
}

#[test]
fn bad_plugins_are_contained_and_reported_while_others_go_on() {
    let node = Node::start(&["--threads", "4"]);
    node.add(&magika());
    let graph = doubling(1);
    let bad = [
        ("looping", bad_plugin("(loop br 0) unreachable"), "ms"),
        ("trapping", bad_plugin("unreachable"), "unreachable"),
        (
            "bombing",
            bad_plugin("(loop (br_if 0 (i32.ne (memory.grow (i32.const 9)) (i32.const -1)))) unreachable"),
            "memory",
        ),
        ("garbage", b"no component".to_vec(), "not a plugin"),
    ];
    for (name, plugin, _) in &bad {
        let pipeline = Pipeline::Plugin { head: 16, tail: 16 };
        node.add(&model_folder(&node.data, name, pipeline, &[("graph", &graph), ("plugin", plugin)]));
    }
    let python = fs::read(reference().join("samples/python")).expect("there");
    assert_eq!(node.run(&question(&python)).status, 200, "loaded");
    std::thread::scope(|scope| {
        let calls: Vec<_> = bad
            .iter()
            .map(|(name, _, words)| {
                let node = &node;
                scope.spawn(move || {
                    let mut body = question(b"x");
                    body["model"] = (*name).into();
                    let reply = node.run(&body);
                    let answer = reply.json();
                    let message = answer["error"]["message"].as_str().unwrap_or_default();
                    assert!(reply.status >= 400 && message.contains(words), "{name}: {answer}");
                })
            })
            .collect();
        let mut answers = 0;
        while !calls.iter().all(|call| call.is_finished()) {
            let answer = node.run(&question(&python)).json();
            assert_eq!(answer["output"]["json"]["label"], "python", "{answer}");
            answers += 1;
        }
        assert!(answers > 0, "no good answer while the bad ones ran");
    });
    assert_eq!(node.run(&question(&python)).json()["output"]["json"]["label"], "python");
}

/// Asks `model` about nothing.
fn ask(node: &Node, model: &str) -> TcpStream {
    let mut body = question(b"x");
    body["model"] = model.into();
    send(node, &body)
}

/// Sends a request and leaves it there once it runs; the caller reads the answer, or hangs up.
fn send(node: &Node, body: &Value) -> TcpStream {
    let (model, body) = (&body["model"], body.to_string());
    let head =
        "POST /v1/run HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ";
    let mut stream = TcpStream::connect(authority(&node.url)).expect("it listens");
    stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).expect("sent");
    node.until("/v1/models", |answer| {
        let models = answer["models"].as_array().expect("a list");
        models.iter().any(|info| info["name"] == *model && info["loaded"] == true)
    });
    stream
}

fn add_plugin(node: &Node, name: &str, code: &str) {
    let pipeline = Pipeline::Plugin { head: 16, tail: 16 };
    let files = [("graph", &*doubling(1)), ("plugin", &*bad_plugin(code))];
    node.add(&model_folder(&node.data, name, pipeline, &files));
}

/// What comes until the other side ends.
fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    // A connection that is cut off has said what it said.
    let _ = stream.read_to_string(&mut text);
    text
}

/// A request that never ends does not hold up the end of the node.
#[test]
fn a_running_plugin_does_not_hold_up_the_end() {
    let mut node = Node::start(&[]);
    add_plugin(&node, "looping", "(loop br 0) unreachable");
    let kept = node.keep_folder();
    let asking = ask(&node, "looping");
    let began = Instant::now();
    node.signal("INT");
    assert_eq!(node.ended().0, Some(0));
    let took = began.elapsed();
    assert!(took.as_secs_f64() < 5.0, "stopped after {took:?}");
    assert!(!rest(asking).contains("200 OK"), "it was cut off, or told why");
    drop(kept);
}

/// A request that ends in time is answered, though the node is stopping.
#[test]
fn a_request_under_way_is_answered_before_the_end() {
    let mut node = Node::start(&[]);
    let code = "(local $i i32)
        (loop (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if 0 (i32.lt_u (local.get $i) (i32.const 100000000))))
        (i32.store (i32.const 20) (i32.const 32)) (i32.store (i32.const 24) (i32.const 2))
        (i32.store16 (i32.const 32) (i32.const 0x5d5b)) i32.const 16";
    add_plugin(&node, "slow", code);
    let kept = node.keep_folder();
    let asking = ask(&node, "slow");
    node.signal("TERM");
    let text = rest(asking);
    assert!(text.contains("200 OK") && text.contains("\"json\":[]"), "{text}");
    assert_eq!(node.ended().0, Some(0));
    drop(kept);
}

/// A client that goes away ends a run of the engine before its next operator; also when it had all threads for itself.
#[test]
fn going_away_stops_the_engine() {
    const SLOW: &[u8] = include_bytes!("../../../sdk/neuromesh/tests/sdk/fixtures/slow.onnx");
    for threads in ["1", "2"] {
        let node = Node::start(&["--threads", threads]);
        node.add(&doubling_file(&node.data));
        let file = node.data.join("slow.onnx");
        fs::write(&file, SLOW).expect("written");
        node.add(&file);
        // Alone this would take minutes.
        let data = vec![0; 1400 * 1400 * 4];
        let tensor =
            json!({"name": "x", "dtype": "f32", "shape": [1400, 1400], "dataBase64": BASE64_STANDARD.encode(data)});
        let options = json!({"deadlineMs": 300_000});
        let asking = send(&node, &json!({"model": "slow", "input": {"tensors": [tensor]}, "options": options}));
        drop(asking);
        let began = Instant::now();
        assert_eq!(numbers(&node.run(&double(&[1.0])).json()), [2.0]);
        let took = began.elapsed();
        assert!(took.as_secs_f64() < 30.0, "the threads were taken for {took:?}");
    }
}

/// Hanging up cancels the run and frees its place.
#[test]
fn hanging_up_cancels() {
    let node = Node::start(&["--threads", "1"]);
    add_plugin(&node, "looping", "(loop br 0) unreachable");
    node.add(&doubling_file(&node.data));
    let asking = ask(&node, "looping");
    let began = Instant::now();
    drop(asking);
    assert_eq!(numbers(&node.run(&double(&[1.0])).json()), [2.0]);
    let took = began.elapsed();
    assert!(took.as_secs_f64() < 4.0, "the place was taken for {took:?}");
}
