//! `/v1`: the mesh over HTTP.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use neuromesh::{Digest, Mesh, Payload, Pipeline, SparseBytes, core::payload::Part};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Api, ApiError, MAX_BODY,
    body::{self, RunBody, WirePayload},
    stream,
};

/// A body up to this size is read without waiting for a place.
const SMALL_BODY: usize = 64 << 10;
/// A body must have come after this long.
const BODY_TIME: Duration = Duration::from_secs(30);
/// A request that may not begin within this time is refused.
const QUEUE_TIME: Duration = Duration::from_secs(10);
/// No run takes longer, whatever its deadline says.
const RUN_TIME: Duration = Duration::from_secs(300);

/// Runs a model; gives its answer in parts to those who accept events. A caller that hangs up cancels the run.
pub(super) async fn run(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    let mesh = api.mesh()?;
    // A form or a script of another origin cannot send this type without asking first, and is then refused (CORS).
    let kind = text(&request, &header::CONTENT_TYPE);
    let in_parts = stream::is_wanted(text(&request, &header::ACCEPT));
    if kind.split(';').next().unwrap_or_default().trim() != "application/json" {
        let text = "send the body as content-type: application/json";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", text));
    }
    let announced = announced(&request);
    if announced.is_some_and(|len| len > MAX_BODY) {
        return Err(ApiError::too_large(MAX_BODY));
    }
    // Clients that send slowly hold no run's place; large bodies, which take memory, have places of their own.
    let _large = match announced {
        Some(len) if len <= SMALL_BODY => None,
        _ => Some(place(&api.bodies).await?),
    };
    let bytes = read(request).await?;
    let run = place(&api.runs).await?;
    let body: RunBody = serde_json::from_slice(&bytes).map_err(|error| ApiError::invalid(format!("body: {error}")))?;
    drop(bytes);
    let request = match &body.input {
        // Takes a while, and memory for all its pixels.
        WirePayload::ImageBase64(_) => {
            let _place = place(&api.pictures).await?;
            let undecoded = |_| ApiError::invalid("the picture cannot be decoded");
            tokio::task::spawn_blocking(|| body.into_request()).await.map_err(undecoded)?
        }
        _ => body.into_request(),
    };
    let mut request = request.map_err(|error| ApiError::invalid(error.to_string()))?;
    request.input.validate().map_err(|error| ApiError::invalid(error.to_string()))?;
    trim(mesh, &request.model, &mut request.input).await;
    if in_parts {
        return Ok(stream::respond(mesh, request, RUN_TIME, run));
    }
    request.options.stream = false;
    let answer = tokio::time::timeout(RUN_TIME, mesh.run(request)).await.map_err(|_| ApiError::too_long())??;
    Ok(Json(body::answer(&answer)).into_response())
}

fn text<'a>(request: &'a Request, name: &HeaderName) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn announced(request: &Request) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
    let busy = || ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "Busy", "too many requests; try again");
    let place = tokio::time::timeout(QUEUE_TIME, places.clone().acquire_owned()).await.map_err(|_| busy())?;
    Ok(place.expect("the semaphore is never closed"))
}

async fn read(request: Request) -> Result<axum::body::Bytes, ApiError> {
    match tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), MAX_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.to_string().contains("length limit") => Err(ApiError::too_large(MAX_BODY)),
        Ok(Err(error)) => Err(ApiError::invalid(format!("body: {error}"))),
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "Timeout", "the body did not come in time")),
    }
}

/// Where the model's manifest is at hand, only the bytes that its plugin may read travel on.
async fn trim(mesh: &Mesh, model: &str, input: &mut Payload) {
    let Payload::Bytes(bytes) = input else { return };
    let Ok(models) = mesh.models().await else { return };
    let named = |name: &str, digest: Digest| name == model || digest.to_string() == model;
    let Some(known) = models.into_iter().find(|info| info.local && named(&info.name, info.digest)) else { return };
    if let Ok(Some(manifest)) = mesh.manifest(known.digest).await
        && let Pipeline::Plugin { head, tail } = manifest.pipeline
    {
        keep_ends(bytes, head, tail);
    }
}

fn keep_ends(bytes: &mut SparseBytes, head: u32, tail: u32) {
    let head = u64::from(head);
    let cut = bytes.len.saturating_sub(u64::from(tail));
    if head >= cut {
        return;
    }
    let mut kept = Vec::new();
    for part in &bytes.parts {
        let end = part.offset + part.data.len() as u64;
        for (from, to) in [(part.offset, end.min(head)), (part.offset.max(cut), end)] {
            if from < to {
                let range = (from - part.offset) as usize..(to - part.offset) as usize;
                kept.push(Part { offset: from, data: part.data[range].to_vec() });
            }
        }
    }
    bytes.parts = kept;
}

/// The peers known now.
pub(super) async fn peers(State(api): State<Arc<Api>>) -> Result<Json<Value>, ApiError> {
    #[derive(Serialize)]
    struct Peers<T> {
        peers: T,
    }
    let peers = Peers { peers: api.mesh()?.peers().await? };
    Ok(Json(serde_json::to_value(peers).expect("peers have string keys only")))
}

/// The models known now, here and elsewhere.
pub(super) async fn models(State(api): State<Arc<Api>>) -> Result<Json<Value>, ApiError> {
    #[derive(Serialize)]
    struct Models<T> {
        models: T,
    }
    let models = Models { models: api.mesh()?.models().await? };
    Ok(Json(serde_json::to_value(models).expect("models have string keys only")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ends_travel() {
        let all: Vec<u8> = (0..100).collect();
        let mut bytes = SparseBytes::whole(all.clone());
        keep_ends(&mut bytes, 10, 5);
        assert_eq!(bytes, SparseBytes::ends(&all, 10, 5));
        let again = bytes.clone();
        keep_ends(&mut bytes, 10, 5);
        assert_eq!(bytes, again);
        let mut short = SparseBytes::whole(all.clone());
        keep_ends(&mut short, 60, 60);
        assert_eq!(short, SparseBytes::whole(all));
    }
}
