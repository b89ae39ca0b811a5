//! Tokens and their ids.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::TokenizerError;

/// The most tokens of a vocabulary, and one more than the largest id.
pub const MAX_TOKENS: usize = 1 << 21;
/// How far a token may lie from its place in the table. Honest vocabularies stay below 64: the table is at most half full.
const MAX_PROBES: usize = 2048;
const EMPTY: u32 = u32::MAX;

/// The hash of a token under construction (FNV-1a): what was hashed can be continued.
#[derive(Clone, Copy, Debug)]
pub struct Hash(u64);

impl Hash {
    pub fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub fn add(mut self, text: &str) -> Self {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self
    }

    fn slot(self, mask: usize) -> usize {
        (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask
    }
}

#[derive(Clone, Copy)]
struct Entry {
    start: u32,
    end: u32,
    id: u32,
}

/// All texts in one string, found through one table: some ten thousand small strings cost more time than the rest of a file.
#[derive(Default)]
pub struct Vocabulary {
    text: String,
    entries: Vec<Entry>,
    table: Vec<u32>,
    by_id: Vec<u32>,
    /// Unigram: log probabilities, by id.
    pub scores: Vec<f64>,
}

impl Vocabulary {
    /// Adds a token; of two with the same text the later one counts, once [`Vocabulary::index`] was called.
    fn push(&mut self, token: &str, id: u32) -> Result<(), String> {
        if self.entries.len() == MAX_TOKENS || id as usize >= MAX_TOKENS {
            return Err(format!("over {MAX_TOKENS} tokens"));
        }
        let start = u32::try_from(self.text.len()).map_err(|_| "4 GiB of tokens")?;
        self.text.push_str(token);
        let end = u32::try_from(self.text.len()).map_err(|_| "4 GiB of tokens")?;
        self.entries.push(Entry { start, end, id });
        Ok(())
    }

    /// Makes the tokens findable.
    pub fn index(&mut self) -> Result<(), TokenizerError> {
        let invalid = |text: &str| TokenizerError::Invalid(text.to_owned());
        let size = (self.entries.len() * 2).next_power_of_two().max(2);
        self.table = vec![EMPTY; size];
        let ids = self.entries.iter().map(|entry| entry.id as usize + 1).max().unwrap_or(0);
        self.by_id = vec![EMPTY; ids];
        for index in 0..self.entries.len() {
            let entry = self.entries[index];
            let token = &self.text[entry.start as usize..entry.end as usize];
            let slot = self.slot_of(Hash::new().add(token), token, "");
            self.table[slot.ok_or_else(|| invalid("the vocabulary is made to be slow"))?] = index as u32;
            self.by_id[entry.id as usize] = index as u32;
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The id of a token.
    pub fn get(&self, token: &str) -> Option<u32> {
        self.find(Hash::new().add(token), token, "")
    }

    /// The id of the token `head` + `tail`, whose hash is known.
    pub fn find(&self, hash: Hash, head: &str, tail: &str) -> Option<u32> {
        let index = self.table[self.slot_of(hash, head, tail)?];
        (index != EMPTY).then(|| self.entries[index as usize].id)
    }

    /// The token of an id.
    pub fn token(&self, id: u32) -> Option<&str> {
        let index = *self.by_id.get(id as usize)?;
        (index != EMPTY).then(|| self.text_of(index))
    }

    fn text_of(&self, index: u32) -> &str {
        let Entry { start, end, .. } = self.entries[index as usize];
        &self.text[start as usize..end as usize]
    }

    /// Where the token is, or else would be.
    fn slot_of(&self, hash: Hash, head: &str, tail: &str) -> Option<usize> {
        let mask = self.table.len().checked_sub(1)?;
        let mut slot = hash.slot(mask);
        for _ in 0..MAX_PROBES {
            let index = self.table[slot];
            let same =
                |text: &str| text.len() == head.len() + tail.len() && text.starts_with(head) && text.ends_with(tail);
            if index == EMPTY || same(self.text_of(index)) {
                return Some(slot);
            }
            slot = (slot + 1) & mask;
        }
        None
    }
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vocabulary({} tokens)", self.len())
    }
}

/// `{"token": id, …}`, or for Unigram `[["token", score], …]`.
impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tokens;
        impl<'de> Visitor<'de> for Tokens {
            type Value = Vocabulary;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tokens with their ids, or with their scores")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
                let mut vocabulary = Vocabulary::default();
                while let Some((token, id)) = map.next_entry::<Token<'de>, u32>()? {
                    vocabulary.push(&token.0, id).map_err(serde::de::Error::custom)?;
                }
                Ok(vocabulary)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vocabulary, A::Error> {
                let mut vocabulary = Vocabulary::default();
                while let Some((token, score)) = seq.next_element::<(Token<'de>, f64)>()? {
                    let id = vocabulary.scores.len() as u32;
                    vocabulary.push(&token.0, id).map_err(serde::de::Error::custom)?;
                    vocabulary.scores.push(score);
                }
                Ok(vocabulary)
            }
        }
        deserializer.deserialize_any(Tokens)
    }
}

/// A string that is copied only where it has escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
pub struct Token<'a>(#[serde(borrow)] pub std::borrow::Cow<'a, str>);
