//! Cuts a text into words, which the model then encodes one by one.

use std::{borrow::Cow, ops::Range};

use serde_json::Value;

use super::{
    TokenizerError,
    classes::{is_letter, is_number, is_punctuation, is_word},
    file::{kind, parts, switch, text, unsupported},
};

/// The pattern of GPT-2.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// The pattern of Llama 3, and without the limit of three digits that of Qwen 2.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A piece of the text; `first`: it begins where the text begins.
#[derive(Clone, Debug)]
pub struct Piece<'a> {
    pub text: Cow<'a, str>,
    pub first: bool,
}

/// One step; a file's pre-tokenizer is a list of them.
#[derive(Debug)]
pub enum Splitter {
    Bert,
    ByteLevel { prefix_space: bool, split: bool },
    Metaspace { replacement: char, prepend: Prepend, split: bool },
    Split { pattern: Pattern, invert: bool, behavior: Behavior },
}

/// Which pieces get a space in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepend {
    Always,
    First,
    Never,
}

/// What separates, or with `invert` what is kept.
#[derive(Debug)]
pub enum Pattern {
    Char(fn(char) -> bool),
    /// Runs of characters of one class; those of space are the matches.
    Run(fn(char) -> Class),
    Text(String),
    Gpt2,
    /// With the most digits of a number.
    Llama3(usize),
}

/// The two kinds of words of the pre-tokenizer `Whitespace`, and what is between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Word,
    Sign,
    Space,
}

/// What becomes of the separators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behavior {
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

impl Splitter {
    /// Reads the part `pre_tokenizer` of a file.
    pub fn read(part: &Value) -> Result<Vec<Self>, TokenizerError> {
        let split = |pattern, behavior| Self::Split { pattern, invert: false, behavior };
        let step = match kind(part) {
            None if part.is_null() => return Ok(Vec::new()),
            Some("Sequence") => {
                let steps: Result<Vec<_>, _> = parts(part, "pretokenizers")?.iter().map(Self::read).collect();
                return Ok(steps?.into_iter().flatten().collect());
            }
            Some("BertPreTokenizer") => Self::Bert,
            Some("ByteLevel") => Self::ByteLevel {
                prefix_space: switch(part, "add_prefix_space", true),
                split: switch(part, "use_regex", true),
            },
            Some("Metaspace") => metaspace(part)?,
            Some("Whitespace") => split(
                Pattern::Run(|c| match c {
                    c if is_word(c) => Class::Word,
                    c if c.is_whitespace() => Class::Space,
                    _ => Class::Sign,
                }),
                Behavior::Removed,
            ),
            Some("WhitespaceSplit") => split(Pattern::Char(char::is_whitespace), Behavior::Removed),
            Some("Punctuation") => split(Pattern::Char(is_punctuation), behavior(part, Behavior::Isolated)?),
            Some("Digits") => {
                let alone = switch(part, "individual_digits", false);
                let behavior = if alone { Behavior::Isolated } else { Behavior::Contiguous };
                split(Pattern::Char(char::is_numeric), behavior)
            }
            Some("Split") => {
                let invert = switch(part, "invert", false);
                let (pattern, behavior) = (pattern(part)?, behavior(part, Behavior::Isolated)?);
                Self::Split { pattern, invert, behavior }
            }
            _ => return unsupported("the pre-tokenizer", part),
        };
        Ok(vec![step])
    }

    /// The words of a text, in order. Empty ones are left out.
    pub fn apply<'a>(steps: &[Self], piece: Piece<'a>) -> Vec<Piece<'a>> {
        let mut pieces = vec![piece];
        for step in steps {
            pieces = pieces.into_iter().flat_map(|piece| step.one(piece)).collect();
        }
        pieces
    }

    fn one<'a>(&self, piece: Piece<'a>) -> Vec<Piece<'a>> {
        match self {
            Self::Bert => {
                let words = cut(piece, |text, matched| chars(text, char::is_whitespace, matched), Behavior::Removed);
                let signs = |text: &str, matched: &mut Matches| chars(text, is_punctuation, matched);
                words.into_iter().flat_map(|word| cut(word, signs, Behavior::Isolated)).collect()
            }
            Self::ByteLevel { prefix_space, split } => {
                let piece = if *prefix_space { prepend(piece, ' ') } else { piece };
                let pieces = if *split { cut(piece, gpt2, Behavior::Isolated) } else { vec![piece] };
                let written = pieces.into_iter().filter(|piece| !piece.text.is_empty());
                written.map(|piece| Piece { text: piece.text.bytes().map(byte_char).collect(), ..piece }).collect()
            }
            Self::Metaspace { replacement, prepend: scheme, split } => {
                let mut piece = piece;
                if piece.text.contains(' ') {
                    piece.text = piece.text.replace(' ', replacement.encode_utf8(&mut [0; 4])).into();
                }
                if *scheme == Prepend::Always || (*scheme == Prepend::First && piece.first) {
                    piece = prepend(piece, *replacement);
                }
                if !*split {
                    return vec![piece];
                }
                let marks = |text: &str, matched: &mut Matches| chars(text, |c| c == *replacement, matched);
                cut(piece, marks, Behavior::MergedWithNext)
            }
            Self::Split { pattern, invert, behavior } => {
                let find = |text: &str, matched: &mut Matches| {
                    pattern.find(text, matched);
                    if *invert {
                        matched.iter_mut().for_each(|(_, is_match)| *is_match = !*is_match);
                    }
                };
                cut(piece, find, *behavior)
            }
        }
    }
}

fn metaspace(part: &Value) -> Result<Splitter, TokenizerError> {
    let mut replacement = text(part, "replacement")?.chars();
    let (Some(replacement), None) = (replacement.next(), replacement.next()) else {
        return unsupported("the replacement of", part);
    };
    let prepend = match part.get("prepend_scheme").and_then(Value::as_str) {
        None | Some("always") => Prepend::Always,
        Some("first") => Prepend::First,
        Some("never") => Prepend::Never,
        Some(_) => return unsupported("the prepend_scheme of", part),
    };
    let prepend = if switch(part, "add_prefix_space", true) { prepend } else { Prepend::Never };
    Ok(Splitter::Metaspace { replacement, prepend, split: switch(part, "split", true) })
}

fn pattern(part: &Value) -> Result<Pattern, TokenizerError> {
    let named = |name: &str| part.get("pattern").and_then(|pattern| pattern.get(name)).and_then(Value::as_str);
    match (named("String"), named("Regex")) {
        (Some(text), _) if !text.is_empty() => Ok(Pattern::Text(text.to_owned())),
        (None, Some(GPT2)) => Ok(Pattern::Gpt2),
        (None, Some(LLAMA3)) => Ok(Pattern::Llama3(3)),
        (None, Some(QWEN2)) => Ok(Pattern::Llama3(1)),
        (None, Some(r"\s+")) => Ok(Pattern::Run(|c| if c.is_whitespace() { Class::Space } else { Class::Word })),
        (text, regex) => {
            let pattern: String = regex.or(text).unwrap_or_default().chars().take(200).collect();
            Err(TokenizerError::Unsupported(format!("the pre-tokenizer Split by {pattern:?}")))
        }
    }
}

fn behavior(part: &Value, default: Behavior) -> Result<Behavior, TokenizerError> {
    match part.get("behavior").and_then(Value::as_str) {
        None => Ok(default),
        Some("Removed") => Ok(Behavior::Removed),
        Some("Isolated") => Ok(Behavior::Isolated),
        Some("MergedWithPrevious") => Ok(Behavior::MergedWithPrevious),
        Some("MergedWithNext") => Ok(Behavior::MergedWithNext),
        Some("Contiguous") => Ok(Behavior::Contiguous),
        Some(_) => unsupported("the behavior of", part),
    }
}

/// Ranges that cover the text, and whether each is a match.
type Matches = Vec<(Range<usize>, bool)>;

impl Pattern {
    fn find(&self, text: &str, matched: &mut Matches) {
        match self {
            Self::Char(is) => chars(text, is, matched),
            Self::Run(class) => {
                let mut start = 0;
                while let Some(c) = text[start..].chars().next() {
                    let of = class(c);
                    let len = text[start..].find(|c| class(c) != of).unwrap_or(text.len() - start);
                    matched.push((start..start + len, of == Class::Space));
                    start += len;
                }
            }
            Self::Text(pattern) => {
                let mut end = 0;
                for (start, found) in text.match_indices(pattern.as_str()) {
                    if end < start {
                        matched.push((end..start, false));
                    }
                    end = start + found.len();
                    matched.push((start..end, true));
                }
                if end < text.len() {
                    matched.push((end..text.len(), false));
                }
            }
            Self::Gpt2 => gpt2(text, matched),
            Self::Llama3(digits) => scan(text, matched, |rest| llama3(rest, *digits)),
        }
    }
}

/// Each character that `is` one is a match; the others are joined.
fn chars(text: &str, is: impl Fn(char) -> bool, matched: &mut Matches) {
    let mut end = 0;
    for (at, c) in text.char_indices().filter(|(_, c)| is(*c)) {
        if end < at {
            matched.push((end..at, false));
        }
        end = at + c.len_utf8();
        matched.push((at..end, true));
    }
    if end < text.len() {
        matched.push((end..text.len(), false));
    }
}

fn cut<'a>(piece: Piece<'a>, find: impl FnOnce(&str, &mut Matches), behavior: Behavior) -> Vec<Piece<'a>> {
    let mut matched = Matches::new();
    find(&piece.text, &mut matched);
    let mut parts: Vec<Range<usize>> = Vec::with_capacity(matched.len());
    match behavior {
        Behavior::Removed => parts.extend(matched.into_iter().filter(|(_, is)| !is).map(|(range, _)| range)),
        Behavior::Isolated => parts.extend(matched.into_iter().map(|(range, _)| range)),
        Behavior::Contiguous | Behavior::MergedWithPrevious => {
            let mut before = None;
            for (range, is) in matched {
                let joins = match behavior {
                    Behavior::Contiguous => before == Some(is),
                    _ => is && before == Some(false),
                };
                match parts.last_mut().filter(|_| joins) {
                    Some(last) => last.end = range.end,
                    None => parts.push(range),
                }
                before = Some(is);
            }
        }
        Behavior::MergedWithNext => {
            let mut after = None;
            for (range, is) in matched.into_iter().rev() {
                match parts.last_mut().filter(|_| is && after == Some(false)) {
                    Some(last) => last.start = range.start,
                    None => parts.push(range),
                }
                after = Some(is);
            }
            parts.reverse();
        }
    }
    let take = |range: Range<usize>| {
        let text = match &piece.text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[range.clone()]),
            Cow::Owned(text) => Cow::Owned(text[range.clone()].to_owned()),
        };
        Piece { text, first: piece.first && range.start == 0 }
    };
    parts.into_iter().filter(|range| !range.is_empty()).map(take).collect()
}

/// With `c` in front, unless it is there already or there is nothing.
fn prepend(piece: Piece<'_>, c: char) -> Piece<'_> {
    if piece.text.is_empty() || piece.text.starts_with(c) {
        return piece;
    }
    let mut text = String::with_capacity(piece.text.len() + c.len_utf8());
    text.push(c);
    text.push_str(&piece.text);
    Piece { text: text.into(), ..piece }
}

fn gpt2(text: &str, matched: &mut Matches) {
    scan(text, matched, gpt2_word);
}

/// Both patterns match everywhere: the text is nothing but matches.
fn scan(text: &str, matched: &mut Matches, word: impl Fn(&str) -> usize) {
    let mut start = 0;
    while start < text.len() {
        let len = word(&text[start..]);
        matched.push((start..start + len, true));
        start += len;
    }
}

/// Bytes of the match of [`GPT2`] at the beginning of a text that is not empty.
fn gpt2_word(text: &str) -> usize {
    if let Some(len) = contraction(text, |a, b| a == b) {
        return len;
    }
    let (space, rest) = match text.strip_prefix(' ') {
        Some(rest) if rest.starts_with(|c: char| !c.is_whitespace()) => (1, rest),
        _ => (0, text),
    };
    match rest.chars().next() {
        Some(c) if is_letter(c) => space + run(rest, is_letter),
        Some(c) if is_number(c) => space + run(rest, is_number),
        Some(c) if !c.is_whitespace() => space + run(rest, is_sign),
        _ => white(text),
    }
}

/// Bytes of the match of [`LLAMA3`] at the beginning of a text that is not empty.
fn llama3(text: &str, digits: usize) -> usize {
    // Without regard to case the long s is an s.
    let alike = |a: char, b: char| a.to_ascii_lowercase() == b || (b == 's' && a == 'ſ');
    if let Some(len) = contraction(text, alike) {
        return len;
    }
    let first = text.chars().next().unwrap_or_default();
    let after = &text[first.len_utf8().min(text.len())..];
    if is_letter(first) {
        return run(text, is_letter);
    }
    if !matches!(first, '\r' | '\n') && !is_number(first) && after.starts_with(is_letter) {
        return first.len_utf8() + run(after, is_letter);
    }
    if is_number(first) {
        return text.chars().take(digits).take_while(|c| is_number(*c)).map(char::len_utf8).sum();
    }
    let signs = if first == ' ' { after } else { text };
    let len = run(signs, is_sign);
    if len > 0 {
        return text.len() - signs.len() + len + run(&signs[len..], |c| matches!(c, '\r' | '\n'));
    }
    let spaces = run(text, char::is_whitespace);
    match text[..spaces].rfind(['\r', '\n']) {
        Some(last) => last + 1,
        None => white(text),
    }
}

/// `'s` and the like.
fn contraction(text: &str, alike: impl Fn(char, char) -> bool) -> Option<usize> {
    let rest = text.strip_prefix('\'')?;
    ["s", "t", "re", "ve", "m", "ll", "d"].iter().find_map(|end| {
        let mut len = 1;
        let mut chars = rest.chars();
        for wanted in end.chars() {
            let c = chars.next().filter(|c| alike(*c, wanted))?;
            len += c.len_utf8();
        }
        Some(len)
    })
}

fn is_sign(c: char) -> bool {
    !c.is_whitespace() && !is_letter(c) && !is_number(c)
}

fn run(text: &str, is: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is(c)).unwrap_or(text.len())
}

/// `\s+(?!\S)|\s+`: all space up to the last one before a word, which belongs to the word.
fn white(text: &str) -> usize {
    let len = run(text, char::is_whitespace);
    let last = text[..len].chars().next_back().map_or(0, char::len_utf8);
    if len == text.len() || len == last { len } else { len - last }
}

/// The printable character by which GPT-2 writes a byte.
pub fn byte_char(byte: u8) -> char {
    let shifted = match byte {
        0..=32 => 256 + u32::from(byte),
        127..=160 => 256 + 33 + u32::from(byte) - 127,
        173 => 256 + 67,
        _ => u32::from(byte),
    };
    char::from_u32(shifted).expect("below the surrogates")
}

/// The byte that a character stands for, if it is one of those.
pub fn char_byte(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ (33..=126 | 161..=172 | 174..=255) => Some(code as u8),
        code @ 256..=288 => Some((code - 256) as u8),
        code @ 289..=322 => Some((code - 289 + 127) as u8),
        323 => Some(173),
        _ => None,
    }
}
