use std::cell::RefCell;

use js_sys::Uint8Array;
use neuromesh::{
    core::ids::DigestWriter,
    infer::{Limits, Loader, Options},
};
use wasm_bindgen::prelude::*;

use crate::errors::{invalid, named};

/// A model's file on its way into the engine: appended piece by piece and hashed as it comes. A graph's weights go where they
/// are computed with; any other file is kept as it is.
#[wasm_bindgen]
pub struct WasmFile(RefCell<State>);

struct State {
    content: Content,
    size: usize,
    arrived: usize,
    digest: DigestWriter,
}

/// What became of a file.
pub(crate) enum Content {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// The model so far, and the piece that came last.
    Graph(Box<Loader>, Vec<u8>),
}

impl WasmFile {
    pub(crate) fn bytes_of(size: f64) -> Result<Self, JsValue> {
        let size = whole(size)?;
        let mut bytes = Vec::new();
        let refused = |_| named("ModelInvalid", &format!("this tab has no {size} bytes of memory for a file"));
        bytes.try_reserve_exact(size).map_err(refused)?;
        Ok(Self::new(Content::Bytes(bytes), size))
    }

    pub(crate) fn graph(size: f64, memory: u64) -> Result<Self, JsValue> {
        let size = whole(size)?;
        let options = Options { limits: Limits { memory, ..Limits::default() }, ..Options::default() };
        Ok(Self::new(Content::Graph(Box::new(Loader::new(options, size as u64)), Vec::new()), size))
    }

    fn new(content: Content, size: usize) -> Self {
        Self(RefCell::new(State { content, size, arrived: 0, digest: DigestWriter::new() }))
    }

    pub(crate) fn into_content(self) -> Content {
        self.0.into_inner().content
    }
}

#[wasm_bindgen]
impl WasmFile {
    /// The next piece.
    pub fn append(&self, piece: &Uint8Array) -> Result<(), JsValue> {
        let State { content, size, arrived, digest } = &mut *self.0.borrow_mut();
        let more = piece.length() as usize;
        if more > *size - *arrived {
            return Err(invalid(&format!("more than the announced {size} bytes came")));
        }
        *arrived += more;
        match content {
            Content::Bytes(bytes) => {
                let from = bytes.len();
                bytes.resize(from + more, 0);
                piece.copy_to(&mut bytes[from..]);
                digest.update(&bytes[from..]);
            }
            Content::Graph(loader, last) => {
                last.resize(more, 0);
                piece.copy_to(last);
                digest.update(last);
                // A file that is not what its name says is damaged, whatever is wrong with the model: that is asked first, and
                // the loader tells again when it ends.
                let _ = loader.push(last);
            }
        }
        Ok(())
    }

    /// How many bytes came so far.
    pub fn size(&self) -> usize {
        self.0.borrow().arrived
    }

    /// The digest of what came so far, in hexadecimal.
    pub fn digest(&self) -> String {
        self.0.borrow().digest.finish().to_string()
    }

    /// A copy of what came so far; nothing of a graph.
    pub fn bytes(&self) -> Uint8Array {
        match &self.0.borrow().content {
            Content::Bytes(bytes) => Uint8Array::from(&bytes[..]),
            Content::Graph(..) => Uint8Array::new_with_length(0),
        }
    }
}

fn whole(size: f64) -> Result<usize, JsValue> {
    if !(0.0..=f64::from(u32::MAX)).contains(&size) || size.fract() != 0.0 {
        return Err(invalid("a file's size is a whole number of at least 0 and below 4 GiB"));
    }
    Ok(size as usize)
}
