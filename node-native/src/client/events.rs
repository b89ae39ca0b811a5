//! Server-sent events, as a node sends them: one line of JSON each.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::{Client, ClientError, Connection, MAX_ANSWER};

/// Events of one request, as they come. Dropping them hangs up.
pub struct Events {
    address: String,
    body: Incoming,
    _connection: Connection,
    /// What came and is not a whole line yet.
    buffer: Vec<u8>,
    name: String,
    data: String,
}

impl Client {
    /// POST of a JSON document that is answered with events.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn events(&self, path: &str, json: Vec<u8>) -> Result<Events, ClientError> {
        let (response, connection) = self.post_for_events(path, json).await?;
        let (name, data) = (String::new(), String::new());
        let body = response.into_body();
        Ok(Events { address: self.base.clone(), body, _connection: connection, buffer: Vec::new(), name, data })
    }
}

impl Events {
    /// The next event, its name and its data; `None` at the end.
    ///
    /// # Errors
    /// [`ClientError::Broken`].
    pub async fn next(&mut self) -> Result<Option<(String, Value)>, ClientError> {
        let address = self.address.clone();
        let broken = |reason: String| ClientError::Broken { address: address.clone(), reason };
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = String::from_utf8(line).map_err(|_| broken("an event is not UTF-8".into()))?;
                let line = line.trim_end_matches(['\n', '\r']);
                if line.is_empty() && !self.data.is_empty() {
                    let json = serde_json::from_str(&self.data).map_err(|_| broken("an event is no JSON".into()))?;
                    self.data.clear();
                    return Ok(Some((std::mem::take(&mut self.name), json)));
                }
                match line.split_once(':') {
                    Some(("event", name)) => name.trim_start().clone_into(&mut self.name),
                    Some(("data", data)) => self.data.push_str(data.trim_start()),
                    _ => {}
                }
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| broken(error.to_string()))?;
            if let Some(bytes) = frame.data_ref() {
                self.buffer.extend_from_slice(bytes);
            }
            if self.buffer.len() + self.data.len() > MAX_ANSWER {
                return Err(broken("an event is over the limit".into()));
            }
        }
    }
}
