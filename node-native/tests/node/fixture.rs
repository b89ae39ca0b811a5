//! Nodes, models and requests for the tests.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use neuromesh::{
    Digest, Manifest, Pipeline,
    core::model::{ImagePipeline, ModelFile, Number},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing in these tests takes longer, on a slow machine under load either.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The command, away from the user's own configuration.
pub fn neuromesh(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neuromesh"));
    command.env_clear().env("HOME", data).env("NEUROMESH_DATA", data).stdin(Stdio::null());
    command
}

/// Runs the command to its end; its JSON.
pub fn json_of(command: &mut Command) -> (Value, bool) {
    let output = command.arg("--json").output().expect("the binary runs");
    (parse(&output), output.status.success())
}

fn parse(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        panic!("no JSON ({error}): {out}\n{err}")
    })
}

/// A node that runs as its own process and is killed at the end.
pub struct Node {
    pub child: Child,
    pub data: PathBuf,
    pub url: String,
    pub id: String,
    pub addresses: Vec<String>,
    /// What it printed when it was ready.
    pub ready: Value,
    lines: BufReader<std::process::ChildStdout>,
    folder: Option<TempDir>,
}

impl Node {
    /// A node on fresh data.
    pub fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut node = Self::start_on(folder.path(), args);
        node.folder = Some(folder);
        node
    }

    /// A node on `data`; it listens on this machine only, wherever there is room.
    pub fn start_on(data: &Path, args: &[&str]) -> Self {
        let mut child = neuromesh(data)
            .args(["up", "--json", "--http", "127.0.0.1:0", "--log-level", "warn"])
            .args(["--listen", "/ip4/127.0.0.1/tcp/0,/ip4/127.0.0.1/tcp/0/ws,/ip4/127.0.0.1/udp/0/quic-v1"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready: {line:?}"));
        assert_eq!(ready["event"], "ready", "{ready}");
        let text = |key: &str| ready[key].as_str().expect("text").to_owned();
        let addresses = ready["addresses"].as_array().expect("a list");
        let addresses = addresses.iter().map(|address| address.as_str().expect("text").to_owned()).collect();
        Self {
            child,
            data: data.to_owned(),
            url: text("http"),
            id: text("peerId"),
            addresses,
            ready,
            lines,
            folder: None,
        }
    }

    /// Its address over TCP, WebSocket (`/ws`) or QUIC (`/quic-v1`).
    pub fn address(&self, kind: &str) -> String {
        let tcp = |address: &&String| kind == "/tcp" && address.contains("/tcp/") && !address.contains("/ws");
        let other = |address: &&String| kind != "/tcp" && address.contains(kind);
        self.addresses.iter().find(|address| tcp(address) || other(address)).expect(kind).clone()
    }

    /// The command line on this node's data.
    pub fn command(&self) -> Command {
        neuromesh(&self.data)
    }

    pub fn get(&self, path: &str) -> Reply {
        request(&self.url, "GET", path, &[], b"")
    }

    pub fn run(&self, body: &Value) -> Reply {
        let kind = [("content-type", "application/json")];
        request(&self.url, "POST", "/v1/run", &kind, body.to_string().as_bytes())
    }

    pub fn add(&self, model: &Path) {
        let (answer, ok) = json_of(self.command().args(["models", "add"]).arg(model));
        assert!(ok, "{answer}");
    }

    /// Asks again and again until `ready` holds of the answer.
    pub fn until(&self, path: &str, ready: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let answer = self.get(path).json();
            if ready(&answer) {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "{path} stays {answer}");
            std::thread::yield_now();
        }
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs").success());
    }

    /// Keeps its data until the caller lets go.
    pub fn keep_folder(&mut self) -> Option<TempDir> {
        self.folder.take()
    }

    /// Waits for its end; the rest of what it printed.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("text");
        (self.child.wait().expect("it ends").code(), rest)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {}\n{}", self.head, String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = |line: &&str| line.split(':').next().is_some_and(|key| key.eq_ignore_ascii_case(name));
        let line = self.head.lines().find(found)?;
        line.split_once(':').map(|(_, value)| value.trim())
    }
}

/// One HTTP request, by hand: the tests send what no client would.
pub fn request(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", authority(url));
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    raw(url, &[text.as_bytes(), body].concat()).expect("an answer")
}

/// Sends `bytes` as they are; `None` when the node hangs up without a word.
pub fn raw(url: &str, bytes: &[u8]) -> Option<Reply> {
    let mut stream = TcpStream::connect(authority(url)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // A refusal may come before all is sent.
    let _ = stream.write_all(bytes);
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let split = all.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&all[..split]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut body = all[split + 4..].to_vec();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body = unchunk(&body);
    }
    Some(Reply { status, head, body })
}

pub fn authority(url: &str) -> &str {
    url.strip_prefix("http://").expect("plain HTTP")
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16).expect("a chunk's size");
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
    body
}

/// An ONNX graph `y = x + x` on float32 of this rank, `[n]` for one; written by hand: the protobuf fields of `onnx.proto3`.
pub fn doubling(rank: u8) -> Vec<u8> {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut len = bytes.len();
        while len > 127 {
            out.push(len as u8 | 128);
            len >>= 7;
        }
        out.push(len as u8);
        out.extend_from_slice(bytes);
        out
    }
    let varint = |number: u8, value: u8| vec![number << 3, value];
    let value_info = |name: &str| {
        let dims: Vec<u8> = (0..rank).flat_map(|dim| field(1, &field(2, &[b'n' + dim]))).collect();
        let tensor = [varint(1, 1), field(2, &dims)].concat();
        [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
    };
    let node = [field(1, b"x"), field(1, b"x"), field(2, b"y"), field(3, b"add"), field(4, b"Add")].concat();
    let graph =
        [field(1, &node), field(2, b"double"), field(11, &value_info("x")), field(12, &value_info("y"))].concat();
    [varint(1, 8), field(7, &graph), field(8, &varint(2, 17))].concat()
}

/// `models/doubling.onnx` below `folder`.
pub fn doubling_file(folder: &Path) -> PathBuf {
    let path = folder.join("doubling.onnx");
    std::fs::write(&path, doubling(1)).expect("written");
    path
}

/// The folder of a model that doubles the values of a picture, below `folder`.
pub fn brightening(folder: &Path) -> PathBuf {
    let pipeline = Pipeline::Image(Box::new(ImagePipeline { divisor: Number(1.0), ..ImagePipeline::default() }));
    model_folder(folder, "brightening", pipeline, &[("graph", &doubling(4))])
}

/// A picture of 3 x 2 pixels as a PNG; the value at channel c, row y, column x is 20 c + 3 y + x.
pub fn picture() -> Vec<u8> {
    let picture = image::RgbImage::from_fn(3, 2, |x, y| image::Rgb([0, 20, 40].map(|c| c + (3 * y + x) as u8)));
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, image::ImageFormat::Png).expect("encoded");
    file.into_inner()
}

/// What [`brightening`] makes of [`picture`].
pub fn brightened() -> Vec<f32> {
    [0, 20, 40].iter().flat_map(|c| (0..6).map(move |at| 2.0 * (c + at) as f32)).collect()
}

/// A request to double some numbers.
pub fn double(values: &[f32]) -> Value {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let tensor =
        json!({"name": "x", "dtype": "f32", "shape": [values.len()], "dataBase64": BASE64_STANDARD.encode(data)});
    json!({"model": "doubling", "input": {"tensors": [tensor]}})
}

/// The numbers of an answer.
pub fn numbers(answer: &Value) -> Vec<f32> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let data = answer["output"]["tensors"][0]["dataBase64"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let data = BASE64_STANDARD.decode(data).expect("base64");
    data.chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()
}

/// A model's folder as the set-up builds it.
pub fn model_folder(folder: &Path, name: &str, pipeline: Pipeline, files: &[(&str, &[u8])]) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(&path).expect("made");
    let mut names = serde_json::Map::new();
    let mut listed = Vec::new();
    for (role, bytes) in files {
        let file = format!("{role}.bin");
        std::fs::write(path.join(&file), bytes).expect("written");
        names.insert((*role).to_owned(), file.into());
        listed.push(ModelFile { role: (*role).into(), digest: Digest::of(bytes), size: bytes.len() as u64 });
    }
    let manifest =
        Manifest { format: 1, name: name.into(), pipeline, files: listed, memory: 1 << 20, license: String::new() };
    std::fs::write(path.join("manifest.json"), manifest.to_json()).expect("written");
    std::fs::write(path.join("files.json"), Value::Object(names).to_string()).expect("written");
    path
}
