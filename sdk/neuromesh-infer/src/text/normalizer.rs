//! What is done to a text before it is cut.

use std::borrow::Cow;

use serde_json::Value;
use unicode_normalization_alignments::{UnicodeNormalization, char::is_combining_mark};

use super::{
    TokenizerError,
    classes::{is_control, is_ideograph, is_nonspacing_mark},
    file::{kind, parts, switch, text, unsupported},
};

/// The most bytes that a text may have become.
const MAX_NORMALIZED: usize = 32 << 20;

/// One step; a file's normalizer is a list of them.
#[derive(Debug)]
pub enum Normalizer {
    Bert {
        clean: bool,
        ideographs: bool,
        accents: bool,
        lowercase: bool,
    },
    Lowercase,
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    Prepend(String),
    Replace(String, String),
    /// Runs of at least two spaces.
    Spaces(String),
    Strip {
        left: bool,
        right: bool,
    },
    StripAccents,
}

impl Normalizer {
    /// Reads the part `normalizer` of a file.
    pub fn read(part: &Value) -> Result<Vec<Self>, TokenizerError> {
        let step = match kind(part) {
            None if part.is_null() => return Ok(Vec::new()),
            Some("Sequence") => {
                let steps: Result<Vec<_>, _> = parts(part, "normalizers")?.iter().map(Self::read).collect();
                return Ok(steps?.into_iter().flatten().collect());
            }
            Some("BertNormalizer") => {
                let lowercase = switch(part, "lowercase", true);
                Self::Bert {
                    clean: switch(part, "clean_text", true),
                    ideographs: switch(part, "handle_chinese_chars", true),
                    accents: switch(part, "strip_accents", lowercase),
                    lowercase,
                }
            }
            Some("Lowercase") => Self::Lowercase,
            Some("NFC") => Self::Nfc,
            Some("NFD") => Self::Nfd,
            Some("NFKC") => Self::Nfkc,
            Some("NFKD") => Self::Nfkd,
            Some("Prepend") => Self::Prepend(text(part, "prepend")?.to_owned()),
            Some("Replace") => Self::replace(part)?,
            Some("Strip") => {
                Self::Strip { left: switch(part, "strip_left", true), right: switch(part, "strip_right", true) }
            }
            Some("StripAccents") => Self::StripAccents,
            _ => return unsupported("the normalizer", part),
        };
        Ok(vec![step])
    }

    fn replace(part: &Value) -> Result<Self, TokenizerError> {
        let content = text(part, "content")?.to_owned();
        let pattern = |name: &str| part.get("pattern").and_then(|pattern| pattern.get(name)).and_then(Value::as_str);
        match (pattern("String"), pattern("Regex")) {
            (Some(pattern), _) if !pattern.is_empty() => Ok(Self::Replace(pattern.to_owned(), content)),
            (None, Some(" {2,}")) => Ok(Self::Spaces(content)),
            (pattern, regex) => {
                let pattern = regex.or(pattern).unwrap_or_default();
                Err(TokenizerError::Unsupported(format!("the normalizer Replace of {pattern:?}")))
            }
        }
    }

    /// The text after all `steps`.
    pub fn apply<'a>(steps: &[Self], text: &'a str) -> Result<Cow<'a, str>, TokenizerError> {
        let mut text = Cow::Borrowed(text);
        for step in steps {
            text = Cow::Owned(step.one(&text)?);
        }
        Ok(text)
    }

    fn one(&self, text: &str) -> Result<String, TokenizerError> {
        Ok(match self {
            Self::Bert { clean, ideographs, accents, lowercase } => {
                bert(text, *clean, *ideographs, *accents, *lowercase)
            }
            Self::Lowercase => text.chars().flat_map(char::to_lowercase).collect(),
            Self::Nfc => text.nfc().map(|(c, _)| c).collect(),
            Self::Nfd => text.nfd().map(|(c, _)| c).collect(),
            Self::Nfkc => text.nfkc().map(|(c, _)| c).collect(),
            Self::Nfkd => text.nfkd().map(|(c, _)| c).collect(),
            Self::Prepend(_) if text.is_empty() => String::new(),
            Self::Prepend(prefix) => {
                bounded(text.len().saturating_add(prefix.len()))?;
                prefix.clone() + text
            }
            Self::Replace(pattern, content) => {
                let times = text.matches(pattern.as_str()).count();
                bounded(text.len().saturating_add(times.saturating_mul(content.len())))?;
                text.replace(pattern.as_str(), content)
            }
            Self::Spaces(content) => {
                bounded(text.len().saturating_add((text.len() / 2).saturating_mul(content.len())))?;
                spaces(text, content)
            }
            Self::Strip { left, right } => {
                let text = if *left { text.trim_start() } else { text };
                if *right { text.trim_end() } else { text }.to_owned()
            }
            Self::StripAccents => text.chars().filter(|c| !is_combining_mark(*c)).collect(),
        })
    }
}

/// Fails before a text is made that is too long.
fn bounded(length: usize) -> Result<(), TokenizerError> {
    if length > MAX_NORMALIZED {
        return Err(TokenizerError::TooLong { length, limit: MAX_NORMALIZED });
    }
    Ok(())
}

fn bert(text: &str, clean: bool, ideographs: bool, accents: bool, lowercase: bool) -> String {
    let kept = text.chars().filter(|&c| !clean || !(c == '\0' || c == '\u{fffd}' || is_control(c)));
    let spaced = kept.map(|c| if clean && c.is_whitespace() { ' ' } else { c });
    let mut out = String::with_capacity(text.len());
    let mut push = |c: char| {
        if lowercase {
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
    };
    let words = spaced.flat_map(|c| {
        let alone = (ideographs && is_ideograph(c)).then_some(' ');
        alone.into_iter().chain([c]).chain(alone)
    });
    if accents {
        words.nfd().map(|(c, _)| c).filter(|c| !is_nonspacing_mark(*c)).for_each(&mut push);
    } else {
        words.for_each(&mut push);
    }
    out
}

/// Each run of at least two spaces becomes `content`.
fn spaces(text: &str, content: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("  ") {
        out.push_str(&rest[..start]);
        out.push_str(content);
        rest = rest[start..].trim_start_matches(' ');
    }
    out + rest
}
