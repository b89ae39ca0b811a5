//! The choice of the next token.

use super::GenerationError;
use crate::kernels::math::exp;

/// How the next token is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0: the most probable token, always. Else logits are divided by it before one is drawn.
    pub temperature: f32,
    /// Only so many of the most probable tokens may be drawn; 0: all.
    pub top_k: usize,
    /// Only the most probable tokens that together reach this probability may be drawn.
    pub top_p: f32,
    /// Of the random numbers.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, seed: 0 }
    }
}

impl Sampling {
    pub(super) fn check(&self) -> Result<(), GenerationError> {
        let wrong = |text: String| Err(GenerationError::Options(text));
        // From there on every logit would overflow the quotient, or none would matter.
        if !(self.temperature == 0.0 || (1e-3..=1e3).contains(&self.temperature)) {
            return wrong(format!("a temperature of {} is not 0 or 0.001 to 1000", self.temperature));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return wrong(format!("a top_p of {} is not above 0 and at most 1", self.top_p));
        }
        Ok(())
    }
}

/// Draws tokens; its numbers are SplitMix64's (Steele, Lea, Flood 2014).
#[derive(Debug)]
pub struct Sampler {
    sampling: Sampling,
    state: u64,
}

impl Sampler {
    pub fn new(sampling: Sampling) -> Self {
        Self { state: sampling.seed, sampling }
    }

    /// The next token; of equal logits the one with the lower id is taken first. None where no logit is a number.
    pub fn next(&mut self, logits: &[f32]) -> Option<u32> {
        let known = || logits.iter().enumerate().filter(|(_, logit)| !logit.is_nan());
        let better = |best: (usize, f32), (id, &logit): (usize, &f32)| if logit > best.1 { (id, logit) } else { best };
        let mut all = known();
        let first = all.next().map(|(id, &logit)| (id, logit))?;
        let (best, highest) = all.fold(first, better);
        if self.sampling.temperature == 0.0 || !highest.is_finite() {
            return Some(best as u32);
        }
        let mut tokens: Vec<(usize, f32)> = known().map(|(id, &logit)| (id, logit)).collect();
        tokens.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        if self.sampling.top_k > 0 {
            tokens.truncate(self.sampling.top_k);
        }
        let mut sum = 0f32;
        for (_, share) in &mut tokens {
            *share = exp((*share - highest) / self.sampling.temperature);
            sum += *share;
        }
        let mut reached = 0f32;
        let within = tokens.iter().position(|(_, share)| {
            reached += share;
            reached >= self.sampling.top_p * sum
        });
        let most = within.map_or(tokens.len(), |index| index + 1);
        tokens.truncate(most);
        let total = tokens.iter().fold(0f32, |sum, (_, share)| sum + share);
        // 24 bits: exact in float32, below 1.
        let drawn = (self.random() >> 40) as f32 / (1u32 << 24) as f32 * total;
        let mut reached = 0f32;
        let chosen = tokens.iter().find(|(_, share)| {
            reached += share;
            drawn < reached
        });
        chosen.or(tokens.last()).map(|(id, _)| *id as u32)
    }

    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
