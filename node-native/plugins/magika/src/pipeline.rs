//! From an input to its answer.

use crate::{Answer, Config, ContentTypes, Features};

/// What the pipeline needs of the host.
pub trait Host {
    /// The input's length in bytes.
    fn size(&self) -> u64;

    /// Exactly `len` bytes of the input from `offset`.
    ///
    /// # Errors
    /// They are not at hand.
    fn read(&self, offset: u64, len: u32) -> Result<Vec<u8>, String>;

    /// The model's file with this role.
    ///
    /// # Errors
    /// There is none.
    fn file(&self, role: &str) -> Result<Vec<u8>, String>;

    /// Runs the model on one row of tokens and returns one row of scores.
    ///
    /// # Errors
    /// The model failed.
    fn scores(&self, tokens: Vec<i32>) -> Result<Vec<f32>, String>;
}

/// The type of the host's input, as JSON.
///
/// # Errors
/// A file is missing or is not Magika's, the input's ends are not at hand, or the model failed.
pub fn detect(host: &impl Host) -> Result<String, String> {
    let types = ContentTypes::from_json(&host.file("labels")?)?;
    let config = Config::from_json(&host.file("config")?)?;
    let answer = answer(host, &config, &types)?;
    serde_json::to_string(&answer).map_err(|error| error.to_string())
}

fn answer<'a>(host: &impl Host, config: &Config, types: &'a ContentTypes) -> Result<Answer<'a>, String> {
    let len = host.size();
    if len == 0 {
        return Answer::empty(types);
    }
    let block = len.min(config.block_size as u64);
    let read = |offset| {
        let size = u32::try_from(block).map_err(|_| "block too large".to_owned())?;
        let bytes = host.read(offset, size)?;
        if bytes.len() as u64 == block { Ok(bytes) } else { Err("the host read another length".to_owned()) }
    };
    let first = read(0)?;
    if len < config.min_file_size_for_dl as u64 {
        return Answer::from_few_bytes(&first, types);
    }
    let features = Features::new(&first, &read(len - block)?, config);
    if !features.meaningful(config) {
        return Answer::from_few_bytes(&first, types);
    }
    Answer::from_scores(&host.scores(features.into_tokens())?, config, types)
}

#[cfg(test)]
mod tests;
