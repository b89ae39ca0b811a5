//! One text in the making.

use std::sync::Arc;

use super::{GenerationError, Generator, sampler::Sampler, sampler::Sampling};
use crate::{Data, Run, RunOptions, Tensor, kernels::cpu::Numerics};

/// A text in the making, one operator at a time; see [`Run`].
#[derive(Debug)]
pub struct GenerateRun {
    generator: Arc<Generator>,
    sampler: Sampler,
    options: RunOptions,
    run: Run,
    /// How many tokens the model has seen.
    seen: usize,
    most: usize,
    tokens: Vec<u32>,
    finish: Option<Finish>,
    /// Tokens from here to the next number are needed to decode what follows; those after it were not told yet.
    window: (usize, usize),
    text: String,
}

/// Where a [`GenerateRun`] stands after a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// An operator was executed.
    Working,
    /// A token was made; with a tokenizer, the text that it completes: empty while a character is not whole.
    Token(u32, String),
    /// The model ended the text; the beginning of a character that was held back until then, mostly nothing.
    Text(String),
    /// The text is complete.
    Done(Generated),
}

/// A complete answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// The tokens, without the one that ended them.
    pub tokens: Vec<u32>,
    /// Their text; empty without a tokenizer.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model said so.
    Stop,
    /// There are as many tokens as wanted, or as fit.
    Length,
}

impl GenerateRun {
    pub(super) fn new(
        generator: Arc<Generator>,
        prompt: Vec<u32>,
        most: usize,
        sampling: Sampling,
        options: RunOptions,
    ) -> Result<Self, GenerationError> {
        let empty = |shape: &Vec<usize>| Tensor { shape: shape.clone(), data: Data::F32(Vec::new()) };
        let caches = generator.caches.iter().map(|(_, shape)| empty(shape)).collect();
        let run = begin(&generator, &prompt, 0, caches, options.clone())?;
        Ok(Self {
            sampler: Sampler::new(sampling),
            seen: prompt.len(),
            most,
            tokens: Vec::new(),
            finish: None,
            window: (0, 0),
            text: String::new(),
            options,
            run,
            generator,
        })
    }

    /// Executes one operator, or chooses a token.
    ///
    /// # Errors
    /// [`GenerationError::Run`], [`GenerationError::Model`].
    pub fn step(&mut self) -> Result<Progress, GenerationError> {
        if let Some(finish) = self.finish {
            let (tokens, text) = (self.tokens.clone(), self.text.clone());
            return Ok(Progress::Done(Generated { tokens, text, finish }));
        }
        let Some(outputs) = self.run.step()? else {
            return Ok(Progress::Working);
        };
        let mut outputs = outputs.into_iter().map(|(_, tensor)| tensor);
        let token = self.choose(outputs.next())?;
        if self.generator.stop.contains(&token) {
            self.finish = Some(Finish::Stop);
            let text = self.unfinished()?;
            self.text.push_str(&text);
            return Ok(Progress::Text(text));
        }
        self.tokens.push(token);
        if self.tokens.len() == self.most {
            self.finish = Some(Finish::Length);
        } else {
            self.run = begin(&self.generator, &[token], self.seen, outputs.collect(), self.options.clone())?;
            self.seen += 1;
        }
        let mut text = self.decode()?;
        if self.finish.is_some() {
            text.push_str(&self.unfinished()?);
        }
        self.text.push_str(&text);
        Ok(Progress::Token(token, text))
    }

    /// The run of the model over the newest tokens.
    pub fn run_mut(&mut self) -> &mut Run {
        &mut self.run
    }

    /// What its numbers are.
    pub fn numerics(&self) -> Numerics {
        self.run.numerics()
    }

    /// Tokens made, and the most that there can be.
    pub fn progress(&self) -> (usize, usize) {
        (self.tokens.len(), self.most)
    }

    fn choose(&mut self, logits: Option<Tensor>) -> Result<u32, GenerationError> {
        let wrong = |text: &str| GenerationError::Model(text.to_owned());
        let Some(Tensor { shape, data: Data::F32(logits) }) = logits else {
            return Err(wrong("its first output is not float32"));
        };
        let last = match shape[..] {
            [1, length, vocabulary] if length > 0 && vocabulary > 0 => &logits[(length - 1) * vocabulary..],
            _ => return Err(wrong("its first output is not [1, length, vocabulary]")),
        };
        self.sampler.next(last).ok_or_else(|| wrong("no logit is a number"))
    }

    /// The text that the newest token completes.
    fn decode(&mut self) -> Result<String, GenerationError> {
        let Some(tokenizer) = &self.generator.tokenizer else { return Ok(String::new()) };
        let (from, told) = self.window;
        let before = tokenizer.decode(&self.tokens[from..told], true)?;
        let now = tokenizer.decode(&self.tokens[from..], true)?;
        // A character that is not whole is written as U+FFFD until its last byte comes.
        match now.strip_prefix(&before) {
            Some(new) if !new.is_empty() && !new.ends_with('\u{fffd}') => {
                let new = new.to_owned();
                self.window = (told, self.tokens.len());
                Ok(new)
            }
            _ => Ok(String::new()),
        }
    }

    /// What was held back, once nothing can complete it.
    fn unfinished(&mut self) -> Result<String, GenerationError> {
        let Some(tokenizer) = &self.generator.tokenizer else { return Ok(String::new()) };
        let (from, told) = self.window;
        if told == self.tokens.len() {
            return Ok(String::new());
        }
        let before = tokenizer.decode(&self.tokens[from..told], true)?;
        let now = tokenizer.decode(&self.tokens[from..], true)?;
        self.window = (told, self.tokens.len());
        Ok(now.strip_prefix(&before).unwrap_or(&now).to_owned())
    }
}

/// A run of the model over the newest tokens.
fn begin(
    generator: &Generator,
    tokens: &[u32],
    past: usize,
    caches: Vec<Tensor>,
    options: RunOptions,
) -> Result<Run, GenerationError> {
    let row = |values: Vec<i64>| Tensor { shape: vec![1, values.len()], data: Data::I64(values) };
    let total = past + tokens.len();
    let mut inputs = vec![
        ("input_ids".to_owned(), row(tokens.iter().map(|token| i64::from(*token)).collect())),
        ("attention_mask".to_owned(), row(vec![1; total])),
    ];
    if generator.takes_positions {
        inputs.push(("position_ids".to_owned(), row((past..total).map(|place| place as i64).collect())));
    }
    inputs.extend(generator.caches.iter().map(|(name, _)| name.clone()).zip(caches));
    Ok(generator.model.start_with(inputs, options)?)
}
