//! What the node says over HTTP.
//!
//! | path | what | who may |
//! |---|---|---|
//! | `/` | the page, from the folder of `--web`, or a plain one | everybody |
//! | `/.well-known/neuromesh` | peer id and addresses; the only document that other origins may read | everybody |
//! | `/healthz`, `/readyz` | whether it lives; whether it takes requests | everybody |
//! | `POST /v1/run`, `GET /v1/peers`, `GET /v1/models` | the mesh | everybody who reaches the port |
//! | `PUT /v1/blobs/DIGEST`, `POST /v1/models`, `DELETE /v1/models/NAME` | the model store | the control port only, with its token |
//!
//! `POST /v1/run` with `Accept: text/event-stream` gives the answer in parts, as events `part`, `answer` and `error`.
//!
//! Every body, queue and wait is bounded; every refusal is `{"error": {"name", "message"}}`.

pub mod body;
mod control;
mod error;
mod mesh;
mod page;
mod serve;
mod state;
mod stream;
mod well_known;

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};

pub use error::ApiError;
pub use serve::{Listener, ServeError};
pub use state::{Api, Phase};

/// The largest body of a request: a payload in base64, with room for its frame.
pub const MAX_BODY: usize = neuromesh::core::payload::MAX_PAYLOAD_BYTES / 3 * 4 + (64 << 10);

/// What everybody may see and do.
pub fn public(api: &Arc<Api>, page: Option<std::path::PathBuf>) -> Router {
    let router = Router::new()
        .route("/.well-known/neuromesh", get(well_known::document))
        .route("/healthz", get(state::healthz))
        .route("/readyz", get(state::readyz))
        .route("/v1/run", post(mesh::run))
        .route("/v1/peers", get(mesh::peers))
        .route("/v1/models", get(mesh::models))
        .method_not_allowed_fallback(error::method_not_allowed)
        .with_state(api.clone());
    page::attach(router, page, api.clone()).layer(middleware::from_fn(isolate))
}

/// What the node's own command line may do besides.
pub fn control(api: &Arc<Api>, token: String) -> Router {
    let token: Arc<str> = token.into();
    Router::new()
        .route("/v1/status", get(control::status))
        .route("/v1/run", post(mesh::run))
        .route("/v1/peers", get(mesh::peers))
        .route("/v1/models", get(mesh::models).post(control::add))
        .route("/v1/models/{name}", axum::routing::delete(control::remove))
        .route("/v1/blobs/{digest}", get(control::has).put(control::put))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(middleware::from_fn(move |request, next| control::authorize(token.clone(), request, next)))
        .with_state(api.clone())
}

/// A page is alone in its process, so that it may have `SharedArrayBuffer` and precise clocks, and types are not guessed.
async fn isolate(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
        .entry(HeaderName::from_static("cross-origin-resource-policy"))
        .or_insert(HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}
