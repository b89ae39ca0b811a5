//! A small HTTP client for the command line: one request, one answer, plain `http://`.

mod events;

use std::{fs, io, path::Path, time::Duration};

use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header,
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinHandle};

use crate::data::{self, DataDir};

pub use events::Events;

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 << 20;
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// No answer takes longer.
const ANSWER_TIME: Duration = Duration::from_secs(600);

/// The body of a request.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// How the node of a data folder is reached: the file `node.json`, there while the node runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRecord {
    /// Base URL of the control port.
    pub control: String,
    /// What opens it.
    pub token: String,
    /// Base URL of the public port.
    pub http: String,
}

/// A call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is none.
    #[error("{0:?} is not an address like http://HOST:PORT (https is not spoken; use a tunnel or the node's own port)")]
    Address(String),
    /// Nobody answers there.
    #[error("no node answers at {address}: {source}")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The answer did not come or is no answer.
    #[error("the node at {address} gave no proper answer: {reason}")]
    Broken {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// The node refused.
    #[error("{message}")]
    Refused {
        /// The stable name.
        name: String,
        /// For people.
        message: String,
        /// The HTTP status.
        status: StatusCode,
    },
}

/// A node, over HTTP.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    token: Option<String>,
}

impl NodeRecord {
    /// Leaves word for the command line.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, data: &DataDir) -> io::Result<()> {
        let bytes = serde_json::to_vec(self).expect("strings are JSON");
        data::write_private(&data.node(), &bytes)
    }

    /// Takes it back.
    pub fn remove(data: &DataDir) {
        let _ = fs::remove_file(data.node());
    }

    fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }
}

impl Client {
    /// A node's public port.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn public(base: &str) -> Result<Self, ClientError> {
        let base = base.trim_end_matches('/');
        authority(base)?;
        Ok(Self { base: base.to_owned(), token: None })
    }

    /// The node that runs on `data`, if one does: a record that a killed node left behind counts as none.
    pub async fn local(data: &DataDir) -> Option<Self> {
        let record = NodeRecord::read(&data.node())?;
        let client = Self { base: record.control, token: Some(record.token) };
        let status = client.get("/v1/status").await;
        match status {
            Ok(_) => Some(client),
            // Starting or stopping: it is there.
            Err(ClientError::Refused { status: StatusCode::SERVICE_UNAVAILABLE, .. }) => Some(client),
            Err(error) => {
                tracing::debug!(%error, "no node runs on this data folder");
                None
            }
        }
    }

    /// GET.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.send(Method::GET, path, None, empty(), None).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete(&self, path: &str) -> Result<Value, ClientError> {
        self.send(Method::DELETE, path, None, empty(), None).await
    }

    /// POST of a JSON document.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post(&self, path: &str, json: Vec<u8>) -> Result<Value, ClientError> {
        let body = Full::new(Bytes::from(json)).map_err(|never| match never {}).boxed_unsync();
        self.send(Method::POST, path, Some("application/json"), body, None).await
    }

    /// PUT of `len` bytes as they come.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put(&self, path: &str, body: Body, len: u64) -> Result<Value, ClientError> {
        self.send(Method::PUT, path, Some("application/octet-stream"), body, Some(len)).await
    }

    async fn post_for_events(
        &self,
        path: &str,
        json: Vec<u8>,
    ) -> Result<(Response<Incoming>, Connection), ClientError> {
        let body = Full::new(Bytes::from(json)).map_err(|never| match never {}).boxed_unsync();
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        let (response, connection) = self.call(request.header(header::ACCEPT, "text/event-stream"), body).await?;
        if response.status().is_success() {
            return Ok((response, connection));
        }
        Err(self.json(response).await.err().unwrap_or_else(|| self.broken("no events".into())))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        kind: Option<&str>,
        body: Body,
        len: Option<u64>,
    ) -> Result<Value, ClientError> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if let Some(len) = len {
            request = request.header(header::CONTENT_LENGTH, len);
        }
        let answer = async {
            let (response, _connection) = self.call(request, body).await?;
            self.json(response).await
        };
        let result = tokio::time::timeout(ANSWER_TIME, answer).await;
        result.unwrap_or_else(|_| Err(self.broken("it took too long".into())))
    }

    /// Sends a request over a connection of its own; its answer, of which the body is to come.
    async fn call(
        &self,
        request: hyper::http::request::Builder,
        body: Body,
    ) -> Result<(Response<Incoming>, Connection), ClientError> {
        let connect = |source| ClientError::Connect { address: self.base.clone(), source };
        let authority = authority(&self.base)?;
        let stream = tokio::time::timeout(CONNECT_TIME, TcpStream::connect(&authority)).await;
        let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(connect)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(error.to_string()))?;
        let connection = Connection(tokio::spawn(async move {
            // What went wrong shows in the answer.
            let _ = connection.await;
        }));
        let mut request = request.header(header::HOST, &authority);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(body).map_err(|error| self.broken(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(|error| self.broken(error.to_string()))?;
        Ok((response, connection))
    }

    /// The document that an answer holds, or the refusal.
    async fn json(&self, response: Response<Incoming>) -> Result<Value, ClientError> {
        let status = response.status();
        let bytes = read(response.into_body()).await.map_err(|reason| self.broken(reason))?;
        let json = serde_json::from_slice(&bytes);
        let json: Value = json.map_err(|_| self.broken(format!("status {status}, and no JSON: is it a node?")))?;
        if status.is_success() { Ok(json) } else { Err(refusal(status, &json)) }
    }

    fn broken(&self, reason: String) -> ClientError {
        ClientError::Broken { address: self.base.clone(), reason }
    }
}

/// A connection, for as long as its answer is read.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn read(body: Incoming) -> Result<Bytes, String> {
    Limited::new(body, MAX_ANSWER).collect().await.map(|all| all.to_bytes()).map_err(|error| error.to_string())
}

fn refusal(status: StatusCode, json: &Value) -> ClientError {
    let text = |key: &str| json["error"][key].as_str().map(str::to_owned);
    ClientError::Refused {
        name: text("name").unwrap_or_else(|| "Error".into()),
        message: text("message").unwrap_or_else(|| format!("the node answered with status {status}")),
        status,
    }
}

fn authority(base: &str) -> Result<String, ClientError> {
    let wrong = || ClientError::Address(base.chars().take(200).collect());
    let uri: Uri = base.parse().map_err(|_| wrong())?;
    let bare = uri.path().is_empty() || uri.path() == "/";
    match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(authority)) if bare && uri.query().is_none() => {
            let port = authority.port_u16().unwrap_or(80);
            Ok(format!("{}:{port}", authority.host()))
        }
        _ => Err(wrong()),
    }
}

fn empty() -> Body {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
}
