//! `neuromesh run`.

mod stream;

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    path::PathBuf,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Args;
use neuromesh::{
    Mesh, Multiaddr, Numerics, Options, Payload, Privacy, Request, SparseBytes, Tier,
    core::payload::{MAX_PAYLOAD_BYTES, Part},
};
use serde_json::Value;

use super::{Context, Failure, NodeUrl};
use crate::{
    config::NodeConfig,
    http::{
        MAX_BODY,
        body::{self, RunBody, WirePayload},
    },
    identity::Identity,
    node, picture,
};

/// Of a larger file only the ends are sent: what plugins read.
const WHOLE: u64 = 1 << 20;
/// How much of each end.
const END: u64 = 512 << 10;
/// How long to look for a peer that has the model.
const SEARCH: Duration = Duration::from_secs(10);
/// Numbers of a tensor that are shown to people.
const SHOWN: usize = 8;

#[derive(Args, Clone, Debug)]
pub(super) struct RunArgs {
    /// Name or digest of the model
    model: String,
    #[command(flatten)]
    input: InputArgs,
    /// Send all of a large file, not its ends: models of sounds read everything
    #[arg(long, requires = "file")]
    whole: bool,
    /// Only peers of this tier
    #[arg(long, value_name = "TIER")]
    tier: Option<Tier>,
    /// Peers of this tier first
    #[arg(long, value_name = "TIER")]
    prefer: Option<Tier>,
    /// Give up after this many milliseconds [default: 30000]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=300_000))]
    deadline: Option<u64>,
    /// exact: the same bits on every machine; fast: the last ones may differ, if that is faster
    #[arg(long, value_name = "KIND", default_value_t)]
    numerics: Numerics,
    /// Never let the input leave the peer that is asked
    #[arg(long)]
    private: bool,
    /// Print the answer as it is made; Ctrl-C cancels the run. With --json a line for each part, and one for the answer
    #[arg(long)]
    stream: bool,
    /// Where no node runs here: address of a node to ask; may be given often
    #[arg(long, value_name = "ADDR")]
    pub peer: Vec<Multiaddr>,
    #[command(flatten)]
    node: NodeUrl,
}

#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct InputArgs {
    /// Text to run the model on; `-` reads standard input
    #[arg(long, value_name = "TEXT")]
    input: Option<String>,
    /// File to run the model on
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Picture to run the model on: a file in PNG, JPEG or WebP
    #[arg(long, value_name = "PATH")]
    image: Option<PathBuf>,
    /// File with the input as JSON, as in the body of POST /v1/run: {"tensors": [...]}; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    input_json: Option<PathBuf>,
}

pub(super) async fn execute(context: &Context, args: RunArgs) -> Result<(), Failure> {
    let input = read(&args.input, args.whole)?;
    let options = Options {
        tier: args.tier,
        prefer: args.prefer,
        deadline: args.deadline.map(Duration::from_millis),
        privacy: if args.private { Privacy::Device } else { Privacy::Any },
        numerics: args.numerics,
        stream: args.stream,
    };
    let Some(client) = args.node.client(&context.data).await? else {
        return alone(context, Request { model: args.model, input, options }).await;
    };
    let body = RunBody { model: args.model, input: WirePayload::from(&input), options };
    let body = serde_json::to_vec(&body).map_err(Failure::other)?;
    if args.stream {
        let events = client.events("/v1/run", body).await?;
        return stream::print(context.out, stream::of_node(events), text).await;
    }
    let answer = client.post("/v1/run", body).await?;
    context.out.print(&answer, || text(&answer, false));
    Ok(())
}

/// Without a running node: joins for this one request, with the models of the data folder.
async fn alone(context: &Context, request: Request) -> Result<(), Failure> {
    let identity = Identity::open(&context.data).map_err(Failure::other)?;
    let config = NodeConfig { listen: Vec::new(), relay: false, tier: Tier::Device, ..context.config.node.clone() };
    let (mesh, _stores) = node::join(&context.data, &identity, &config).await.map_err(Failure::other)?;
    if !config.peers.is_empty() {
        find(&mesh, &request.model).await;
    }
    if request.options.stream {
        let result = stream::print(context.out, stream::of_mesh(&mesh, request), text).await;
        mesh.close().await;
        return result;
    }
    let answer = mesh.run(request).await;
    mesh.close().await;
    let answer = body::answer(&answer?);
    context.out.print(&answer, || text(&answer, false));
    Ok(())
}

/// Waits until somebody offers the model, or gives up: the run then says what is missing.
async fn find(mesh: &Mesh, model: &str) {
    let mut events = mesh.events();
    let found = async {
        loop {
            let models = mesh.models().await.unwrap_or_default();
            if models.iter().any(|info| info.name == model || info.digest.to_string() == model) {
                return;
            }
            // Falling behind is no matter: the list is read anew.
            if let Err(tokio::sync::broadcast::error::RecvError::Closed) = events.recv().await {
                return;
            }
        }
    };
    if tokio::time::timeout(SEARCH, found).await.is_err() {
        tracing::warn!(model, "no peer that was asked offers this model");
    }
}

fn read(args: &InputArgs, whole: bool) -> Result<Payload, Failure> {
    let invalid = |text: String| Failure::new("InvalidInput", text);
    let payload = match args {
        InputArgs { input: Some(text), .. } if text == "-" => {
            let bytes = all(io::stdin().lock(), "standard input", MAX_BODY)?;
            Payload::Text(String::from_utf8(bytes).map_err(|_| invalid("standard input is not UTF-8 text".into()))?)
        }
        InputArgs { input: Some(text), .. } => Payload::Text(text.clone()),
        InputArgs { file: Some(path), .. } => Payload::Bytes(
            ends(path, if whole { MAX_PAYLOAD_BYTES as u64 } else { WHOLE })
                .map_err(|error| invalid(format!("{}: {error}", path.display())))?,
        ),
        InputArgs { image: Some(path), .. } => {
            let name = path.display().to_string();
            let file = fs::File::open(path).map_err(|error| invalid(format!("{name}: {error}")))?;
            let bytes = all(file, &name, picture::MAX_FILE)?;
            picture::payload(&bytes).map_err(|error| invalid(format!("{name}: {error}")))?
        }
        InputArgs { input_json: Some(path), .. } => {
            let name = path.display().to_string();
            let bytes = if name == "-" {
                all(io::stdin().lock(), "standard input", MAX_BODY)?
            } else {
                let file = fs::File::open(path).map_err(|error| invalid(format!("{name}: {error}")))?;
                all(file, &name, MAX_BODY)?
            };
            let wire: WirePayload =
                serde_json::from_slice(&bytes).map_err(|error| invalid(format!("{name}: {error}")))?;
            wire.into_payload().map_err(|error| invalid(format!("{name}: {error}")))?
        }
        _ => unreachable!("clap wants one of them"),
    };
    payload.validate().map_err(|error| invalid(error.to_string()))?;
    Ok(payload)
}

fn all(reader: impl Read, name: &str, most: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = reader.take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::new("InvalidInput", format!("{name}: {error}")))?;
    if bytes.len() > most {
        return Err(Failure::new("InvalidInput", format!("{name}: over {most} bytes")));
    }
    Ok(bytes)
}

/// A file of at most `most` bytes whole, of a larger one the ends.
fn ends(path: &Path, most: u64) -> io::Result<SparseBytes> {
    let mut file = fs::File::open(path)?;
    let facts = file.metadata()?;
    if facts.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let len = facts.len();
    let mut part = |offset: u64, len: u64| -> io::Result<Part> {
        let mut data = Vec::new();
        file.seek(SeekFrom::Start(offset))?;
        (&mut file).take(len).read_to_end(&mut data)?;
        Ok(Part { offset, data })
    };
    if len <= most {
        return Ok(SparseBytes { len, parts: vec![part(0, len)?] });
    }
    Ok(SparseBytes { len, parts: vec![part(0, END)?, part(len - END, END)?] })
}

/// What people are shown of an answer, whose output may stand there already.
fn text(answer: &Value, is_printed: bool) -> String {
    let output = &answer["output"];
    let mut lines = match output["tensors"].as_array() {
        _ if is_printed => Vec::new(),
        Some(tensors) => tensors.iter().map(tensor).collect(),
        None => vec![match (output.get("json"), output["text"].as_str()) {
            (Some(json), _) => serde_json::to_string_pretty(json).unwrap_or_default(),
            (_, Some(text)) => text.to_owned(),
            _ => output.to_string(),
        }],
    };
    let route = &answer["route"];
    lines.push(format!(
        "({} {}, {} ms, {}: {})",
        route["tier"].as_str().unwrap_or("-"),
        route["peer"].as_str().unwrap_or("-"),
        route["elapsedMs"],
        answer["receipt"]["exactness"].as_str().unwrap_or("-"),
        route["reason"].as_str().unwrap_or("-"),
    ));
    lines.join("\n")
}

fn tensor(tensor: &Value) -> String {
    let (name, dtype) = (tensor["name"].as_str().unwrap_or("-"), tensor["dtype"].as_str().unwrap_or("-"));
    let head = format!("{name} {dtype}{}", tensor["shape"]);
    let data = BASE64_STANDARD.decode(tensor["dataBase64"].as_str().unwrap_or_default()).unwrap_or_default();
    if dtype != "f32" {
        return format!("{head}: {} bytes", data.len());
    }
    let values = data.chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let shown: Vec<_> = values.take(SHOWN).map(|value| format!("{value:.5}")).collect();
    let more = if data.len() / 4 > SHOWN { " …" } else { "" };
    format!("{head}: {}{more}", shown.join(" "))
}
