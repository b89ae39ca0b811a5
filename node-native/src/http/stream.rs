//! An answer in parts, as server-sent events (HTML, section 9.2): `part` as often as there is something new, then one `answer`
//! or one `error`. Their data are a [`Part`](neuromesh::Part), what a request without parts is answered with, and a refusal.

use std::{convert::Infallible, time::Duration};

use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt, stream};
use neuromesh::{Mesh, Progress, Request};
use serde_json::json;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{ApiError, body};

/// How often a stream that has nothing to say shows that it lives, and finds out whether anybody listens.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Whether a caller wants events.
pub(super) fn is_wanted(accept: &str) -> bool {
    let kind =
        |entry: &str| entry.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream");
    accept.split(',').any(kind)
}

/// The run as events, for at most `limit`; `place` is taken as long as it goes on. Whoever hangs up cancels it.
pub(super) fn respond(mesh: &Mesh, request: Request, limit: Duration, place: OwnedSemaphorePermit) -> Response {
    let end = Instant::now() + limit;
    let late = || ApiError::too_long();
    let running = Some((Box::pin(mesh.stream(request)), place));
    let events = stream::unfold(running, move |running| async move {
        let (mut progress, place) = running?;
        let next = tokio::time::timeout_at(end, progress.next()).await;
        let (event, goes_on) = match next {
            Ok(None) => return None,
            Ok(Some(Ok(Progress::Part(part)))) => (event("part", &json!(part)), true),
            Ok(Some(Ok(Progress::Answer(answer)))) => (event("answer", &body::answer(&answer)), false),
            Ok(Some(Err(error))) => (event("error", &ApiError::from(error).body()), false),
            Err(_) => (event("error", &late().body()), false),
        };
        Some((event, goes_on.then_some((progress, place))))
    });
    sse(events)
}

fn sse(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let events = events.map(Ok::<_, Infallible>);
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

fn event(name: &str, data: &serde_json::Value) -> Event {
    // JSON has no line breaks of its own.
    Event::default().event(name).data(data.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_for_those_who_ask_for_them() {
        for accept in ["text/event-stream", "application/json, Text/Event-Stream;q=0.5"] {
            assert!(is_wanted(accept), "{accept}");
        }
        for accept in ["", "*/*", "application/json", "text/event-streams", "text/*"] {
            assert!(!is_wanted(accept), "{accept}");
        }
    }
}
