use futures::{
    AsyncReadExt, AsyncWriteExt,
    io::{ReadHalf, WriteHalf},
    lock::Mutex,
};
use js_sys::{Function, Uint8Array};
use neuromesh::{Accepted, ErrorKind, PeerId, Stream};
use wasm_bindgen::prelude::*;

use crate::errors::named;

/// The most bytes that one read gives.
const READ: usize = 256 << 10;

/// A stream to another peer.
#[wasm_bindgen]
pub struct WasmStream {
    peer: PeerId,
    reader: Mutex<Option<(ReadHalf<Stream>, Vec<u8>)>>,
    writer: Mutex<Option<WriteHalf<Stream>>>,
}

impl WasmStream {
    pub(crate) fn new(peer: PeerId, stream: Stream) -> Self {
        let (reader, writer) = stream.split();
        Self { peer, reader: Mutex::new(Some((reader, vec![0; READ]))), writer: Mutex::new(Some(writer)) }
    }
}

fn lost(error: &std::io::Error) -> JsValue {
    named(ErrorKind::Network.name(), &error.to_string())
}

fn aborted() -> JsValue {
    named(ErrorKind::Closed.name(), "the stream was given up")
}

#[wasm_bindgen]
impl WasmStream {
    /// Whom it leads to.
    #[wasm_bindgen(getter)]
    pub fn peer(&self) -> String {
        self.peer.to_string()
    }

    /// What comes next, at least one byte; `undefined` at the end.
    pub async fn read(&self) -> Result<Option<Uint8Array>, JsValue> {
        let mut reader = self.reader.lock().await;
        let (reader, buffer) = reader.as_mut().ok_or_else(aborted)?;
        let count = reader.read(buffer).await.map_err(|error| lost(&error))?;
        Ok((count > 0).then(|| Uint8Array::from(&buffer[..count])))
    }

    /// Resolves when the transport has taken all of it.
    pub async fn write(&self, data: Vec<u8>) -> Result<(), JsValue> {
        let mut writer = self.writer.lock().await;
        let writer = writer.as_mut().ok_or_else(aborted)?;
        writer.write_all(&data).await.map_err(|error| lost(&error))?;
        writer.flush().await.map_err(|error| lost(&error))
    }

    /// Ends what this side says.
    #[wasm_bindgen(js_name = closeWrite)]
    pub async fn close_write(&self) -> Result<(), JsValue> {
        let mut writer = self.writer.lock().await;
        writer.as_mut().ok_or_else(aborted)?.close().await.map_err(|error| lost(&error))
    }

    /// Lets go of the stream: halves that have not ended are reset, as soon as nothing reads or writes.
    pub async fn abort(&self) {
        // A read that waits holds its lock until something comes; the writer's half goes at once.
        self.writer.lock().await.take();
        self.reader.lock().await.take();
    }
}

/// Gives each stream to `take` until the mesh closes.
pub(crate) async fn hand_out(mut accepted: Accepted, take: Function) {
    while let Some((peer, stream)) = accepted.next().await {
        let _ = take.call1(&JsValue::NULL, &WasmStream::new(peer, stream).into());
    }
}
