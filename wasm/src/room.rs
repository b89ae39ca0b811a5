use js_sys::Uint8Array;
use neuromesh::Room;
use wasm_bindgen::prelude::*;

use crate::{errors::to_js, values::plain};

/// A room that this tab is in.
#[wasm_bindgen]
pub struct WasmRoom(Room);

impl WasmRoom {
    pub(crate) fn new(room: Room) -> Self {
        Self(room)
    }
}

#[wasm_bindgen]
impl WasmRoom {
    /// The topic of the events `message` that are the room's.
    #[wasm_bindgen(getter)]
    pub fn topic(&self) -> String {
        self.0.topic().to_owned()
    }

    /// The other members known now.
    pub async fn members(&self) -> Result<JsValue, JsValue> {
        plain(&self.0.members().await.map_err(|error| to_js(&error))?)
    }

    /// Sends bytes to every member in reach.
    pub async fn send(&self, data: Uint8Array) -> Result<(), JsValue> {
        self.0.send(data.to_vec()).await.map_err(|error| to_js(&error))
    }

    /// Leaves.
    pub async fn leave(&self) -> Result<(), JsValue> {
        self.0.leave().await.map_err(|error| to_js(&error))
    }
}
