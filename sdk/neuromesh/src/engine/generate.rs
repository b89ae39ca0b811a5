//! Text made token by token.

use std::sync::Arc;

use neuromesh_core::{Part, Payload};
use neuromesh_infer::{
    Model, RunOptions,
    generation::{
        Finish, GenerateOptions, GenerateRun, Generated, GenerationError, Generator, Progress, Prompt, Sampling,
    },
};
use serde::Deserialize;
use serde_json::json;

use super::{JobError, prepared::run_error};

/// A decoder and the length of its answers.
pub(super) struct TextModel {
    generator: Arc<Generator>,
    max_new_tokens: usize,
}

/// What a caller may say instead of a plain prompt.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wishes {
    prompt: Option<String>,
    tokens: Option<Vec<u32>>,
    max_new_tokens: Option<usize>,
    #[serde(default)]
    temperature: f32,
    #[serde(default)]
    top_k: usize,
    #[serde(default = "all")]
    top_p: f32,
    #[serde(default)]
    seed: u64,
}

fn all() -> f32 {
    1.0
}

impl TextModel {
    pub fn new(
        model: Arc<Model>,
        tokenizer: Option<&[u8]>,
        context: u32,
        max_new_tokens: u32,
        stop: &[u32],
    ) -> Result<Self, JobError> {
        let generator = Generator::new(model, tokenizer, stop.to_vec(), context as usize);
        let generator = generator.map_err(|error| JobError::InvalidModel(error.to_string()))?;
        Ok(Self { generator: Arc::new(generator), max_new_tokens: max_new_tokens.max(1) as usize })
    }

    pub fn start(&self, input: Payload, run_options: RunOptions) -> Result<GenerateRun, JobError> {
        let invalid = |text: String| JobError::InvalidInput(text);
        let wishes = match input {
            Payload::Text(prompt) => json!({"prompt": prompt}),
            Payload::Json(text) => serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?,
            _ => return Err(invalid("this model takes text, or JSON with `prompt` or `tokens`".into())),
        };
        let wishes: Wishes = serde_json::from_value(wishes).map_err(|error| invalid(error.to_string()))?;
        let prompt = match (wishes.prompt, wishes.tokens) {
            (Some(prompt), None) => Prompt::Text(prompt),
            (None, Some(tokens)) => Prompt::Tokens(tokens),
            _ => return Err(invalid("one of `prompt` and `tokens` is needed".into())),
        };
        let options = GenerateOptions {
            max_new_tokens: wishes.max_new_tokens.unwrap_or(self.max_new_tokens),
            sampling: Sampling {
                temperature: wishes.temperature,
                top_k: wishes.top_k,
                top_p: wishes.top_p,
                seed: wishes.seed,
            },
        };
        self.generator.start_with(&prompt, &options, run_options).map_err(error)
    }
}

/// One step: the answer once it is complete, and before that the parts as they come.
pub(super) fn step(run: &mut GenerateRun, parts: &mut Part) -> Result<Option<Payload>, JobError> {
    match run.step().map_err(error)? {
        Progress::Working => {}
        Progress::Token(token, text) => parts.append(Part { text, tokens: vec![token] }),
        Progress::Text(text) => parts.append(Part { text, tokens: Vec::new() }),
        Progress::Done(Generated { tokens, text, finish }) => {
            let finish = if finish == Finish::Stop { "stop" } else { "length" };
            return Ok(Some(Payload::Json(json!({"text": text, "tokens": tokens, "finish": finish}).to_string())));
        }
    }
    Ok(None)
}

fn error(error: GenerationError) -> JobError {
    match error {
        GenerationError::Run(error) => run_error(error),
        GenerationError::Model(text) => JobError::Failed(text),
        error => JobError::InvalidInput(error.to_string()),
    }
}
