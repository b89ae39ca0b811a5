//! What the node's own command line may do: change the model store.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Path, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use neuromesh::{Digest, core::model::MAX_MANIFEST_BYTES, storage::BlobStore};
use serde_json::{Value, json};

use super::{Api, ApiError};

/// A body that stands still for this long is given up.
const STALL: Duration = Duration::from_secs(30);
/// Bytes handed to the store at once.
const CHUNK: usize = 1 << 20;

/// Lets only those in who could read the token file, in constant time.
pub(super) async fn authorize(token: Arc<str>, request: Request, next: Next) -> Response {
    let given =
        request.headers().get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let same = given.is_some_and(|given| {
        given.len() == token.len() && given.iter().zip(token.as_bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
    });
    if same {
        next.run(request).await
    } else {
        let text = "this port is for the neuromesh command line of this node's owner";
        ApiError::new(StatusCode::UNAUTHORIZED, "Unauthorized", text).into_response()
    }
}

/// Who this is.
pub(super) async fn status(State(api): State<Arc<Api>>) -> Result<Json<Value>, ApiError> {
    let mesh = api.mesh()?;
    let addresses = mesh.addresses().await?;
    Ok(Json(json!({"peerId": mesh.id(), "tier": api.tier, "threads": api.threads, "addresses": addresses})))
}

/// Whether the store has a file.
pub(super) async fn has(State(api): State<Arc<Api>>, Path(digest): Path<String>) -> Result<Json<Value>, ApiError> {
    let digest = parse(&digest)?;
    Ok(Json(json!({"size": api.stores()?.blobs.has(&digest).await?})))
}

/// Takes a file into the store; its length is announced, its digest is checked.
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    Path(digest): Path<String>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let digest = parse(&digest)?;
    let size = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let size: u64 = size.ok_or_else(|| ApiError::invalid("send the file's length as content-length"))?;
    let mut writer = api.stores()?.blobs.write(&digest, size).await?;
    let mut body: Body = request.into_body();
    let mut pending = Vec::new();
    loop {
        let frame = tokio::time::timeout(STALL, body.frame()).await;
        let stalled = || ApiError::new(StatusCode::REQUEST_TIMEOUT, "Timeout", "the file did not come in time");
        let Some(frame) = frame.map_err(|_| stalled())? else { break };
        let frame = frame.map_err(|error| ApiError::invalid(format!("body: {error}")))?;
        if let Ok(data) = frame.into_data() {
            pending.extend_from_slice(&data);
        }
        if pending.len() >= CHUNK {
            writer.append(std::mem::take(&mut pending)).await?;
        }
    }
    if !pending.is_empty() {
        writer.append(pending).await?;
    }
    writer.finish().await?;
    Ok(Json(json!({"digest": digest, "size": size})))
}

/// Makes the model of a manifest one of this node's; its files are in the store already.
pub(super) async fn add(State(api): State<Arc<Api>>, request: Request) -> Result<Json<Value>, ApiError> {
    let bytes = tokio::time::timeout(STALL, to_bytes(request.into_body(), MAX_MANIFEST_BYTES)).await;
    let bytes = bytes
        .map_err(|_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "Timeout", "the manifest did not come in time"))?
        .map_err(|_| ApiError::too_large(MAX_MANIFEST_BYTES))?;
    let digest = api.mesh()?.add_model(&bytes).await?;
    Ok(Json(json!({"digest": digest})))
}

/// Forgets a model.
pub(super) async fn remove(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    let removed = api.mesh()?.remove_model(&name).await?;
    Ok(Json(json!({"removed": removed})))
}

fn parse(digest: &str) -> Result<Digest, ApiError> {
    digest.parse().map_err(|error: neuromesh::core::ids::IdError| ApiError::invalid(error.to_string()))
}
