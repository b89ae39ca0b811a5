//! The page: a folder of files, or a plain page that tells of the node.

use std::{path::PathBuf, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use tower_http::services::{ServeDir, ServeFile};

use super::{Api, ApiError, error};

/// A name that changes with the content needs no second look for a year.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// The shortest hash in a name that counts as one.
const HASH: usize = 8;

/// Adds the page to everything that `router` does not answer.
pub(super) fn attach(router: Router, folder: Option<PathBuf>, api: Arc<Api>) -> Router {
    let Some(folder) = folder else {
        return router.route("/", get(plain).with_state(api)).fallback(error::not_found);
    };
    let index = ServeFile::new(folder.join("index.html")).precompressed_br().precompressed_gzip();
    // A path of the page's own router is the page; a missing file is missing.
    let routed = Router::new().fallback_service(index).layer(middleware::from_fn(only_pages));
    let files = ServeDir::new(folder).precompressed_br().precompressed_gzip().fallback(routed);
    router.fallback_service(Router::new().fallback_service(files).layer(middleware::from_fn(cache)))
}

async fn only_pages(request: Request, next: Next) -> Response {
    let last = request.uri().path().rsplit('/').next().unwrap_or_default();
    let api = request.uri().path().starts_with("/v1/") || request.uri().path().starts_with("/.well-known/");
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        error::method_not_allowed().await.into_response()
    } else if api || last.contains('.') {
        error::not_found().await.into_response()
    } else {
        next.run(request).await
    }
}

async fn cache(request: Request, next: Next) -> Response {
    let forever = is_hashed(request.uri().path());
    let mut response = next.run(request).await;
    if response.status() == StatusCode::NOT_FOUND && !response.headers().contains_key(header::CONTENT_TYPE) {
        return ApiError::new(StatusCode::NOT_FOUND, "NotFound", "the page's folder has no index.html").into_response();
    }
    let found = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
    if forever && found {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(FOREVER));
    }
    response
}

/// Whether a bundler put a hash of the content into the name: `/assets/index-4f9AbC12.js`.
fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some((stem, _)) = name.rsplit_once('.') else { return false };
    let hash = stem.rsplit_once(['-', '.']).map(|(_, hash)| hash).unwrap_or_default();
    path.contains("/assets/")
        && hash.len() >= HASH
        && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

async fn plain(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let mesh = api.mesh()?;
    let addresses: String =
        mesh.addresses().await?.iter().map(|address| format!("<li><code>{address}</code>")).collect();
    let models = mesh.models().await?;
    let models: String = models.iter().map(|model| format!("<li><code>{}</code>", model.name)).collect();
    let models =
        if models.is_empty() { "<li>none yet: <code>neuromesh models add DIR</code>".to_owned() } else { models };
    Ok(Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>Neuromesh node</title><style>:root{{color-scheme:light dark;font:16px/1.5 system-ui}}\
         body{{max-width:44rem;margin:3rem auto;padding:0 1rem}}code{{overflow-wrap:anywhere}}</style>\
         <h1>A Neuromesh node</h1><p>It is <code>{id}</code>, tier <b>{tier}</b>, and it works.\
         <h2>Models</h2><ul>{models}</ul><h2>Addresses</h2><ul>{addresses}</ul>\
         <p>Serve a page here with <code>neuromesh up --web DIR</code>. For programs: \
         <a href='/.well-known/neuromesh'>/.well-known/neuromesh</a>, <a href='/v1/models'>/v1/models</a>, \
         <a href='/v1/peers'>/v1/peers</a>.</html>",
        id = mesh.id(),
        tier = api.tier,
    ))
    .into_response())
}

#[cfg(test)]
mod tests {
    use super::is_hashed;

    #[test]
    fn only_names_with_a_hash_are_kept_forever() {
        for path in ["/assets/index-4f9AbC12.js", "/x/assets/neuromesh_bg-DhX_9sQ1.wasm"] {
            assert!(is_hashed(path), "{path}");
        }
        for path in ["/", "/index.html", "/assets/index.js", "/assets/index-v2.js", "/index-4f9AbC12.js", "/assets/"] {
            assert!(!is_hashed(path), "{path}");
        }
    }
}
