//! `tokenizer.json` as it is written.

use serde::Deserialize;
use serde_json::Value;

use super::{TokenizerError, vocabulary::Vocabulary};

/// The whole file. `truncation` and `padding` are the caller's affair, not the text's.
#[derive(Deserialize)]
pub struct File {
    #[serde(default)]
    pub added_tokens: Vec<AddedToken>,
    #[serde(default)]
    pub normalizer: Value,
    #[serde(default)]
    pub pre_tokenizer: Value,
    #[serde(default)]
    pub post_processor: Value,
    #[serde(default)]
    pub decoder: Value,
    pub model: ModelFile,
}

/// A token that is cut out of the text before anything else sees it.
#[derive(Deserialize)]
pub struct AddedToken {
    pub id: u32,
    pub content: String,
    #[serde(default)]
    pub special: bool,
    #[serde(default)]
    pub single_word: bool,
    #[serde(default)]
    pub lstrip: bool,
    #[serde(default)]
    pub rstrip: bool,
    #[serde(default)]
    pub normalized: bool,
}

/// The fields of all models: reading them as they come saves a copy of the vocabulary.
#[derive(Deserialize)]
pub struct ModelFile {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub vocab: Vocabulary,
    pub merges: Option<Vec<Merge>>,
    pub unk_token: Option<String>,
    pub unk_id: Option<u32>,
    pub continuing_subword_prefix: Option<String>,
    pub end_of_word_suffix: Option<String>,
    pub max_input_chars_per_word: Option<usize>,
    pub dropout: Option<f32>,
    #[serde(default)]
    pub fuse_unk: bool,
    #[serde(default)]
    pub byte_fallback: bool,
    #[serde(default)]
    pub ignore_merges: bool,
}

/// `"a b"`, in newer files `["a", "b"]`.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Merge {
    Pair(String, String),
    Line(String),
}

/// The `type` of a part, if it is there at all.
pub fn kind(part: &Value) -> Option<&str> {
    part.get("type").and_then(Value::as_str)
}

/// A part's list of parts, for those that are called `Sequence`.
pub fn parts<'a>(part: &'a Value, name: &str) -> Result<&'a [Value], TokenizerError> {
    let list = part.get(name).and_then(Value::as_array).map(Vec::as_slice);
    list.ok_or_else(|| TokenizerError::Invalid(format!("a Sequence needs a list {name:?}")))
}

/// A switch, or its default where it is absent or null.
pub fn switch(part: &Value, name: &str, default: bool) -> bool {
    part.get(name).and_then(Value::as_bool).unwrap_or(default)
}

/// A text that has to be there.
pub fn text<'a>(part: &'a Value, name: &str) -> Result<&'a str, TokenizerError> {
    let text = part.get(name).and_then(Value::as_str);
    text.ok_or_else(|| TokenizerError::Invalid(format!("{} needs a text {name:?}", kind(part).unwrap_or("a part"))))
}

/// What a file asks for and this reader does not know.
pub fn unsupported<T>(what: &str, part: &Value) -> Result<T, TokenizerError> {
    let name = kind(part).map_or_else(|| part.to_string(), str::to_owned);
    Err(TokenizerError::Unsupported(format!("{what} {}", name.chars().take(200).collect::<String>())))
}
