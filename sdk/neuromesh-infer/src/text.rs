//! Text to embeddings: tokenizer, model, pooling.

use std::sync::Arc;

use tokenizers::{PostProcessor, Tokenizer, TruncationParams};

use crate::{Data, Model, Run, RunError, RunOptions, Tensor};

/// The longest text that is looked at, in bytes. Tokenizing is linear but slow, and models read only the beginning.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// The inputs that text models have; each is given if the model asks for it.
const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];

/// Why a text could not be embedded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The tokenizer file is invalid, or the tokenizer refused the text.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// The model is not one that takes tokens and gives a vector per token or per text.
    #[error("the model does not embed text: {0}")]
    Model(String),
    /// The text is longer than [`MAX_TEXT_BYTES`].
    #[error("the text has {length} bytes; at most {limit} are taken")]
    TooLong {
        /// Its length.
        length: usize,
        /// The bound.
        limit: usize,
    },
    /// The model failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Turns text into vectors, such that similar texts lie close together.
#[derive(Debug)]
pub struct Embedder {
    model: Arc<Model>,
    tokenizer: Tokenizer,
    normalize: bool,
}

impl Embedder {
    /// A model with its tokenizer (the contents of `tokenizer.json`). Texts are cut after `max_tokens`, special tokens
    /// included; with `normalize` the vectors have length 1.
    pub fn new(
        model: Arc<Model>,
        tokenizer_json: &[u8],
        max_tokens: usize,
        normalize: bool,
    ) -> Result<Self, TextError> {
        if let Some(other) = model.inputs().iter().find(|spec| !INPUTS.contains(&spec.name.as_str()) && !spec.optional)
        {
            return Err(TextError::Model(format!("it takes an input {:?}", other.name)));
        }
        let mut tokenizer = Tokenizer::from_bytes(tokenizer_json).map_err(tokenizer_error)?;
        let special = tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        if max_tokens <= special {
            let reason = format!("{max_tokens} tokens leave no room beside the {special} special ones");
            return Err(TextError::Tokenizer(reason));
        }
        let truncation = TruncationParams { max_length: max_tokens, ..Default::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(tokenizer_error)?;
        // One text at a time: padding would only be computed to be masked.
        tokenizer.with_padding(None);
        Ok(Self { model, tokenizer, normalize })
    }

    /// The numbers of the text's tokens, as the model sees them.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>, TextError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(TextError::TooLong { length: text.len(), limit: MAX_TEXT_BYTES });
        }
        let encoding = self.tokenizer.encode_fast(text, true).map_err(tokenizer_error)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Tokenizes the text and prepares the run.
    pub fn start(&self, text: &str) -> Result<EmbedRun, TextError> {
        self.start_with(text, RunOptions::default())
    }

    /// The same, with more to choose.
    pub fn start_with(&self, text: &str, options: RunOptions) -> Result<EmbedRun, TextError> {
        let tokens = self.tokens(text)?;
        let count = tokens.len();
        let inputs = self.model.inputs().iter().filter(|spec| INPUTS.contains(&spec.name.as_str()));
        let inputs = inputs.map(|spec| {
            let data = match spec.name.as_str() {
                "input_ids" => tokens.iter().map(|&token| i64::from(token)).collect(),
                "attention_mask" => vec![1; count],
                _ => vec![0; count],
            };
            (spec.name.clone(), Tensor { shape: vec![1, count], data: Data::I64(data) })
        });
        let run = self.model.start_with(inputs.collect(), options)?;
        Ok(EmbedRun { run, normalize: self.normalize })
    }

    /// The text's vector.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>, TextError> {
        let mut run = self.start(text)?;
        loop {
            if let Some(vector) = run.step()? {
                return Ok(vector);
            }
        }
    }
}

/// The embedding of one text in progress; see [`Run`].
#[derive(Debug)]
pub struct EmbedRun {
    run: Run,
    normalize: bool,
}

impl EmbedRun {
    /// Executes one operator. Gives the vector after the last one.
    pub fn step(&mut self) -> Result<Option<Vec<f32>>, TextError> {
        let Some(outputs) = self.run.step()? else {
            return Ok(None);
        };
        let mut vector = pool(outputs)?;
        if self.normalize {
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
            vector.iter_mut().for_each(|x| *x /= length);
        }
        Ok(Some(vector))
    }

    /// The run of the model below.
    pub fn run_mut(&mut self) -> &mut Run {
        &mut self.run
    }

    /// Operators executed, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        self.run.progress()
    }
}

/// The mean over the tokens. All of them count: nothing was padded.
fn pool(outputs: Vec<(String, Tensor)>) -> Result<Vec<f32>, TextError> {
    let wrong = || TextError::Model("its first output is neither [1, tokens, size] nor [1, size] of float32".into());
    match outputs.into_iter().next() {
        Some((_, Tensor { shape, data: Data::F32(data) })) => match shape[..] {
            [1, _] => Ok(data),
            [1, tokens, size] if tokens > 0 && size > 0 => {
                let mut mean = vec![0f32; size];
                for token in data.chunks_exact(size) {
                    mean.iter_mut().zip(token).for_each(|(sum, x)| *sum += x);
                }
                mean.iter_mut().for_each(|sum| *sum /= tokens as f32);
                Ok(mean)
            }
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

fn tokenizer_error(error: tokenizers::Error) -> TextError {
    TextError::Tokenizer(error.to_string())
}
