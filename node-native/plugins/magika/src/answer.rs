//! What the model's scores mean.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Config;

const EMPTY: &str = "empty";
const TXT: &str = "txt";
const UNDEFINED: &str = "undefined";
const UNKNOWN: &str = "unknown";

/// `content_types_kb.min.json`: every label with what is known about it.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct ContentTypes(BTreeMap<String, ContentType>);

/// What is known about a label.
#[derive(Clone, Debug, Deserialize)]
pub struct ContentType {
    mime_type: Option<String>,
    group: Option<String>,
    description: Option<String>,
    extensions: Vec<String>,
    is_text: bool,
}

/// The type of an input.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer<'a> {
    /// The type's short name: `python`, `pdf`, `txt`, `unknown` …
    pub label: &'a str,
    /// Its family: `code`, `document`, `image` …
    pub group: &'a str,
    /// Its media type.
    pub mime_type: &'a str,
    /// For people.
    pub description: &'a str,
    /// The model's score of its own label, 1 where the model was not asked.
    pub score: f64,
    /// Whether people can read such content as text.
    pub is_text: bool,
    /// Customary file name extensions.
    pub extensions: &'a [String],
    /// What the model said before thresholds and overwriting; `undefined` where it was not asked.
    pub model_label: &'a str,
    /// Why `label` is not `model_label`: `none`, `low_confidence`, `overwrite_map`.
    pub overwrite_reason: &'static str,
}

impl ContentTypes {
    /// Reads the list.
    ///
    /// # Errors
    /// Not such a list.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("file `labels` is not Magika's content types: {error}"))
    }

    fn get(&self, label: &str) -> Result<(&str, &ContentType), String> {
        let (label, info) = self.0.get_key_value(label).ok_or_else(|| format!("file `labels` lacks {label:?}"))?;
        Ok((label, info))
    }
}

impl<'a> Answer<'a> {
    /// The answer for an input of no bytes.
    ///
    /// # Errors
    /// The list lacks the label.
    pub fn empty(types: &'a ContentTypes) -> Result<Self, String> {
        Self::new(types, EMPTY, UNDEFINED, 1.0, "none")
    }

    /// The answer for an input too short for the model, by its first block.
    ///
    /// # Errors
    /// The list lacks the label.
    pub fn from_few_bytes(bytes: &[u8], types: &'a ContentTypes) -> Result<Self, String> {
        let label = if std::str::from_utf8(bytes).is_ok() { TXT } else { UNKNOWN };
        Self::new(types, label, UNDEFINED, 1.0, "none")
    }

    /// The answer for the model's scores, one per label of the configuration.
    ///
    /// # Errors
    /// Not as many scores as labels, or the list lacks a label.
    pub fn from_scores(scores: &[f32], config: &Config, types: &'a ContentTypes) -> Result<Self, String> {
        if scores.len() != config.target_labels_space.len() {
            let (got, expected) = (scores.len(), config.target_labels_space.len());
            return Err(format!("the model gave {got} scores, the configuration has {expected} labels"));
        }
        // Like Python's max(): the first of equals.
        let best = (1..scores.len()).fold(0, |best, index| if scores[index] > scores[best] { index } else { best });
        let (said, score) = (config.target_labels_space[best].as_str(), f64::from(scores[best]));
        let overwritten = config.overwrite_map.get(said).map_or(said, String::as_str);
        let needed = config.thresholds.get(said).copied().unwrap_or(config.medium_confidence_threshold);
        if score >= needed {
            let reason = if overwritten == said { "none" } else { "overwrite_map" };
            return Self::new(types, overwritten, said, score, reason);
        }
        // Not sure of the type, but text or not is told reliably.
        let generic = if types.get(overwritten)?.1.is_text { TXT } else { UNKNOWN };
        Self::new(types, generic, said, score, if generic == said { "none" } else { "low_confidence" })
    }

    fn new(
        types: &'a ContentTypes,
        label: &str,
        model_label: &str,
        score: f64,
        overwrite_reason: &'static str,
    ) -> Result<Self, String> {
        let (label, info) = types.get(label)?;
        let (model_label, _) = types.get(model_label)?;
        let any_mime = if info.is_text { "text/plain" } else { "application/octet-stream" };
        Ok(Self {
            label,
            group: info.group.as_deref().unwrap_or(UNKNOWN),
            mime_type: info.mime_type.as_deref().unwrap_or(any_mime),
            description: info.description.as_deref().unwrap_or(label),
            score,
            is_text: info.is_text,
            extensions: &info.extensions,
            model_label,
            overwrite_reason,
        })
    }
}
