//! Text to embeddings: tokenizer, model, pooling.

use std::sync::Arc;

use super::{Tokenizer, TokenizerError};
use crate::{Data, Model, Run, RunError, RunOptions, Tensor, kernels::cpu::Numerics};

/// The inputs that text models have; each is given if the model asks for it.
const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];

/// Why a text could not be embedded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The tokenizer file is invalid, or the tokenizer refused the text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The model is not one that takes tokens and gives a vector per token or per text.
    #[error("the model does not embed text: {0}")]
    Model(String),
    /// The model failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// How the vectors of the tokens become one. A model that gives one vector already has done it itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooling {
    /// The mean of all.
    #[default]
    Mean,
    /// The first one: the token `[CLS]` of models in BERT's manner.
    First,
    /// The last one.
    Last,
    /// The largest value in each place.
    Max,
}

/// Turns text into vectors, such that similar texts lie close together.
#[derive(Debug)]
pub struct Embedder {
    model: Arc<Model>,
    tokenizer: Tokenizer,
    max_tokens: usize,
    pooling: Pooling,
    normalize: bool,
}

impl Embedder {
    /// A model with its tokenizer (the contents of `tokenizer.json`). Texts are cut after `max_tokens`, special tokens
    /// included; with `normalize` the vectors have length 1.
    ///
    /// # Errors
    /// [`TextError::Tokenizer`], or [`TextError::Model`] when the model takes other inputs than tokens.
    pub fn new(
        model: Arc<Model>,
        tokenizer_json: &[u8],
        max_tokens: usize,
        pooling: Pooling,
        normalize: bool,
    ) -> Result<Self, TextError> {
        if let Some(other) = model.inputs().iter().find(|spec| !INPUTS.contains(&spec.name.as_str()) && !spec.optional)
        {
            return Err(TextError::Model(format!("it takes an input {:?}", other.name)));
        }
        let tokenizer = Tokenizer::from_json(tokenizer_json)?;
        let special = tokenizer.special_tokens();
        if max_tokens <= special {
            let reason = format!("{max_tokens} tokens leave no room beside the {special} special ones");
            return Err(TokenizerError::Invalid(reason).into());
        }
        Ok(Self { model, tokenizer, max_tokens, pooling, normalize })
    }

    /// The numbers of the text's tokens, as the model sees them.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>, TextError> {
        Ok(self.tokenizer.encode(text, self.max_tokens)?)
    }

    /// Tokenizes the text and prepares the run.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn start(&self, text: &str) -> Result<EmbedRun, TextError> {
        self.start_with(text, RunOptions::default())
    }

    /// Tokenizes the text: what the model takes, by name.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn inputs(&self, text: &str) -> Result<Vec<(String, Tensor)>, TextError> {
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
        Ok(inputs.collect())
    }

    /// The text's vector, from what the model gave for its [`inputs`](Embedder::inputs), wherever that ran.
    ///
    /// # Errors
    /// [`TextError::Model`] when the first output is no vector per token or per text.
    pub fn vector(&self, outputs: Vec<(String, Tensor)>) -> Result<Vec<f32>, TextError> {
        vector(outputs, self.pooling, self.normalize)
    }

    /// The same as [`start`](Embedder::start), with more to choose.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn start_with(&self, text: &str, options: RunOptions) -> Result<EmbedRun, TextError> {
        let run = self.model.start_with(self.inputs(text)?, options)?;
        Ok(EmbedRun { run, pooling: self.pooling, normalize: self.normalize })
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
    pooling: Pooling,
    normalize: bool,
}

impl EmbedRun {
    /// Executes one operator. Gives the vector after the last one.
    pub fn step(&mut self) -> Result<Option<Vec<f32>>, TextError> {
        let Some(outputs) = self.run.step()? else {
            return Ok(None);
        };
        vector(outputs, self.pooling, self.normalize).map(Some)
    }

    /// The run of the model below.
    pub fn run_mut(&mut self) -> &mut Run {
        &mut self.run
    }

    /// What its numbers are.
    pub fn numerics(&self) -> Numerics {
        self.run.numerics()
    }

    /// Operators executed, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        self.run.progress()
    }
}

fn vector(outputs: Vec<(String, Tensor)>, pooling: Pooling, normalize: bool) -> Result<Vec<f32>, TextError> {
    let mut vector = pool(outputs, pooling)?;
    if normalize {
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        vector.iter_mut().for_each(|x| *x /= length);
    }
    Ok(vector)
}

/// One vector from the vectors of the tokens. All of them count: nothing was padded.
fn pool(outputs: Vec<(String, Tensor)>, pooling: Pooling) -> Result<Vec<f32>, TextError> {
    let wrong = || TextError::Model("its first output is neither [1, tokens, size] nor [1, size] of float32".into());
    let Some((_, Tensor { shape, data: Data::F32(mut data) })) = outputs.into_iter().next() else {
        return Err(wrong());
    };
    let (tokens, size) = match shape[..] {
        [1, _] => return Ok(data),
        [1, tokens, size] if tokens > 0 && size > 0 => (tokens, size),
        _ => return Err(wrong()),
    };
    match pooling {
        Pooling::First => data.truncate(size),
        Pooling::Last => drop(data.drain(..(tokens - 1) * size)),
        Pooling::Mean => {
            let mut mean = vec![0f32; size];
            for token in data.chunks_exact(size) {
                mean.iter_mut().zip(token).for_each(|(sum, x)| *sum += x);
            }
            mean.iter_mut().for_each(|sum| *sum /= tokens as f32);
            data = mean;
        }
        Pooling::Max => {
            let mut maximum = data[..size].to_vec();
            for token in data[size..].chunks_exact(size) {
                // NaN wins, as in the engine's own maxima.
                maximum.iter_mut().zip(token).for_each(|(max, x)| {
                    if *x > *max || x.is_nan() {
                        *max = *x;
                    }
                });
            }
            data = maximum;
        }
    }
    Ok(data)
}
