//! `neuromesh run --stream`: the answer as it is made.

use std::io::{self, Write};

use futures::{Stream, StreamExt, stream};
use neuromesh::{Mesh, Progress, Request};
use serde_json::{Value, json};

use super::super::{Failure, out::Out};
use crate::{client::Events, http::body};

/// What comes of a run.
pub(super) enum Told {
    Part(Value),
    Answer(Value),
}

/// From a node.
pub(super) fn of_node(events: Events) -> impl Stream<Item = Result<Told, Failure>> {
    stream::unfold(Some(events), |events| async move {
        let mut events = events?;
        let told = match events.next().await {
            Err(error) => Err(error.into()),
            Ok(None) => Err(Failure::new("NetworkError", "the node ended the stream without an answer")),
            Ok(Some((name, data))) => match name.as_str() {
                "part" => return Some((Ok(Told::Part(data)), Some(events))),
                "answer" => Ok(Told::Answer(data)),
                _ => {
                    let text = |key: &str| data["error"][key].as_str().unwrap_or("Error").to_owned();
                    Err(Failure::new(text("name"), text("message")))
                }
            },
        };
        Some((told, None))
    })
}

/// From this process.
pub(super) fn of_mesh(mesh: &Mesh, request: Request) -> impl Stream<Item = Result<Told, Failure>> + use<> {
    mesh.stream(request).map(|progress| match progress? {
        Progress::Part(part) => Ok(Told::Part(json!(part))),
        Progress::Answer(answer) => Ok(Told::Answer(body::answer(&answer))),
    })
}

/// Prints what comes until the end, or until Ctrl-C, which cancels the run: for programs a line of JSON each, for people the text,
/// and then `text` of the answer, which is told whether its output was printed already.
pub(super) async fn print(
    out: Out,
    told: impl Stream<Item = Result<Told, Failure>>,
    text: impl Fn(&Value, bool) -> String,
) -> Result<(), Failure> {
    let mut told = std::pin::pin!(told);
    // One for the whole loop: a signal between two looks must not go unheard.
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let mut is_printed = false;
    loop {
        let next = tokio::select! {
            next = told.next() => next,
            _ = &mut interrupted => {
                if is_printed && !out.json {
                    write("\n");
                }
                return Err(Failure::new("AbortError", "cancelled"));
            }
        };
        let line = match next.transpose()? {
            None => return Ok(()),
            Some(Told::Part(part)) if out.json => format!("{}\n", json!({"part": part})),
            Some(Told::Part(part)) => {
                is_printed = true;
                shown(&part)
            }
            Some(Told::Answer(answer)) if out.json => format!("{}\n", json!({"answer": answer})),
            Some(Told::Answer(answer)) => {
                let end = if is_printed { "\n" } else { "" };
                format!("{end}{}\n", text(&answer, is_printed))
            }
        };
        // A reader that went away (`| head`) is no failure; nobody waits for the rest.
        if !write(&line) {
            return Ok(());
        }
    }
}

/// The text, or the tokens of a model that has no tokenizer.
fn shown(part: &Value) -> String {
    match (part["text"].as_str().unwrap_or_default(), part["tokens"].as_array()) {
        ("", Some(tokens)) => tokens.iter().map(|token| format!("{token} ")).collect(),
        (text, _) => text.to_owned(),
    }
}

/// Whether anybody reads it.
fn write(text: &str) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}
