use std::pin::pin;

use futures::{
    AsyncReadExt, AsyncWriteExt,
    future::{Either, select},
    io::{ReadHalf, WriteHalf},
    lock::Mutex,
};
use js_sys::{Function, Uint8Array};
use neuromesh::{Accepted, ErrorKind, PeerId, Stream, engine::Cancel};
use wasm_bindgen::prelude::*;

use crate::errors::named;

/// The most bytes that one read gives.
const READ: usize = 256 << 10;

/// A stream to another peer.
#[wasm_bindgen]
pub struct WasmStream {
    peer: PeerId,
    /// Ends calls that wait, so that the stream can be let go.
    aborted: Cancel,
    reader: Mutex<Option<(ReadHalf<Stream>, Vec<u8>)>>,
    writer: Mutex<Option<WriteHalf<Stream>>>,
}

impl WasmStream {
    pub(crate) fn new(peer: PeerId, stream: Stream) -> Self {
        let (reader, writer) = stream.split();
        Self {
            peer,
            aborted: Cancel::new(),
            reader: Mutex::new(Some((reader, vec![0; READ]))),
            writer: Mutex::new(Some(writer)),
        }
    }
}

impl WasmStream {
    async fn unless_aborted<T>(&self, work: impl Future<Output = std::io::Result<T>>) -> Result<T, JsValue> {
        match select(pin!(work), pin!(self.aborted.cancelled())).await {
            Either::Left((done, _)) => done.map_err(|error| lost(&error)),
            Either::Right(_) => Err(aborted()),
        }
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
        let count = self.unless_aborted(reader.read(buffer)).await?;
        Ok((count > 0).then(|| Uint8Array::from(&buffer[..count])))
    }

    /// Resolves when the transport has taken all of it.
    pub async fn write(&self, data: Vec<u8>) -> Result<(), JsValue> {
        let mut writer = self.writer.lock().await;
        let writer = writer.as_mut().ok_or_else(aborted)?;
        self.unless_aborted(async {
            writer.write_all(&data).await?;
            writer.flush().await
        })
        .await
    }

    /// Ends what this side says.
    #[wasm_bindgen(js_name = closeWrite)]
    pub async fn close_write(&self) -> Result<(), JsValue> {
        let mut writer = self.writer.lock().await;
        let writer = writer.as_mut().ok_or_else(aborted)?;
        self.unless_aborted(writer.close()).await
    }

    /// Lets go of the stream: halves that have not ended are reset, and calls that wait are rejected.
    pub async fn abort(&self) {
        self.aborted.cancel();
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
