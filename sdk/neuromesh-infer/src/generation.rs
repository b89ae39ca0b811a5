//! Text made token by token, by a decoder with a cache of keys and values.
//!
//! ```text
//! prompt ─► ids ─► model ─► logits ─► sampler ─► id ─► text as it comes
//!                   ▲ cache ◄──────────────────── │
//!                   └────────────────────────────┘
//! ```
//!
//! The same prompt, options and seed give the same tokens on every machine: the model is exact, the sampler draws from a
//! generator of its own, and its exponentials and sums are the engine's.

mod run;
mod sampler;

use std::sync::Arc;

pub use self::{
    run::{Finish, GenerateRun, Generated, Progress},
    sampler::Sampling,
};
use crate::{
    DataType, IoSpec, Model, RunError, RunOptions,
    graph::Dim,
    text::{Tokenizer, TokenizerError},
};

/// The most tokens of a prompt and its answer together.
pub const MAX_CONTEXT: usize = 1 << 15;
/// The most tokens that end a text.
pub const MAX_STOP: usize = 64;

/// Why there is no text.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GenerationError {
    /// The tokenizer's file or the prompt cannot be used.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The model is no decoder with a cache.
    #[error("the model does not generate text: {0}")]
    Model(String),
    /// The prompt or the options cannot be used.
    #[error("generation: {0}")]
    Options(String),
    /// The model failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// What a caller wants.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateOptions {
    /// The most tokens that are made.
    pub max_new_tokens: usize,
    /// How the next token is chosen.
    pub sampling: Sampling,
}

/// The beginning of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// As text; the model needs a tokenizer.
    Text(String),
    /// As ids.
    Tokens(Vec<u32>),
}

/// A decoder and its tokenizer.
#[derive(Debug)]
pub struct Generator {
    model: Arc<Model>,
    tokenizer: Option<Tokenizer>,
    stop: Vec<u32>,
    context: usize,
    /// Each cache's input and shape without a past.
    caches: Vec<(String, Vec<usize>)>,
    takes_positions: bool,
}

impl Generator {
    /// A model with the inputs `input_ids`, `attention_mask`, perhaps `position_ids`, and caches of float32 whose first
    /// free dimension is the batch and the other one the past; and the outputs `logits` (`[1, length, vocabulary]`) and, in
    /// the same order, the caches for the next token. `context` bounds prompt and answer together; a token of `stop` ends
    /// the answer.
    ///
    /// # Errors
    /// [`GenerationError::Model`], [`GenerationError::Options`], [`GenerationError::Tokenizer`].
    pub fn new(
        model: Arc<Model>,
        tokenizer_json: Option<&[u8]>,
        stop: Vec<u32>,
        context: usize,
    ) -> Result<Self, GenerationError> {
        if !(1..=MAX_CONTEXT).contains(&context) || stop.len() > MAX_STOP {
            let text = format!("1 to {MAX_CONTEXT} tokens of context and at most {MAX_STOP} stop tokens are taken");
            return Err(GenerationError::Options(text));
        }
        let tokenizer = tokenizer_json.map(Tokenizer::from_json).transpose()?;
        let has = |name: &str| model.inputs().iter().any(|input| input.name == name);
        if !has("input_ids") || !has("attention_mask") {
            return Err(GenerationError::Model("it takes no input_ids and attention_mask".into()));
        }
        let known = ["input_ids", "attention_mask", "position_ids"];
        let caches = model.inputs().iter().filter(|input| !known.contains(&input.name.as_str()) && !input.optional);
        let caches: Vec<(String, Vec<usize>)> = caches
            .map(|input| Ok((input.name.clone(), empty_cache(input)?)))
            .collect::<Result<_, GenerationError>>()?;
        if caches.is_empty() || model.outputs().len() != caches.len() + 1 {
            let text = format!("{} caches and {} outputs", caches.len(), model.outputs().len());
            return Err(GenerationError::Model(text + "; wanted are logits and one output for each cache"));
        }
        let takes_positions = has("position_ids");
        Ok(Self { model, tokenizer, stop, context, caches, takes_positions })
    }

    /// Tokenizes the prompt and prepares its run.
    ///
    /// # Errors
    /// [`GenerationError`].
    pub fn start(self: &Arc<Self>, prompt: &Prompt, options: &GenerateOptions) -> Result<GenerateRun, GenerationError> {
        self.start_with(prompt, options, RunOptions::default())
    }

    /// The same, with more to choose for each token's run.
    ///
    /// # Errors
    /// [`GenerationError`].
    pub fn start_with(
        self: &Arc<Self>,
        prompt: &Prompt,
        options: &GenerateOptions,
        run_options: RunOptions,
    ) -> Result<GenerateRun, GenerationError> {
        options.sampling.check()?;
        if options.max_new_tokens == 0 {
            return Err(GenerationError::Options("max_new_tokens must be at least 1".into()));
        }
        let prompt = match (prompt, &self.tokenizer) {
            (Prompt::Tokens(tokens), _) => tokens.clone(),
            (Prompt::Text(text), Some(tokenizer)) => tokenizer.encode(text, usize::MAX)?,
            (Prompt::Text(_), None) => {
                return Err(GenerationError::Options("the model has no tokenizer: give the prompt as tokens".into()));
            }
        };
        let room = self.context.saturating_sub(prompt.len());
        if prompt.is_empty() || room == 0 {
            let text = format!("a prompt of {} tokens; 1 to {} are taken", prompt.len(), self.context - 1);
            return Err(GenerationError::Options(text));
        }
        let most = options.max_new_tokens.min(room);
        GenerateRun::new(Arc::clone(self), prompt, most, options.sampling.clone(), run_options)
    }
}

/// The shape of a cache in which nothing is: the first free dimension is 1, the others 0.
fn empty_cache(input: &IoSpec) -> Result<Vec<usize>, GenerationError> {
    let wrong = || GenerationError::Model(format!("its input {:?} is no cache of float32", input.name));
    let shape = input.shape.as_deref().filter(|_| input.data_type == DataType::F32).ok_or_else(wrong)?;
    let mut free = 0;
    let size = |(index, dim): (usize, &Dim)| match dim {
        Dim::Fixed(size) => *size,
        _ if index == 0 => 1,
        _ => {
            free += 1;
            0
        }
    };
    let empty: Vec<usize> = shape.iter().enumerate().map(size).collect();
    if free == 1 { Ok(empty) } else { Err(wrong()) }
}
