use std::cell::RefCell;

use js_sys::Uint8Array;
use neuromesh::core::ids::DigestWriter;
use wasm_bindgen::prelude::*;

use crate::errors::{invalid, named};

/// A model's file on its way into the engine: appended piece by piece, hashed as it comes, and never copied again.
#[wasm_bindgen]
pub struct WasmFile(RefCell<Content>);

struct Content {
    bytes: Vec<u8>,
    size: usize,
    digest: DigestWriter,
}

impl WasmFile {
    pub(crate) fn new(size: f64) -> Result<Self, JsValue> {
        if !(0.0..=f64::from(u32::MAX)).contains(&size) || size.fract() != 0.0 {
            return Err(invalid("a file's size is a whole number of at least 0 and below 4 GiB"));
        }
        let size = size as usize;
        let mut bytes = Vec::new();
        let refused = |_| named("ModelInvalid", &format!("this tab has no {size} bytes of memory for a file"));
        bytes.try_reserve_exact(size).map_err(refused)?;
        Ok(Self(RefCell::new(Content { bytes, size, digest: DigestWriter::new() })))
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0.into_inner().bytes
    }
}

#[wasm_bindgen]
impl WasmFile {
    /// The next piece.
    pub fn append(&self, piece: &Uint8Array) -> Result<(), JsValue> {
        let Content { bytes, size, digest } = &mut *self.0.borrow_mut();
        let (from, more) = (bytes.len(), piece.length() as usize);
        if more > *size - from {
            return Err(invalid(&format!("more than the announced {size} bytes came")));
        }
        bytes.resize(from + more, 0);
        piece.copy_to(&mut bytes[from..]);
        digest.update(&bytes[from..]);
        Ok(())
    }

    /// How many bytes came so far.
    pub fn size(&self) -> usize {
        self.0.borrow().bytes.len()
    }

    /// The digest of what came so far, in hexadecimal.
    pub fn digest(&self) -> String {
        self.0.borrow().digest.finish().to_string()
    }

    /// A copy of what came so far.
    pub fn bytes(&self) -> Uint8Array {
        Uint8Array::from(&self.0.borrow().bytes[..])
    }
}
