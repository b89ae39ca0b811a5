//! Automerge's binary chunks: how much they unpack to.
//!
//! Columns are deflated and hold run lengths, so few bytes can stand for billions of operations. Everything is counted
//! here before Automerge allocates for it. Whether the chunk means anything is Automerge's to say.

use std::{borrow::Cow, io::Read};

use flate2::bufread::DeflateDecoder;

use super::{Reader, Refused};

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
/// Chunk types.
const DOCUMENT: u8 = 0;
const CHANGE: u8 = 1;
const DEFLATED_CHANGE: u8 = 2;
/// Actors that one chunk may name.
const MAX_ACTORS: u64 = 1 << 16;
/// Parents of a change, heads of a document.
const MAX_HASHES: u64 = 1 << 16;
const MAX_COLUMNS: u64 = 64;
/// The bit of a column's number that says that it is deflated.
const DEFLATED: u64 = 0b1000;
/// The type of a column that holds indices of actors.
const ACTOR: u64 = 1;
/// The column of the operations' kinds, and the last kind.
const ACTIONS: u64 = 4 << 4 | 2;
const MAX_ACTION: u64 = 7;

/// Whether a value read from storage can be given to Automerge: a disk may fail too.
///
/// # Errors
/// [`Refused`] when it cannot. How much it holds is not bounded: it was ours.
pub fn check_stored(bytes: &[u8]) -> Result<(), Refused> {
    check(bytes, &mut Bounds { bytes: usize::MAX, rows: u64::MAX })
}

/// What chunks may unpack to.
struct Bounds {
    /// All of them together; taken from as it is used.
    bytes: usize,
    /// Each column.
    rows: u64,
}

/// Checks chunks that hold one change each, and takes what they unpack to from `budget`.
pub(super) fn check_changes(bytes: &[u8], budget: &mut usize, rows: u64) -> Result<(), Refused> {
    if bytes.get(8) == Some(&DOCUMENT) {
        return Err("a whole document where changes belong".into());
    }
    let mut bounds = Bounds { bytes: *budget, rows };
    check(bytes, &mut bounds)?;
    *budget = bounds.bytes;
    Ok(())
}

/// Checks one chunk, and takes what it unpacks to from `bounds`.
fn check(bytes: &[u8], bounds: &mut Bounds) -> Result<(), Refused> {
    let mut input = Reader::new(bytes);
    if input.take(4)? != MAGIC {
        return Err("not an Automerge chunk".into());
    }
    input.take(4)?; // checksum
    let kind = input.byte()?;
    let body = input.prefixed()?;
    charge(bounds, body.len() as u64)?;
    match kind {
        DOCUMENT => check_document(body, bounds)?,
        CHANGE => check_change(body, bounds)?,
        DEFLATED_CHANGE => check_change(&inflate(body, bounds)?, bounds)?,
        _ => return Err("unknown kind of chunk".into()),
    }
    if input.is_empty() { Ok(()) } else { Err("something behind a chunk".into()) }
}

fn charge(bounds: &mut Bounds, amount: u64) -> Result<(), Refused> {
    let left = usize::try_from(amount).ok().and_then(|amount| bounds.bytes.checked_sub(amount));
    bounds.bytes = left.ok_or("unpacks to too much")?;
    Ok(())
}

fn inflate(bytes: &[u8], bounds: &mut Bounds) -> Result<Vec<u8>, Refused> {
    let mut out = Vec::new();
    let limit = bounds.bytes as u64;
    DeflateDecoder::new(bytes).take(limit.saturating_add(1)).read_to_end(&mut out).map_err(|_| "bad deflate data")?;
    charge(bounds, out.len() as u64)?;
    Ok(out)
}

fn check_document(body: &[u8], bounds: &mut Bounds) -> Result<(), Refused> {
    let mut input = Reader::new(body);
    let actors = actors(&mut input)?;
    let heads = input.count(MAX_HASHES)?;
    input.take(heads as usize * 32)?;
    let changes = columns(&mut input)?;
    let ops = columns(&mut input)?;
    for column in changes {
        check_column(&mut input, column, actors, false, bounds)?;
    }
    for column in ops {
        check_column(&mut input, column, actors, true, bounds)?;
    }
    Ok(())
}

fn check_change(body: &[u8], bounds: &mut Bounds) -> Result<(), Refused> {
    let mut input = Reader::new(body);
    let parents = input.count(MAX_HASHES)?;
    input.take(parents as usize * 32)?;
    input.prefixed()?; // actor
    let (seq, start) = (input.uleb()?, input.uleb()?);
    input.sleb()?; // time
    input.prefixed()?; // message
    let actors = 1 + actors(&mut input)?;
    // Counters that end soon overflow in sums.
    if seq >= u64::from(u32::MAX) || start >= u64::from(u32::MAX) {
        return Err("counter too large".into());
    }
    for column in columns(&mut input)? {
        if column.spec & DEFLATED != 0 {
            return Err("deflated column in a change".into());
        }
        check_column(&mut input, column, actors, true, bounds)?;
    }
    Ok(())
}

fn actors(input: &mut Reader<'_>) -> Result<u64, Refused> {
    let count = input.count(MAX_ACTORS)?;
    for _ in 0..count {
        input.prefixed()?;
    }
    Ok(count)
}

struct Column {
    spec: u64,
    len: usize,
}

fn columns(input: &mut Reader<'_>) -> Result<Vec<Column>, Refused> {
    (0..input.count(MAX_COLUMNS)?)
        .map(|_| {
            let spec = input.uleb()?;
            let len = usize::try_from(input.uleb()?).map_err(|_| "column too long")?;
            Ok(Column { spec, len })
        })
        .collect()
}

/// Checks a column of a chunk that names so many actors; `ops` says whether its rows are operations.
fn check_column(
    input: &mut Reader<'_>,
    column: Column,
    actors: u64,
    ops: bool,
    bounds: &mut Bounds,
) -> Result<(), Refused> {
    let bytes = input.take(column.len)?;
    let bytes = if column.spec & DEFLATED == 0 { Cow::Borrowed(bytes) } else { Cow::Owned(inflate(bytes, bounds)?) };
    let mut input = Reader::new(&bytes);
    let mut rows = 0_u64;
    let limit = match column.spec & !DEFLATED {
        ACTIONS if ops => MAX_ACTION + 1,
        spec if spec & 0b111 == ACTOR => actors,
        _ => u64::MAX,
    };
    match column.spec & 0b111 {
        // Booleans: lengths of runs, of false and true in turn.
        4 => {
            while !input.is_empty() {
                rows = rows.saturating_add(input.uleb()?);
            }
        }
        // Raw values, one after the other.
        7 => {}
        kind => {
            while !input.is_empty() {
                match input.sleb()? {
                    0 => rows = rows.saturating_add(input.uleb()?),
                    run @ 1.. => {
                        value(&mut input, kind, limit)?;
                        rows = rows.saturating_add(run.unsigned_abs());
                    }
                    literals => {
                        let count = literals.unsigned_abs();
                        if count > bytes.len() as u64 {
                            return Err("column ends early".into());
                        }
                        for _ in 0..count {
                            value(&mut input, kind, limit)?;
                        }
                        rows = rows.saturating_add(count);
                    }
                }
            }
        }
    }
    if rows > bounds.rows {
        return Err("unpacks to too many operations".into());
    }
    charge(bounds, rows)
}

fn value(input: &mut Reader<'_>, kind: u64, limit: u64) -> Result<(), Refused> {
    match kind {
        3 => input.sleb().map(|_| ()),
        5 => input.prefixed().map(|_| ()),
        _ => match input.uleb()? {
            number if number < limit => Ok(()),
            _ => Err("unknown actor or action".into()),
        },
    }
}
