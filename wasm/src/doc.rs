use std::{cell::RefCell, rc::Rc};

use futures::future::{AbortHandle, Abortable};
use js_sys::{Function, Object};
use neuromesh::Doc;
use wasm_bindgen::prelude::*;

use crate::{
    errors::{invalid, to_js},
    values::{plain, set},
};

/// A shared document in this tab.
#[wasm_bindgen]
pub struct WasmDoc {
    doc: Doc,
    pumps: Rc<RefCell<Vec<AbortHandle>>>,
}

impl WasmDoc {
    pub(crate) fn new(doc: Doc) -> Self {
        Self { doc, pumps: Rc::default() }
    }
}

#[wasm_bindgen]
impl WasmDoc {
    /// `{heads, value}`: the content, and the version that it is.
    pub async fn value(&self) -> Result<JsValue, JsValue> {
        let (heads, value) = self.doc.value().await.map_err(|error| to_js(&error))?;
        let object = Object::new();
        set(&object, "heads", &plain(&heads)?);
        set(&object, "value", &plain(&value)?);
        Ok(object.into())
    }

    /// Makes the content `value`, seen from the version `heads`: what others changed since then is kept. Resolves with
    /// the new version when the change is stored.
    pub async fn apply(&self, heads: JsValue, value: JsValue) -> Result<Vec<String>, JsValue> {
        let heads: Vec<String> =
            serde_wasm_bindgen::from_value(heads).map_err(|error| invalid(&format!("heads: {error}")))?;
        let value = serde_wasm_bindgen::from_value(value).map_err(|error| invalid(&format!("document: {error}")))?;
        self.doc.change(heads, value).await.map_err(|error| to_js(&error))
    }

    /// Calls `listener` after every change, of this tab or of others.
    pub fn subscribe(&self, listener: Function) {
        let mut changes = self.doc.changes();
        let (abort, registration) = AbortHandle::new_pair();
        self.pumps.borrow_mut().push(abort);
        let forward = Abortable::new(
            async move {
                while changes.changed().await {
                    let _ = listener.call0(&JsValue::NULL);
                }
            },
            registration,
        );
        wasm_bindgen_futures::spawn_local(async move {
            let _ = forward.await;
        });
    }
}

impl Drop for WasmDoc {
    fn drop(&mut self) {
        for pump in self.pumps.borrow_mut().drain(..) {
            pump.abort();
        }
    }
}
