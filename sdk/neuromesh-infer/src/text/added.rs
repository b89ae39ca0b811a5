//! Tokens that are cut out of a text before it is normalized, or right after.

use std::collections::BTreeMap;

use super::{TokenizerError, classes::is_word, file::AddedToken, normalizer::Normalizer, vocabulary::Vocabulary};

/// The most added tokens.
const MAX_ADDED: usize = 1 << 14;
/// The longest one, in bytes: at each place of a text as many are compared at most.
const MAX_ADDED_BYTES: usize = 256;

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    Token(u32),
    /// Text, and whether it begins where the whole began.
    Text(&'a str, bool),
}

#[derive(Debug, Default)]
pub struct Added {
    raw: Matcher,
    normalized: Matcher,
    by_id: BTreeMap<u32, (String, bool)>,
}

#[derive(Debug)]
struct Found {
    id: u32,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
}

/// Finds the longest token at the leftmost place.
#[derive(Debug, Default)]
struct Matcher {
    tokens: Vec<Found>,
    /// Next node by node and byte; 0 is the root.
    edges: BTreeMap<(u32, u8), u32>,
    ends: BTreeMap<u32, usize>,
    nodes: u32,
    /// The bytes with which a token begins.
    begins: Vec<bool>,
}

impl Added {
    pub fn new(
        mut tokens: Vec<AddedToken>,
        vocabulary: &Vocabulary,
        normalizer: &[Normalizer],
    ) -> Result<Self, TokenizerError> {
        if tokens.len() > MAX_ADDED {
            let count = tokens.len();
            return Err(TokenizerError::Unsupported(format!("{count} added tokens; at most {MAX_ADDED}")));
        }
        tokens.retain(|token| !token.content.is_empty());
        // Of two with the same text the special one is found, then the earlier one.
        tokens.sort_by_key(|token| !token.special);
        let mut added = Self::default();
        for token in tokens {
            let id = vocabulary.get(&token.content).unwrap_or(token.id);
            let found = Found { id, single_word: token.single_word, lstrip: token.lstrip, rstrip: token.rstrip };
            if token.normalized {
                added.normalized.add(&Normalizer::apply(normalizer, &token.content)?, found)?;
            } else {
                added.raw.add(&token.content, found)?;
            }
            added.by_id.insert(id, (token.content, token.special));
        }
        Ok(added)
    }

    /// The parts of a text that comes from the caller.
    pub fn split_raw<'a>(&self, text: &'a str) -> Vec<Part<'a>> {
        self.raw.split(text, true)
    }

    /// The parts of a text that was normalized.
    pub fn split_normalized<'a>(&self, text: &'a str, first: bool) -> Vec<Part<'a>> {
        self.normalized.split(text, first)
    }

    /// The id of an added token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.by_id.iter().find(|(_, (text, _))| text == token).map(|(id, _)| *id)
    }

    /// The text of an added token, and whether it is a special one.
    pub fn token(&self, id: u32) -> Option<(&str, bool)> {
        self.by_id.get(&id).map(|(text, special)| (text.as_str(), *special))
    }
}

impl Matcher {
    fn add(&mut self, content: &str, found: Found) -> Result<(), TokenizerError> {
        if content.is_empty() || content.len() > MAX_ADDED_BYTES {
            let length = content.len();
            return Err(TokenizerError::Unsupported(format!(
                "an added token of {length} bytes, 1 to {MAX_ADDED_BYTES}"
            )));
        }
        let mut node = 0;
        for byte in content.bytes() {
            node = *self.edges.entry((node, byte)).or_insert_with(|| {
                self.nodes += 1;
                self.nodes
            });
        }
        self.begins.resize(256, false);
        self.begins[usize::from(content.as_bytes()[0])] = true;
        self.ends.entry(node).or_insert(self.tokens.len());
        self.tokens.push(found);
        Ok(())
    }

    /// The longest token at the beginning of `text`, and its length.
    fn at(&self, text: &[u8]) -> Option<(&Found, usize)> {
        if !*self.begins.get(usize::from(*text.first()?))? {
            return None;
        }
        let (mut node, mut found) = (0, None);
        for (index, &byte) in text.iter().enumerate() {
            let Some(&next) = self.edges.get(&(node, byte)) else { break };
            node = next;
            if let Some(&token) = self.ends.get(&node) {
                found = Some((&self.tokens[token], index + 1));
            }
        }
        found
    }

    fn split<'a>(&self, text: &'a str, first: bool) -> Vec<Part<'a>> {
        let mut parts = Vec::new();
        let (mut done, mut at) = (0, 0);
        let part = |start: usize, end: usize| Part::Text(&text[start..end], first && start == 0);
        while at < text.len() && !self.tokens.is_empty() {
            let Some((found, len)) = self.at(&text.as_bytes()[at..]) else {
                at += 1;
                continue;
            };
            let (mut start, mut end) = (at, at + len);
            at = end;
            let inside = |c: Option<char>| c.is_some_and(is_word);
            if found.single_word && (inside(text[..start].chars().next_back()) || inside(text[end..].chars().next())) {
                continue;
            }
            if found.lstrip {
                start = text[..start].trim_end().len().max(done);
            }
            if found.rstrip {
                end = text.len() - text[end..].trim_start().len();
            }
            if done < start {
                parts.push(part(done, start));
            }
            parts.push(Part::Token(found.id));
            done = end.max(done);
        }
        if done < text.len() {
            parts.push(part(done, text.len()));
        }
        parts
    }
}
