//! Takes a model file apart as it arrives: weights go straight into buffers of their own, what is left is small.
//!
//! The rest is the same message without its weights, docs and metadata, ready for the decoder. Where a tensor's data stood there
//! is the number of its buffer instead, in a field that no file can bring along: fields that are not in the schema are dropped.
//!
//! A decoded message is larger than its bytes (an empty node is two bytes in the file and two hundred in memory), so a small
//! file could ask for a lot. Messages are counted, and refused, before anything is decoded.

use super::{HELD_FLOATS, HELD_RAW};
use crate::{LoadError, buffer::Buffer};

/// The fields of a message that the engine reads.
struct Schema(&'static [(u64, Part)]);

/// What becomes of a field.
#[derive(Clone, Copy)]
enum Part {
    /// It is taken apart too.
    Message(&'static Schema),
    /// It stays, and is counted: the decoder makes an object of it.
    Object,
    /// It stays.
    Plain,
    /// Only that it is there stays.
    Presence,
    /// It becomes a buffer, whose number stays under this field.
    Weight(u64),
}

use Part::{Message, Object, Plain, Presence, Weight};

static SHAPE: Schema = Schema(&[(1, Object)]);
static TENSOR_TYPE: Schema = Schema(&[(1, Plain), (2, Message(&SHAPE))]);
static TYPE: Schema = Schema(&[(1, Message(&TENSOR_TYPE))]);
static VALUE_INFO: Schema = Schema(&[(1, Plain), (2, Message(&TYPE))]);
static TENSOR: Schema = Schema(&[
    (1, Plain),
    (2, Plain),
    (4, Weight(HELD_FLOATS)),
    (5, Plain),
    (7, Plain),
    (8, Plain),
    (9, Weight(HELD_RAW)),
    (13, Object),
    (14, Plain),
]);
static ATTRIBUTE: Schema = Schema(&[
    (1, Plain),
    (2, Plain),
    (3, Plain),
    (4, Plain),
    (5, Message(&TENSOR)),
    (6, Message(&GRAPH)),
    (7, Plain),
    (8, Plain),
    (9, Object),
    (20, Plain),
    (21, Plain),
]);
static NODE: Schema =
    Schema(&[(1, Object), (2, Object), (3, Plain), (4, Plain), (5, Message(&ATTRIBUTE)), (7, Plain), (8, Plain)]);
static GRAPH: Schema = Schema(&[
    (1, Message(&NODE)),
    (5, Message(&TENSOR)),
    (11, Message(&VALUE_INFO)),
    (12, Message(&VALUE_INFO)),
    (15, Presence),
]);
static FUNCTION: Schema = Schema(&[
    (1, Plain),
    (4, Object),
    (5, Object),
    (7, Message(&NODE)),
    (9, Object),
    (10, Plain),
    (11, Message(&ATTRIBUTE)),
    (13, Plain),
]);
static MODEL: Schema = Schema(&[(1, Plain), (7, Message(&GRAPH)), (8, Object), (25, Message(&FUNCTION))]);

/// Bytes of the longest varint.
const MAX_VARINT: u64 = 10;

/// How deep messages may be nested: subgraphs in subgraphs. The decoder has a bound of its own, not far from this.
const MAX_DEPTH: usize = 90;

/// What a file may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes of weights and of what is left without them.
    pub memory: u64,
    /// Messages and strings.
    pub messages: usize,
}

/// A model file that is arriving.
#[derive(Debug)]
pub(crate) struct Sieve {
    bounds: Bounds,
    size: u64,
    /// Bytes that have arrived.
    at: u64,
    messages: usize,
    /// Bytes of weights and of what is left.
    kept: u64,
    /// The messages around what arrives next, outermost first.
    open: Vec<Open>,
    state: State,
    held: Vec<Buffer>,
}

#[derive(Debug)]
struct Open {
    schema: &'static Schema,
    field: u64,
    /// Where in the file it ends.
    end: u64,
    rest: Vec<u8>,
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Schema({} fields)", self.0.len())
    }
}

/// What arrives next.
#[derive(Debug)]
enum State {
    Key(Varint),
    /// A number, which stays or not.
    Number(bool, Varint),
    /// The length of a field with this key.
    Length(u64, Varint),
    /// Bytes that stay.
    Copy(u64),
    /// Bytes that do not.
    Skip(u64),
    /// The rest of the last buffer, from here.
    Fill(usize),
}

/// The part of a varint that has arrived.
#[derive(Debug, Default)]
struct Varint {
    value: u64,
    shift: u32,
}

impl Sieve {
    /// For a file of this many bytes.
    pub fn new(size: u64, bounds: Bounds) -> Self {
        let open = vec![Open { schema: &MODEL, field: 0, end: size, rest: Vec::new() }];
        Self { bounds, size, at: 0, messages: 1, kept: 0, open, state: State::FRESH, held: Vec::new() }
    }

    /// Takes the bytes that come next.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), LoadError> {
        while !bytes.is_empty() {
            let used = self.advance(bytes)?;
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// The message without its weights, the weights, and the bytes of both.
    pub fn finish(mut self) -> Result<(Vec<u8>, Vec<Buffer>, u64), LoadError> {
        let complete = self.at == self.size && self.state.is_fresh();
        match self.open.pop() {
            Some(root) if complete && self.open.is_empty() => Ok((root.rest, self.held, self.kept)),
            _ => Err(damaged()),
        }
    }

    /// Takes some of the bytes, which are not empty; gives how many.
    fn advance(&mut self, bytes: &[u8]) -> Result<usize, LoadError> {
        if self.at == self.innermost().end {
            return Err(damaged());
        }
        let used = match &mut self.state {
            State::Key(varint) | State::Number(_, varint) | State::Length(_, varint) => {
                self.at += 1;
                if varint.push(bytes[0])? {
                    self.number()?;
                }
                1
            }
            State::Copy(left) | State::Skip(left) => {
                let used = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= used as u64;
                let (is_over, stays) = (*left == 0, matches!(self.state, State::Copy(_)));
                if stays {
                    self.innermost().rest.extend_from_slice(&bytes[..used]);
                }
                self.at += used as u64;
                if is_over {
                    self.state = State::FRESH;
                }
                used
            }
            State::Fill(from) => {
                let buffer = self.held.last_mut().expect("a buffer is being filled");
                let target = &mut buffer.slice_mut::<u8>()[*from..];
                let used = target.len().min(bytes.len());
                target[..used].copy_from_slice(&bytes[..used]);
                *from += used;
                self.at += used as u64;
                if used == target.len() {
                    self.state = State::FRESH;
                }
                used
            }
        };
        if self.state.is_fresh() {
            self.close();
        }
        Ok(used)
    }

    /// A varint is complete.
    fn number(&mut self) -> Result<(), LoadError> {
        match std::mem::replace(&mut self.state, State::FRESH) {
            State::Key(Varint { value: key, .. }) => self.key(key),
            State::Number(true, Varint { value, .. }) => {
                write_varint(value, &mut self.innermost().rest);
                Ok(())
            }
            State::Length(key, Varint { value: length, .. }) => self.field(key, length),
            _ => Ok(()),
        }
    }

    fn key(&mut self, key: u64) -> Result<(), LoadError> {
        if key & 7 == 2 {
            self.state = State::Length(key, Varint::default());
            return Ok(());
        }
        let part = self.part(key);
        let stays = match part {
            None => false,
            // Floats may also stand one by one.
            Some(Plain | Object) => true,
            Some(Weight(HELD_FLOATS)) if key & 7 == 5 => true,
            Some(_) => return Err(damaged()),
        };
        if stays {
            self.count(part)?;
            self.keep(2 * MAX_VARINT)?;
            write_varint(key, &mut self.innermost().rest);
        }
        let bytes = match key & 7 {
            0 => {
                self.state = State::Number(stays, Varint::default());
                return Ok(());
            }
            1 => 8,
            5 => 4,
            // Groups are not part of ONNX.
            _ => return Err(damaged()),
        };
        if bytes > self.innermost().end - self.at {
            return Err(damaged());
        }
        self.state = if stays { State::Copy(bytes) } else { State::Skip(bytes) };
        Ok(())
    }

    /// A field of `length` bytes begins.
    fn field(&mut self, key: u64, length: u64) -> Result<(), LoadError> {
        if length > self.innermost().end - self.at {
            return Err(damaged());
        }
        let part = self.part(key);
        self.count(part)?;
        let field = key >> 3;
        match part {
            None => self.skip(length),
            Some(Message(schema)) => {
                if self.open.len() == MAX_DEPTH {
                    return Err(LoadError::Malformed {
                        reason: format!("messages are nested deeper than {MAX_DEPTH}"),
                    });
                }
                self.keep(2 * MAX_VARINT)?;
                self.open.push(Open { schema, field, end: self.at + length, rest: Vec::new() });
            }
            Some(Plain | Object) => {
                self.keep(2 * MAX_VARINT + length)?;
                let rest = &mut self.innermost().rest;
                write_varint(key, rest);
                write_varint(length, rest);
                if length > 0 {
                    self.state = State::Copy(length);
                }
            }
            Some(Presence) => {
                self.keep(2 * MAX_VARINT)?;
                let rest = &mut self.innermost().rest;
                write_varint(key, rest);
                write_varint(0, rest);
                self.skip(length);
            }
            Some(Weight(held)) => {
                self.keep(2 * MAX_VARINT + length)?;
                let number = self.held.len() as u64;
                let rest = &mut self.innermost().rest;
                write_varint(held << 3, rest);
                write_varint(number, rest);
                self.held.push(reserve(length)?);
                if length > 0 {
                    self.state = State::Fill(0);
                }
            }
        }
        Ok(())
    }

    fn skip(&mut self, length: u64) {
        if length > 0 {
            self.state = State::Skip(length);
        }
    }

    /// Ends the messages that end here.
    fn close(&mut self) {
        while self.open.len() > 1 && self.innermost().end == self.at {
            let Some(done) = self.open.pop() else { return };
            let rest = &mut self.innermost().rest;
            write_varint(done.field << 3 | 2, rest);
            write_varint(done.rest.len() as u64, rest);
            rest.extend_from_slice(&done.rest);
        }
    }

    fn innermost(&mut self) -> &mut Open {
        self.open.last_mut().expect("the model itself stays open")
    }

    fn part(&mut self, key: u64) -> Option<Part> {
        let fields = self.innermost().schema.0;
        fields.iter().find(|(field, _)| *field == key >> 3).map(|(_, part)| *part)
    }

    fn count(&mut self, part: Option<Part>) -> Result<(), LoadError> {
        if matches!(part, Some(Message(_) | Object | Presence | Weight(_))) {
            self.messages += 1;
        }
        match self.messages > self.bounds.messages {
            true => Err(LoadError::TooMany { what: "parts", count: self.messages, limit: self.bounds.messages }),
            false => Ok(()),
        }
    }

    fn keep(&mut self, bytes: u64) -> Result<(), LoadError> {
        self.kept = self.kept.saturating_add(bytes);
        match self.kept > self.bounds.memory {
            // What follows in the file is nearly all weights.
            true => Err(LoadError::TooLarge { needed: self.kept.max(self.size), limit: self.bounds.memory }),
            false => Ok(()),
        }
    }
}

impl State {
    const FRESH: State = State::Key(Varint { value: 0, shift: 0 });

    /// Whether a field may begin or a message end here.
    fn is_fresh(&self) -> bool {
        matches!(self, State::Key(Varint { shift: 0, .. }))
    }
}

impl Varint {
    /// Whether it is complete with this byte.
    fn push(&mut self, byte: u8) -> Result<bool, LoadError> {
        if self.shift >= 64 {
            return Err(damaged());
        }
        self.value |= u64::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        Ok(byte & 0x80 == 0)
    }
}

/// A buffer for a weight.
pub(crate) fn reserve(bytes: u64) -> Result<Buffer, LoadError> {
    let buffer = usize::try_from(bytes).ok().and_then(Buffer::try_zeroed);
    buffer.ok_or(LoadError::NoMemory { needed: bytes })
}

fn damaged() -> LoadError {
    LoadError::Malformed { reason: "the file is damaged or cut short".into() }
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
