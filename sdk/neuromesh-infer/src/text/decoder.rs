//! Tokens back to text.

use serde_json::Value;

use super::{
    TokenizerError,
    file::{kind, parts, switch, text, unsupported},
    splitter::char_byte,
};

/// One step; a file's decoder is a list of them.
#[derive(Debug)]
pub enum Decoder {
    ByteLevel,
    ByteFallback,
    Fuse,
    Metaspace { replacement: char, first: bool },
    Replace(String, String),
    Strip { content: char, start: usize, stop: usize },
    Suffix(String),
    WordPiece { prefix: String, cleanup: bool },
}

impl Decoder {
    /// Reads the part `decoder` of a file.
    pub fn read(part: &Value) -> Result<Vec<Self>, TokenizerError> {
        let count =
            |name: &str| part.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let step = match kind(part) {
            None if part.is_null() => return Ok(Vec::new()),
            Some("Sequence") => {
                let steps: Result<Vec<_>, _> = parts(part, "decoders")?.iter().map(Self::read).collect();
                return Ok(steps?.into_iter().flatten().collect());
            }
            Some("ByteLevel") => Self::ByteLevel,
            Some("ByteFallback") => Self::ByteFallback,
            Some("Fuse") => Self::Fuse,
            Some("Metaspace") => {
                let Some(replacement) = text(part, "replacement")?.chars().next() else {
                    return unsupported("the replacement of", part);
                };
                let never = part.get("prepend_scheme").and_then(Value::as_str) == Some("never");
                Self::Metaspace { replacement, first: switch(part, "add_prefix_space", true) && !never }
            }
            Some("Replace") => {
                match part.get("pattern").and_then(|pattern| pattern.get("String")).and_then(Value::as_str) {
                    Some(pattern) if !pattern.is_empty() => {
                        Self::Replace(pattern.to_owned(), text(part, "content")?.to_owned())
                    }
                    _ => return unsupported("the pattern of the decoder", part),
                }
            }
            Some("Strip") => match text(part, "content")?.chars().next() {
                Some(content) => Self::Strip { content, start: count("start"), stop: count("stop") },
                None => return unsupported("the content of the decoder", part),
            },
            Some("BPEDecoder") => Self::Suffix(text(part, "suffix")?.to_owned()),
            Some("WordPiece") => {
                Self::WordPiece { prefix: text(part, "prefix")?.to_owned(), cleanup: switch(part, "cleanup", true) }
            }
            _ => return unsupported("the decoder", part),
        };
        Ok(vec![step])
    }

    /// The text of `tokens`; without a decoder they are joined by spaces.
    pub fn apply(steps: &[Self], mut tokens: Vec<String>) -> String {
        if steps.is_empty() {
            return tokens.join(" ");
        }
        for step in steps {
            tokens = step.one(tokens);
        }
        tokens.concat()
    }

    fn one(&self, mut tokens: Vec<String>) -> Vec<String> {
        match self {
            Self::ByteLevel => {
                let mut bytes = Vec::new();
                for token in &tokens {
                    match token.chars().map(char_byte).collect::<Option<Vec<u8>>>() {
                        Some(written) => bytes.extend(written),
                        None => bytes.extend_from_slice(token.as_bytes()),
                    }
                }
                vec![String::from_utf8_lossy(&bytes).into_owned()]
            }
            Self::ByteFallback => bytes_to_text(&tokens),
            Self::Fuse => vec![tokens.concat()],
            Self::Metaspace { replacement, first } => {
                let write = |(at, token): (usize, String)| {
                    let c = |c: char| if c == *replacement { (!(at == 0 && *first)).then_some(' ') } else { Some(c) };
                    token.chars().filter_map(c).collect()
                };
                tokens.into_iter().enumerate().map(write).collect()
            }
            Self::Replace(pattern, content) => {
                tokens.iter().map(|token| token.replace(pattern.as_str(), content)).collect()
            }
            Self::Strip { content, start, stop } => {
                tokens.iter().map(|token| strip(token, *content, *start, *stop)).collect()
            }
            Self::Suffix(suffix) => {
                let last = tokens.len().saturating_sub(1);
                let with = |at: usize| if at == last { "" } else { " " };
                tokens.iter().enumerate().map(|(at, token)| token.replace(suffix.as_str(), with(at))).collect()
            }
            Self::WordPiece { prefix, cleanup } => {
                for (at, token) in tokens.iter_mut().enumerate() {
                    if at > 0 {
                        *token = token.strip_prefix(prefix.as_str()).map_or_else(|| format!(" {token}"), str::to_owned);
                    }
                    if *cleanup {
                        *token = clean(token);
                    }
                }
                tokens
            }
        }
    }
}

/// `<0x41>` and the like, runs of which are UTF-8.
fn bytes_to_text(tokens: &[String]) -> Vec<String> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut pending: Vec<u8> = Vec::new();
    let flush = |pending: &mut Vec<u8>, out: &mut Vec<String>| match String::from_utf8(std::mem::take(pending)) {
        Ok(text) if text.is_empty() => {}
        Ok(text) => out.push(text),
        Err(error) => out.extend(std::iter::repeat_n("\u{fffd}".to_owned(), error.as_bytes().len())),
    };
    for token in tokens {
        let digits =
            token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>')).filter(|digits| digits.len() == 2);
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => pending.push(byte),
            None => {
                flush(&mut pending, &mut out);
                out.push(token.clone());
            }
        }
    }
    flush(&mut pending, &mut out);
    out
}

fn strip(token: &str, content: char, start: usize, stop: usize) -> String {
    let chars: Vec<char> = token.chars().collect();
    let left = chars.iter().take(start).take_while(|c| **c == content).count();
    let right = chars[left..].iter().rev().take(stop).take_while(|c| **c == content).count();
    chars[left..chars.len() - right].iter().collect()
}

/// English without the spaces that a tokenizer put before its signs.
fn clean(token: &str) -> String {
    let pairs = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" do not", " don't"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    pairs.iter().fold(token.to_owned(), |text, (from, to)| text.replace(from, to))
}
