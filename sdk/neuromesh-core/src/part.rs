//! Parts of an answer that is still being made.
//!
//! A decoder makes its answer token by token. Whoever asks for parts gets them in order, each once: joined, they are the text
//! and the tokens of the answer, whoever gave them. A [`Transcript`] holds what was given and keeps that promise when a request
//! moves from one peer to another, which begins from nothing.

use serde::{Deserialize, Serialize};

use crate::{Payload, payload::MAX_PAYLOAD_BYTES};

#[cfg(test)]
mod tests;

/// The most bytes of one part on the wire, counted as [`Part::size`] does.
pub const MAX_PART_BYTES: usize = 16 << 10;

/// A piece of a generated text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Part {
    /// Text that is complete: a character whose bytes come in several tokens is in the part with the last of them.
    pub text: String,
    /// Tokens made.
    pub tokens: Vec<u32>,
}

impl Part {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.tokens.is_empty()
    }

    /// Bytes of the text, and four for each token.
    pub fn size(&self) -> usize {
        self.text.len() + 4 * self.tokens.len()
    }

    /// Joins what comes after it.
    pub fn append(&mut self, next: Part) {
        if self.is_empty() {
            *self = next;
        } else {
            self.text.push_str(&next.text);
            self.tokens.extend_from_slice(&next.tokens);
        }
    }

    /// Takes at most `most` bytes (at least 8) off its front; what is left is empty if all fitted.
    pub fn split_front(&mut self, most: usize) -> Part {
        let most = most.max(8);
        if self.size() <= most {
            return std::mem::take(self);
        }
        let mut end = self.text.len().min(most / 2);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let rest = self.text.split_off(end);
        let left = self.tokens.split_off(self.tokens.len().min((most - end) / 4));
        std::mem::replace(self, Part { text: rest, tokens: left })
    }

    /// What the parts of this answer make up together; `None` where it is no generated text.
    pub fn of_answer(output: &Payload) -> Option<Part> {
        let Payload::Json(text) = output else { return None };
        serde_json::from_str(text).ok()
    }
}

/// A part contradicts what was given before, or the parts are longer than an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another text than the one of which parts were given already")]
pub struct Diverged;

/// How far one try of a request has told its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    text: usize,
    tokens: usize,
}

/// What a caller was given so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript(Part);

impl Transcript {
    /// Whether nothing was given yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A try that stands at `place` told `part`: what of it is new is to be given now.
    ///
    /// # Errors
    /// [`Diverged`]; nothing changed.
    pub fn extend(&mut self, place: &mut Place, part: &Part) -> Result<Part, Diverged> {
        let text = {
            let given = self.0.text.get(place.text..).ok_or(Diverged)?;
            let (known, fresh) = part.text.split_at_checked(given.len().min(part.text.len())).ok_or(Diverged)?;
            if !given.starts_with(known) {
                return Err(Diverged);
            }
            fresh.to_owned()
        };
        let tokens = {
            let given = self.0.tokens.get(place.tokens..).ok_or(Diverged)?;
            let (known, fresh) = part.tokens.split_at(given.len().min(part.tokens.len()));
            if !given.starts_with(known) {
                return Err(Diverged);
            }
            fresh.to_vec()
        };
        let fresh = Part { text, tokens };
        if self.0.size() + fresh.size() > MAX_PAYLOAD_BYTES {
            return Err(Diverged);
        }
        place.text += part.text.len();
        place.tokens += part.tokens.len();
        self.0.append(fresh.clone());
        Ok(fresh)
    }

    /// The answer is there: what of it was not given yet.
    ///
    /// # Errors
    /// [`Diverged`] when the answer does not begin with what was given.
    pub fn complete(&mut self, output: &Payload) -> Result<Part, Diverged> {
        match Part::of_answer(output) {
            Some(whole) if whole.text.len() >= self.0.text.len() && whole.tokens.len() >= self.0.tokens.len() => {
                self.extend(&mut Place::default(), &whole)
            }
            None if self.is_empty() => Ok(Part::default()),
            _ => Err(Diverged),
        }
    }
}
