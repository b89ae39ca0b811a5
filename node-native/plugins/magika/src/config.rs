//! `config.min.json` of a Magika model.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The largest block that a configuration may ask for; bounds what one call reads.
const MAX_BLOCK: usize = 1 << 20;

/// How a Magika model wants its input and how its output reads.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Bytes from the beginning that the model sees.
    pub beg_size: usize,
    /// Bytes from the middle; 0 in every model that this plugin knows.
    pub mid_size: usize,
    /// Bytes from the end.
    pub end_size: usize,
    /// Whether the model sees bytes at fixed offsets; false in every model that this plugin knows.
    pub use_inputs_at_offsets: bool,
    /// The score below which an answer is generic, for labels without a threshold of their own.
    pub medium_confidence_threshold: f64,
    /// Shorter inputs are judged without the model.
    pub min_file_size_for_dl: usize,
    /// The token where there is no byte.
    pub padding_token: i32,
    /// Bytes read from each end before white space is stripped.
    pub block_size: usize,
    /// The label of each output of the model.
    pub target_labels_space: Vec<String>,
    /// Scores that a label needs.
    pub thresholds: BTreeMap<String, f64>,
    /// Labels that are reported as others.
    pub overwrite_map: BTreeMap<String, String>,
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Not a configuration, or of a kind of model that this plugin does not know.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let config: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("file `config` is not Magika's: {error}"))?;
        let known = config.mid_size == 0
            && !config.use_inputs_at_offsets
            && config.block_size <= MAX_BLOCK
            && (1..config.block_size).contains(&config.beg_size)
            && (1..config.block_size).contains(&config.end_size)
            && (1..=config.beg_size).contains(&config.min_file_size_for_dl)
            && !config.target_labels_space.is_empty();
        if known {
            Ok(config)
        } else {
            Err("file `config` describes a kind of Magika model that this plugin does not know; it reads the \
                 beginning and the end of a file (version 3)"
                .into())
        }
    }
}
