//! What the model sees of an input: the ends of it without their outer white space.

use crate::Config;

/// The tokens of the beginning and of the end: bytes, or the padding token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    beg: Vec<i32>,
    end: Vec<i32>,
}

impl Features {
    /// The features of an input whose first block is `first` and whose last block is `last`; of a short input both
    /// are all of it.
    pub fn new(first: &[u8], last: &[u8], config: &Config) -> Self {
        let beg = strip_start(first);
        let beg = &beg[..beg.len().min(config.beg_size)];
        let end = strip_end(last);
        let end = &end[end.len().saturating_sub(config.end_size)..];
        let padding = |len: usize| std::iter::repeat_n(config.padding_token, len);
        Self {
            beg: tokens(beg).chain(padding(config.beg_size - beg.len())).collect(),
            end: padding(config.end_size - end.len()).chain(tokens(end)).collect(),
        }
    }

    /// Whether enough bytes are left, without white space, for the model to say something.
    pub fn meaningful(&self, config: &Config) -> bool {
        self.beg[config.min_file_size_for_dl - 1] != config.padding_token
    }

    /// The model's input: the beginning, then the end.
    pub fn into_tokens(self) -> Vec<i32> {
        let mut tokens = self.beg;
        tokens.extend(self.end);
        tokens
    }
}

fn tokens(bytes: &[u8]) -> impl Iterator<Item = i32> {
    bytes.iter().map(|byte| i32::from(*byte))
}

/// White space as Python's `bytes.strip()` takes it; `u8::is_ascii_whitespace` leaves out the vertical tab.
fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn strip_start(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !is_white(*byte)).unwrap_or(bytes.len());
    &bytes[start..]
}

fn strip_end(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !is_white(*byte)).map_or(0, |last| last + 1);
    &bytes[..end]
}
