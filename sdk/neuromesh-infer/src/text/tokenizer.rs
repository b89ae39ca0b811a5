//! `tokenizer.json`: text to ids, ids to text.

use super::{
    added::{Added, Part},
    decoder::Decoder,
    file::File,
    model::Model,
    normalizer::Normalizer,
    splitter::{Piece, Splitter},
    template::Template,
};

/// The longest text that is looked at, in bytes. Tokenizing is linear but slow, and models read only the beginning.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// The longest `tokenizer.json`.
pub const MAX_TOKENIZER_BYTES: usize = 64 << 20;

/// Why there is no tokenizer, or no tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The file is longer than [`MAX_TOKENIZER_BYTES`].
    #[error("tokenizer: {0} bytes; at most {MAX_TOKENIZER_BYTES} are read")]
    TooLarge(usize),
    /// The file is not the JSON of a tokenizer.
    #[error("tokenizer: {0}")]
    Syntax(String),
    /// The file contradicts itself.
    #[error("tokenizer: {0}")]
    Invalid(String),
    /// The file asks for something that this reader does not know.
    #[error("tokenizer: {0} is not supported")]
    Unsupported(String),
    /// The text is longer than [`MAX_TEXT_BYTES`], or would become too long by normalization.
    #[error("the text has {length} bytes; at most {limit} are taken")]
    TooLong {
        /// Its length.
        length: usize,
        /// The bound.
        limit: usize,
    },
    /// A character that the vocabulary lacks, where it has no token for such.
    #[error("tokenizer: {0:?} is not in the vocabulary, which has no token for what it lacks")]
    Unknown(char),
    /// No token has this id.
    #[error("tokenizer: no token has the id {0}")]
    NoToken(u32),
}

/// Cuts texts into the tokens of a model, and puts them together again.
#[derive(Debug)]
pub struct Tokenizer {
    added: Added,
    normalizer: Vec<Normalizer>,
    splitter: Vec<Splitter>,
    model: Model,
    template: Template,
    decoder: Vec<Decoder>,
}

impl Tokenizer {
    /// Reads the contents of a `tokenizer.json`. What it says about truncation and padding is left to the caller.
    ///
    /// # Errors
    /// [`TokenizerError`]; `Unsupported` names the first part that is not known here.
    pub fn from_json(json: &[u8]) -> Result<Self, TokenizerError> {
        if json.len() > MAX_TOKENIZER_BYTES {
            return Err(TokenizerError::TooLarge(json.len()));
        }
        let file: File = serde_json::from_slice(json).map_err(|error| TokenizerError::Syntax(error.to_string()))?;
        let normalizer = Normalizer::read(&file.normalizer)?;
        let splitter = Splitter::read(&file.pre_tokenizer)?;
        let template = Template::read(&file.post_processor)?;
        let decoder = Decoder::read(&file.decoder)?;
        let model = Model::new(file.model)?;
        let added = Added::new(file.added_tokens, &model.vocabulary, &normalizer)?;
        Ok(Self { added, normalizer, splitter, model, template, decoder })
    }

    /// How many special tokens stand around every text.
    pub fn special_tokens(&self) -> usize {
        self.template.len()
    }

    /// The id of a token by its text, such as `[SEP]`.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.model.vocabulary.get(token).or_else(|| self.added.id(token))
    }

    /// The ids of a text with the special tokens around it, at most `max_tokens` in all: what is over is cut off at the end.
    /// A `max_tokens` below [`Tokenizer::special_tokens`] leaves these alone.
    ///
    /// # Errors
    /// [`TokenizerError::TooLong`], [`TokenizerError::Unknown`].
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<Vec<u32>, TokenizerError> {
        let room = max_tokens.saturating_sub(self.template.len());
        let mut ids = self.template.before.clone();
        let limit = ids.len() + room;
        self.encode_text(text, limit, &mut ids)?;
        ids.truncate(limit);
        ids.extend_from_slice(&self.template.after);
        Ok(ids)
    }

    /// Appends ids, at least until there are `limit` of them or the text is over.
    fn encode_text(&self, text: &str, limit: usize, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(TokenizerError::TooLong { length: text.len(), limit: MAX_TEXT_BYTES });
        }
        for part in self.added.split_raw(text) {
            let (text, first) = match part {
                Part::Token(id) => {
                    ids.push(id);
                    continue;
                }
                Part::Text(text, first) => (text, first),
            };
            let normalized = Normalizer::apply(&self.normalizer, text)?;
            for part in self.added.split_normalized(&normalized, first) {
                let (text, first) = match part {
                    Part::Token(id) => {
                        ids.push(id);
                        continue;
                    }
                    Part::Text(text, first) => (text, first),
                };
                for word in Splitter::apply(&self.splitter, Piece { text: text.into(), first }) {
                    if ids.len() >= limit {
                        return Ok(());
                    }
                    self.model.encode(&word.text, ids)?;
                }
            }
        }
        Ok(())
    }

    /// The text of ids; with `skip_special` without special tokens.
    ///
    /// # Errors
    /// [`TokenizerError::NoToken`].
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        let mut tokens = Vec::with_capacity(ids.len());
        for &id in ids {
            let (text, special) = match self.added.token(id) {
                Some(added) => added,
                None => (self.model.vocabulary.token(id).ok_or(TokenizerError::NoToken(id))?, false),
            };
            if !(special && skip_special) {
                tokens.push(text.to_owned());
            }
        }
        Ok(Decoder::apply(&self.decoder, tokens))
    }
}
