//! Text to tokens and back, and text to embeddings.
//!
//! ```text
//! text ─► added tokens cut out ─► normalizer ─► splitter ─► WordPiece, BPE, Unigram ─► template ─► ids
//! ```
//!
//! [`Tokenizer`] reads `tokenizer.json`, the format of Hugging Face's `tokenizers`, and gives the same ids as that library, which
//! the tests use as their oracle. It is our own because the library with its regular expressions is as large as the whole
//! engine. What a file asks for and this reader does not know is refused when it is loaded, by name: no text is ever cut
//! differently in silence.

mod added;
mod bpe;
mod classes;
mod decoder;
mod embed;
mod file;
mod model;
mod normalizer;
mod splitter;
mod template;
mod tokenizer;
mod unigram;
mod vocabulary;
mod wordpiece;

pub use self::{
    embed::{EmbedRun, Embedder, Pooling, TextError},
    tokenizer::{MAX_TEXT_BYTES, MAX_TOKENIZER_BYTES, Tokenizer, TokenizerError},
};
