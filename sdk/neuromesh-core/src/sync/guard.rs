//! Bytes from a peer, checked before samod-core and Automerge see them.
//!
//! Further in, some inputs divide by zero (a Bloom filter without bits), allocate what they announce (its probes), or
//! unpack a thousandfold (deflated columns, run lengths). A browser build aborts on a panic, so nothing can be caught
//! later: what is not well-formed and bounded is refused here, and the connection that it came by is closed.
//!
//! Formats: automerge-repo's CBOR envelopes; Automerge's sync messages and binary chunks
//! (<https://automerge.org/automerge-binary-format-spec/>).

mod chunk;
mod meaning;
mod reader;

use std::str::FromStr;

use minicbor::{Decoder, Encoder};
use samod_core::DocumentId;

pub use chunk::check_stored;
pub(super) use meaning::Known;
use reader::Reader;

use super::{Limits, MAX_MESSAGE_BYTES};

/// Longest text field of an envelope: peer ids, versions, error messages.
const MAX_TEXT_BYTES: usize = 4096;
/// Members of an envelope's map.
const MAX_MEMBERS: u64 = 32;
/// Hashes in one list of a sync message, and lists of what a peer has.
const MAX_HASHES: u64 = 1 << 16;
const MAX_HAVES: u64 = 64;
/// What Automerge writes is 7 probes and 10 bits.
const MAX_PROBES: u64 = 32;
const MAX_FILTER_BITS: u64 = 1 << 30;
/// The first byte of a sync message of the first version.
const SYNC_MESSAGE: u8 = 0x42;
/// Changes in one sync message.
const MAX_CHUNKS: u64 = 1 << 20;

/// Why bytes were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub(crate) String);

impl From<&str> for Refused {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<minicbor::decode::Error> for Refused {
    fn from(error: minicbor::decode::Error) -> Self {
        Self(format!("bad CBOR: {error}"))
    }
}

/// What a frame is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// Handshake, farewell or error: about the connection.
    Connection,
    /// About a document.
    Document {
        /// Which.
        id: DocumentId,
        /// Bytes of changes in it.
        change_bytes: usize,
        /// Its chunks of changes.
        chunks: Vec<Vec<u8>>,
    },
    /// A kind that this peer makes no use of: ephemeral messages, news about storages.
    Unused,
}

/// Reads a frame far enough to know that the rest of the machine can take it.
///
/// # Errors
/// [`Refused`] for everything else.
pub fn inspect(bytes: &[u8], limits: &Limits) -> Result<Envelope, Refused> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err("frame too long".into());
    }
    let mut decoder = Decoder::new(bytes);
    let members = decoder.map()?.filter(|members| *members <= MAX_MEMBERS).ok_or("not a map of known length")?;
    let (mut kind, mut id, mut data) = (None, None, None);
    for _ in 0..members {
        // Of members that come twice the last counts, for samod-core as well.
        match text(&mut decoder)? {
            "type" => kind = Some(text(&mut decoder)?),
            "documentId" => id = Some(document_id(&mut decoder)?),
            "data" => data = Some(decoder.bytes()?),
            "message" | "senderId" | "targetId" | "selectedProtocolVersion" | "sessionId" => {
                text(&mut decoder)?;
            }
            _ => decoder.skip()?,
        }
    }
    match kind.ok_or("no type")? {
        "join" | "peer" | "leave" | "error" => Ok(Envelope::Connection),
        "request" | "sync" => {
            let (chunks, _) = check_sync(data.ok_or("no data")?, limits)?;
            let change_bytes = chunks.iter().map(Vec::len).sum();
            Ok(Envelope::Document { id: id.ok_or("no document")?, change_bytes, chunks })
        }
        "doc-unavailable" => {
            Ok(Envelope::Document { id: id.ok_or("no document")?, change_bytes: 0, chunks: Vec::new() })
        }
        "ephemeral" | "remote-subscription-change" | "remote-heads-changed" => Ok(Envelope::Unused),
        kind => Err(Refused(format!("unknown type {kind:?}"))),
    }
}

/// The frame without the flags of its sync message, either way.
///
/// Flags say that a peer takes whole documents in place of changes. What Automerge does with a document from a hostile
/// peer cannot be checked from outside, so nobody is told that this one takes them, and none is sent.
pub fn without_flags(frame: Vec<u8>, limits: &Limits) -> Vec<u8> {
    let stripped = || -> Result<Option<Vec<u8>>, Refused> {
        let mut decoder = Decoder::new(&frame);
        let (mut kind, mut from, mut to, mut id, mut data) = (None, None, None, None, None);
        for _ in 0..decoder.map()?.unwrap_or(0).min(MAX_MEMBERS) {
            match text(&mut decoder)? {
                "type" => kind = Some(text(&mut decoder)?),
                "senderId" => from = Some(text(&mut decoder)?),
                "targetId" => to = Some(text(&mut decoder)?),
                "documentId" => id = Some(document_id(&mut decoder)?),
                "data" => data = Some(decoder.bytes()?),
                _ => decoder.skip()?,
            }
        }
        let (Some(kind @ ("request" | "sync")), Some(from), Some(to), Some(id), Some(data)) =
            (kind, from, to, id, data)
        else {
            return Ok(None);
        };
        let (_, len) = check_sync(data, limits)?;
        Ok((len < data.len()).then(|| about_document(kind, from, to, &id, &data[..len])))
    };
    // What cannot be read has no flags; it is refused elsewhere.
    stripped().ok().flatten().unwrap_or(frame)
}

fn text<'a>(decoder: &mut Decoder<'a>) -> Result<&'a str, Refused> {
    let text = decoder.str()?;
    if text.len() <= MAX_TEXT_BYTES { Ok(text) } else { Err("text too long".into()) }
}

fn document_id(decoder: &mut Decoder<'_>) -> Result<DocumentId, Refused> {
    let bad = |_| Refused::from("bad document id");
    if decoder.probe().str().is_ok() {
        DocumentId::from_str(text(decoder)?).map_err(bad)
    } else {
        DocumentId::try_from(decoder.bytes()?.to_vec()).map_err(bad)
    }
}

/// Checks one sync message of Automerge; the chunks of changes in it, and its length without flags.
fn check_sync(bytes: &[u8], limits: &Limits) -> Result<(Vec<Vec<u8>>, usize), Refused> {
    let mut input = Reader::new(bytes);
    if input.byte()? != SYNC_MESSAGE {
        return Err("not a sync message of the first version".into());
    }
    hashes(&mut input)?; // heads
    hashes(&mut input)?; // need
    for _ in 0..input.count(MAX_HAVES)? {
        hashes(&mut input)?; // last sync
        check_filter(input.prefixed()?)?;
    }
    let mut all = Vec::new();
    let mut budget = limits.unpacked_bytes;
    for _ in 0..input.count(MAX_CHUNKS)? {
        let chunks = input.prefixed()?;
        chunk::check_changes(chunks, &mut budget, limits.change_ops as u64)?;
        all.push(chunks.to_vec());
    }
    Ok((all, bytes.len() - input.rest().len()))
}

fn hashes(input: &mut Reader<'_>) -> Result<(), Refused> {
    let count = input.count(MAX_HASHES)?;
    input.take(count as usize * 32).map(|_| ())
}

fn check_filter(bytes: &[u8]) -> Result<(), Refused> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut input = Reader::new(bytes);
    let (entries, bits, probes) = (input.uleb()?, input.uleb()?, input.uleb()?);
    let total = entries.checked_mul(bits).filter(|total| *total <= MAX_FILTER_BITS).ok_or("filter too large")?;
    if entries > 0 && total == 0 || !(1..=MAX_PROBES).contains(&probes) {
        return Err("filter without bits, or with too many probes".into());
    }
    if input.rest().len() as u64 != total.div_ceil(8) {
        return Err("filter of another length than it says".into());
    }
    Ok(())
}

/// The frame that opens a connection in the name of `sender`.
pub(super) fn join(sender: &str) -> Vec<u8> {
    encode(|out| {
        out.map(3)?.str("type")?.str("join")?.str("senderId")?.str(sender)?;
        out.str("supportedProtocolVersions")?.array(1)?.str("1")?;
        Ok(())
    })
}

/// A frame with sync message `data` about the document `id`.
pub(super) fn sync(sender: &str, target: &str, id: &DocumentId, data: &[u8]) -> Vec<u8> {
    about_document("sync", sender, target, id, data)
}

fn about_document(kind: &str, sender: &str, target: &str, id: &DocumentId, data: &[u8]) -> Vec<u8> {
    encode(|out| {
        out.map(5)?.str("type")?.str(kind)?.str("senderId")?.str(sender)?.str("targetId")?.str(target)?;
        out.str("documentId")?.str(&id.to_string())?.str("data")?.bytes(data)?;
        Ok(())
    })
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn encode(write: impl FnOnce(&mut Encoder<Vec<u8>>) -> Written) -> Vec<u8> {
    let mut out = Encoder::new(Vec::new());
    write(&mut out).expect("writing to memory does not fail");
    out.into_writer()
}
