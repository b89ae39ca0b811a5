//! WordPiece: the longest token that begins the rest of the word, again and again (BERT).

use super::{
    TokenizerError,
    vocabulary::{Hash, Vocabulary},
};

/// The longest word that a file may want to be looked at, in characters: time grows with its square.
const MAX_WORD: usize = 1000;

#[derive(Debug)]
pub struct WordPiece {
    prefix: String,
    prefix_hash: Hash,
    max_chars: usize,
    unknown: u32,
}

impl WordPiece {
    pub fn new(
        vocabulary: &Vocabulary,
        unknown: Option<&str>,
        prefix: Option<String>,
        max_chars: Option<usize>,
    ) -> Result<Self, TokenizerError> {
        let unknown = unknown.unwrap_or("[UNK]");
        let missing = || TokenizerError::Invalid(format!("the unknown token {unknown:?} is not in the vocabulary"));
        let unknown = vocabulary.get(unknown).ok_or_else(missing)?;
        let max_chars = max_chars.unwrap_or(100);
        if max_chars > MAX_WORD {
            return Err(TokenizerError::Unsupported(format!("words of {max_chars} characters; at most {MAX_WORD}")));
        }
        let prefix = prefix.unwrap_or_else(|| "##".into());
        Ok(Self { prefix_hash: Hash::new().add(&prefix), prefix, max_chars, unknown })
    }

    pub fn encode(&self, vocabulary: &Vocabulary, word: &str, ids: &mut Vec<u32>) {
        if word.chars().nth(self.max_chars).is_some() {
            return ids.push(self.unknown);
        }
        let before = ids.len();
        let mut rest = word;
        while !rest.is_empty() {
            let (head, mut hash) =
                if rest.len() == word.len() { ("", Hash::new()) } else { (self.prefix.as_str(), self.prefix_hash) };
            let (mut found, mut done) = (None, 0);
            for (at, c) in rest.char_indices() {
                let end = at + c.len_utf8();
                hash = hash.add(&rest[at..end]);
                if let Some(id) = vocabulary.find(hash, head, &rest[..end]) {
                    (found, done) = (Some(id), end);
                }
            }
            let Some(id) = found else {
                ids.truncate(before);
                return ids.push(self.unknown);
            };
            ids.push(id);
            rest = &rest[done..];
        }
    }
}
