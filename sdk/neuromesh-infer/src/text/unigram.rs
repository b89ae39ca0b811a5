//! Unigram: of all ways to cut a text into tokens the most probable one (Kudo 2018), by Viterbi's algorithm.

use super::{
    TokenizerError,
    vocabulary::{Hash, Vocabulary},
};

/// What an unknown character costs beyond the least probable token, as SentencePiece has it.
const UNKNOWN_PENALTY: f64 = 10.0;
/// The longest token, in bytes: time grows with it.
const MAX_PIECE: usize = 512;

#[derive(Debug)]
pub struct Unigram {
    unknown: Option<u32>,
    unknown_score: f64,
    longest: usize,
    bytes: Option<Vec<Option<u32>>>,
}

#[derive(Clone, Copy)]
struct Best {
    score: f64,
    start: usize,
    id: Option<u32>,
}

impl Unigram {
    pub fn new(vocabulary: &Vocabulary, unknown: Option<u32>, byte_fallback: bool) -> Result<Self, TokenizerError> {
        let invalid = |text: String| Err(TokenizerError::Invalid(text));
        if vocabulary.scores.len() != vocabulary.len() {
            return invalid("a Unigram vocabulary is a list of [token, score]".into());
        }
        if unknown.is_some_and(|id| id as usize >= vocabulary.len()) {
            return invalid("unk_id is not in the vocabulary".into());
        }
        if vocabulary.scores.iter().any(|score| !score.is_finite()) {
            return invalid("a score is not a finite number".into());
        }
        let tokens = (0..vocabulary.len() as u32).filter_map(|id| vocabulary.token(id));
        let longest = tokens.map(str::len).max().unwrap_or(0);
        if longest > MAX_PIECE {
            return Err(TokenizerError::Unsupported(format!("a token of {longest} bytes; at most {MAX_PIECE}")));
        }
        let lowest = vocabulary.scores.iter().copied().fold(f64::INFINITY, f64::min);
        let bytes = (0..=255u8).map(|byte| vocabulary.get(&format!("<0x{byte:02X}>"))).collect();
        let bytes = byte_fallback.then_some(bytes);
        Ok(Self { unknown, unknown_score: lowest - UNKNOWN_PENALTY, longest, bytes })
    }

    pub fn encode(&self, vocabulary: &Vocabulary, text: &str, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        let mut best = vec![None::<Best>; text.len() + 1];
        let better = |place: &mut Option<Best>, new: Best| {
            if place.is_none_or(|old| new.score > old.score) {
                *place = Some(new);
            }
        };
        for (start, c) in text.char_indices() {
            let here = if start == 0 { 0.0 } else { best[start].map_or(0.0, |best| best.score) };
            let one = start + c.len_utf8();
            let mut hash = Hash::new();
            let mut alone = false;
            for (at, c) in text[start..].char_indices() {
                let end = start + at + c.len_utf8();
                if end - start > self.longest {
                    break;
                }
                hash = hash.add(&text[start + at..end]);
                if let Some(id) = vocabulary.find(hash, "", &text[start..end]) {
                    better(&mut best[end], Best { score: vocabulary.scores[id as usize] + here, start, id: Some(id) });
                    alone |= end == one;
                }
            }
            if !alone {
                if self.unknown.is_none() {
                    return Err(TokenizerError::Unknown(c));
                }
                better(&mut best[one], Best { score: self.unknown_score + here, start, id: self.unknown });
            }
        }
        let mut path = Vec::new();
        let mut end = text.len();
        while let Some(step) = best[end].filter(|_| end > 0) {
            path.push((step.start, end, step.id));
            end = step.start;
        }
        path.reverse();
        let mut at = 0;
        while let Some(&(start, mut end, id)) = path.get(at) {
            at += 1;
            if let Some(id) = id.filter(|_| id != self.unknown) {
                ids.push(id);
                continue;
            }
            // Neighbours that are unknown are one token, or all of their bytes.
            while let Some(&(_, next, _)) = path.get(at).filter(|(_, _, id)| *id == self.unknown) {
                end = next;
                at += 1;
            }
            self.unknown(vocabulary, &text[start..end], ids);
        }
        Ok(())
    }

    fn unknown(&self, vocabulary: &Vocabulary, text: &str, ids: &mut Vec<u32>) {
        let bytes = || {
            let table = self.bytes.as_ref()?;
            text.bytes().map(|byte| table[usize::from(byte)]).collect::<Option<Vec<u32>>>()
        };
        match vocabulary.get(text) {
            Some(id) => ids.push(id),
            None => match bytes() {
                Some(bytes) => ids.extend(bytes),
                None => ids.extend(self.unknown),
            },
        }
    }
}
