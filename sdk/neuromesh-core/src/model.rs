//! What a model is: a manifest that names its files by content.

use serde::{Deserialize, Serialize};

use crate::Digest;

mod pipeline;
#[cfg(test)]
mod tests;

pub use pipeline::{ImageChannels, ImageFilter, ImageLayout, ImagePipeline, ImageSize, Number, Pooling, VoicePipeline};

/// The longest manifest, in bytes of JSON.
pub const MAX_MANIFEST_BYTES: usize = 64 << 10;
/// The most files of a model.
pub const MAX_FILES: usize = 64;
/// The largest file of a model.
pub const MAX_FILE_BYTES: u64 = 8 << 30;
/// The longest name of a model.
pub const MAX_MODEL_NAME: usize = 64;

/// A model: what it does with its input and which files it is made of. Its digest, over the JSON bytes as stored,
/// is the model's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this format: 1.
    pub format: u32,
    /// What callers say: `all-minilm-l6-v2`. Lower case letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// What happens around the graph.
    pub pipeline: Pipeline,
    /// The files, by role: `graph` (ONNX), `tokenizer`, `labels`, `plugin` (a component) …
    pub files: Vec<ModelFile>,
    /// Bytes of memory that a loaded model needs at least.
    pub memory: u64,
    /// SPDX expression.
    #[serde(default)]
    pub license: String,
}

/// A file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// What the pipeline uses it for.
    pub role: String,
    /// BLAKE3 of the content.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// What happens around the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Pipeline {
    /// Tensors in, tensors out.
    Tensors,
    /// Text in, one tensor `embedding` of shape `[hidden]` out: tokenize, run, pool over the tokens.
    TextEmbedding {
        /// Longer inputs are cut to this many tokens.
        max_tokens: u32,
        /// Divide by the Euclidean norm.
        normalize: bool,
        /// How the vectors of the tokens become one.
        #[serde(default, skip_serializing_if = "Pooling::is_default")]
        pooling: Pooling,
    },
    /// A picture in (a tensor of uint8, `[height, width, 1, 3 or 4]`, or on a node an encoded file); class names and
    /// scores out, or the model's tensors.
    Image(Box<ImagePipeline>),
    /// A sound in (a WAV file, or the tensors `samples` of float32 and `rate`), JSON with segments and probabilities out.
    VoiceActivity(VoicePipeline),
    /// Text in (or JSON with options), JSON with text and tokens out, which also come one by one.
    TextGeneration {
        /// The most tokens of prompt and answer together.
        context: u32,
        /// The most new tokens of an answer whose caller names no number.
        max_new_tokens: u32,
        /// Tokens that end an answer.
        #[serde(default)]
        stop: Vec<u32>,
    },
    /// Bytes in, JSON out, through a sandboxed component of the role `plugin`.
    Plugin {
        /// How many bytes from the beginning of the input the plugin may read.
        head: u32,
        /// How many bytes from its end.
        tail: u32,
    },
}

/// A manifest breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Longer than [`MAX_MANIFEST_BYTES`].
    #[error("manifest of {0} bytes is over the limit of {MAX_MANIFEST_BYTES}")]
    TooLarge(usize),
    /// Not the JSON of a manifest.
    #[error("not a model manifest: {0}")]
    Syntax(String),
    /// A field has a value that is not allowed.
    #[error("model manifest: {0}")]
    Invalid(String),
}

impl Manifest {
    /// Reads and checks the stored form.
    ///
    /// # Errors
    /// Too long, not JSON of this shape, or a rule broken.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| ManifestError::Syntax(error.to_string()))?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// The stored form: what [`Manifest::digest`] hashes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest has string keys only")
    }

    /// The model's identity.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_json())
    }

    /// The file with this role.
    pub fn file(&self, role: &str) -> Option<&ModelFile> {
        self.files.iter().find(|file| file.role == role)
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    fn validate(&self) -> Result<(), ManifestError> {
        let invalid = |text: String| Err(ManifestError::Invalid(text));
        if self.format != 1 {
            return invalid(format!("format {} is not known; this build reads format 1", self.format));
        }
        if !is_model_name(&self.name) {
            return invalid(format!(
                "name {:?} must be 1 to {MAX_MODEL_NAME} of a-z, 0-9, '-', '_', '.'",
                self.name.chars().take(80).collect::<String>()
            ));
        }
        if self.files.is_empty() || self.files.len() > MAX_FILES {
            return invalid(format!("{} files; 1 to {MAX_FILES} are allowed", self.files.len()));
        }
        for (index, file) in self.files.iter().enumerate() {
            if !is_model_name(&file.role) {
                return invalid(format!(
                    "role {:?} must be 1 to {MAX_MODEL_NAME} of a-z, 0-9, '-', '_', '.'",
                    file.role.chars().take(80).collect::<String>()
                ));
            }
            if self.files[..index].iter().any(|other| other.role == file.role) {
                return invalid(format!("two files have the role {:?}", file.role));
            }
            if file.size > MAX_FILE_BYTES {
                return invalid(format!("file {:?} of {} bytes is over {MAX_FILE_BYTES}", file.role, file.size));
            }
        }
        let needed: &[&str] = match &self.pipeline {
            Pipeline::Image(image) if image.top.is_some() => &["graph", "labels"],
            Pipeline::Tensors | Pipeline::Image(_) | Pipeline::VoiceActivity(_) | Pipeline::TextGeneration { .. } => {
                &["graph"]
            }
            Pipeline::TextEmbedding { .. } => &["graph", "tokenizer"],
            Pipeline::Plugin { .. } => &["graph", "plugin"],
        };
        for role in needed {
            if self.file(role).is_none() {
                return invalid(format!("the pipeline needs a file with role {role:?}"));
            }
        }
        Ok(())
    }
}

/// Whether `name` may name a model.
pub fn is_model_name(name: &str) -> bool {
    (1..=MAX_MODEL_NAME).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
        && !name.starts_with('.')
}
