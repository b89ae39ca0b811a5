use std::{cell::RefCell, collections::BTreeMap};

use js_sys::{Array, Uint8Array};
use neuromesh::{
    Digest, Manifest,
    core::ids::DigestWriter,
    infer::{Limits, Loader, Options},
};
use wasm_bindgen::{convert::TryFromJsValue, prelude::*};

use crate::{
    errors::{invalid, named},
    values::{get, string},
};

/// Bytes that are copied, hashed and taken apart before the next come: they stay in a processor's cache meanwhile.
const STRETCH: usize = 256 << 10;

/// A model's file on its way into the engine: appended piece by piece, and hashed as it comes where its name is to be checked. A
/// graph's weights go where they are computed with; any other file is kept as it is.
#[wasm_bindgen]
pub struct WasmFile(RefCell<State>);

struct State {
    content: Content,
    size: usize,
    arrived: usize,
    digest: Option<DigestWriter>,
}

/// What became of a file.
pub(crate) enum Content {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// The model so far, and the stretch that came last.
    Graph(Box<Loader>, Vec<u8>),
}

impl WasmFile {
    pub(crate) fn bytes_of(size: f64, hashed: bool) -> Result<Self, JsValue> {
        let size = whole(size)?;
        let mut bytes = Vec::new();
        let refused = |_| named("ModelInvalid", &format!("this tab has no {size} bytes of memory for a file"));
        bytes.try_reserve_exact(size).map_err(refused)?;
        Ok(Self::new(Content::Bytes(bytes), size, hashed))
    }

    pub(crate) fn graph(size: f64, memory: u64, hashed: bool) -> Result<Self, JsValue> {
        let size = whole(size)?;
        let options = Options { limits: Limits { memory, ..Limits::default() }, ..Options::default() };
        let loader = Box::new(Loader::new(options, size as u64));
        Ok(Self::new(Content::Graph(loader, Vec::new()), size, hashed))
    }

    fn new(content: Content, size: usize, hashed: bool) -> Self {
        Self(RefCell::new(State { content, size, arrived: 0, digest: hashed.then(DigestWriter::new) }))
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
                hash(digest, &bytes[from..]);
            }
            Content::Graph(loader, last) => {
                for from in (0..more).step_by(STRETCH) {
                    let stretch = piece.subarray(from as u32, (from + STRETCH).min(more) as u32);
                    last.resize(stretch.length() as usize, 0);
                    stretch.copy_to(last);
                    hash(digest, last);
                    // A file that is not what its name says is damaged, whatever is wrong with the model: that is asked first, and
                    // the loader tells again when it ends.
                    let _ = loader.push(last);
                }
            }
        }
        Ok(())
    }

    /// How many bytes came so far.
    pub fn size(&self) -> usize {
        self.0.borrow().arrived
    }

    /// The digest of what came so far, in hexadecimal, if it was to be hashed.
    pub fn digest(&self) -> Option<String> {
        self.0.borrow().digest.as_ref().map(|digest| digest.finish().to_string())
    }

    /// A copy of what came so far; nothing of a graph.
    pub fn bytes(&self) -> Uint8Array {
        match &self.0.borrow().content {
            Content::Bytes(bytes) => Uint8Array::from(&bytes[..]),
            Content::Graph(..) => Uint8Array::new_with_length(0),
        }
    }
}

/// What a model is loaded from.
pub(crate) struct Files {
    /// The manifest's digest, by which the model is called.
    pub digest: String,
    pub manifest: Manifest,
    /// The graph, if it came piece by piece.
    pub graph: Option<Box<Loader>>,
    /// The other files, by role.
    pub others: BTreeMap<String, (Digest, Vec<u8>)>,
}

impl Files {
    /// A manifest and the files that it names: `{role, data}`, where `data` is a `Uint8Array`, or a `WasmFile` that is used up.
    pub fn from_js(manifest: &str, files: JsValue) -> Result<Self, JsValue> {
        let digest = Digest::of(manifest.as_bytes()).to_string();
        let manifest =
            Manifest::from_json(manifest.as_bytes()).map_err(|error| named("ModelInvalid", &error.to_string()))?;
        let files = files.dyn_into::<Array>().map_err(|_| invalid("files must be an array of {role, data}"))?;
        let (mut graph, mut others) = (None, BTreeMap::new());
        for file in files.iter() {
            let role = string(&file, "role")?;
            let known = manifest.file(&role).ok_or_else(|| invalid(&format!("the manifest has no file {role:?}")))?;
            match content(&role, get(&file, "data")?)? {
                Content::Graph(loader, _) if role == "graph" => graph = Some(loader),
                Content::Graph(..) => return Err(invalid(&format!("file {role:?} was begun as the graph"))),
                Content::Bytes(data) => drop(others.insert(role, (known.digest, data))),
            }
        }
        Ok(Self { digest, manifest, graph, others })
    }
}

fn hash(digest: &mut Option<DigestWriter>, bytes: &[u8]) {
    if let Some(digest) = digest {
        digest.update(bytes);
    }
}

/// A file's bytes, which JavaScript has or has put here.
fn content(role: &str, data: JsValue) -> Result<Content, JsValue> {
    if let Some(array) = data.dyn_ref::<Uint8Array>() {
        return Ok(Content::Bytes(array.to_vec()));
    }
    let file = WasmFile::try_from_js_value(data);
    file.map(WasmFile::into_content)
        .map_err(|_| invalid(&format!("file {role:?}: data must be a Uint8Array or a file")))
}

fn whole(size: f64) -> Result<usize, JsValue> {
    if !(0.0..=f64::from(u32::MAX)).contains(&size) || size.fract() != 0.0 {
        return Err(invalid("a file's size is a whole number of at least 0 and below 4 GiB"));
    }
    Ok(size as usize)
}
