//! Another sample rate.

use super::{AudioError, MAX_SAMPLES, RATES, Sound};

/// Zero crossings of the filter on each side, of the lower one of both rates.
const CROSSINGS: usize = 16;
/// Where the filter cuts, as a share of the lower one of both Nyquist frequencies.
const CUTOFF: f64 = 0.95;
/// The most weights that are kept; over it they are computed as they are needed.
const MAX_WEIGHTS: usize = 1 << 22;

/// The sound at `rate`: a sinc with a Hann window of 16 zero crossings a side, cut at 0.95 of the lower Nyquist frequency.
///
/// Output `n` stands at `n * from / to` of the input, exactly; its weights are computed in float64, divided by their sum,
/// rounded to float32, and the products are added in the order of the samples. Beyond the ends is silence.
///
/// # Errors
/// [`AudioError::Rate`], [`AudioError::TooLong`].
pub fn resample(sound: &Sound, rate: u32) -> Result<Sound, AudioError> {
    if !RATES.contains(&rate) {
        return Err(AudioError::Rate(rate));
    }
    if rate == sound.rate {
        return Ok(sound.clone());
    }
    let common = gcd(rate, sound.rate);
    let (up, down) = ((rate / common) as usize, (sound.rate / common) as usize);
    // At most 2^24 * 192,000.
    let count = (sound.samples.len() * up).div_ceil(down);
    if count > MAX_SAMPLES {
        return Err(AudioError::TooLong(count));
    }
    let filter = Filter::new(up, down);
    let mut phases = vec![None::<Vec<f32>>; up];
    let mut kept = 0;
    let mut samples = Vec::with_capacity(count);
    for n in 0..count {
        let (at, phase) = (n * down / up, n * down % up);
        let sum = match &phases[phase] {
            Some(weights) => filter.sum(&sound.samples, at, weights),
            None => {
                let weights = filter.weights(phase);
                let sum = filter.sum(&sound.samples, at, &weights);
                if kept + weights.len() <= MAX_WEIGHTS {
                    kept += weights.len();
                    phases[phase] = Some(weights);
                }
                sum
            }
        };
        samples.push(sum);
    }
    Ok(Sound { rate, samples })
}

struct Filter {
    up: usize,
    /// Zero crossings a sample.
    step: f64,
    /// Samples on each side.
    reach: usize,
}

impl Filter {
    fn new(up: usize, down: usize) -> Self {
        let step = CUTOFF * (up as f64 / down as f64).min(1.0);
        Self { up, step, reach: (CROSSINGS as f64 / step).ceil() as usize }
    }

    /// The weights of the samples from `at - reach` to `at + reach + 1`.
    fn weights(&self, phase: usize) -> Vec<f32> {
        let offset = phase as f64 / self.up as f64;
        let weight = |index: usize| {
            let x = (index as f64 - self.reach as f64 - offset) * self.step;
            if x.abs() >= CROSSINGS as f64 {
                return 0.0;
            }
            let angle = std::f64::consts::PI * x;
            let sinc = if x == 0.0 { 1.0 } else { libm::sin(angle) / angle };
            sinc * (0.5 + 0.5 * libm::cos(angle / CROSSINGS as f64))
        };
        let weights: Vec<f64> = (0..2 * self.reach + 2).map(weight).collect();
        let sum = weights.iter().fold(0.0, |sum, weight| sum + weight);
        weights.iter().map(|weight| (weight / sum) as f32).collect()
    }

    fn sum(&self, samples: &[f32], at: usize, weights: &[f32]) -> f32 {
        let skipped = self.reach.saturating_sub(at);
        let first = (at + skipped) - self.reach;
        let inside = samples.get(first..).unwrap_or_default();
        inside.iter().zip(&weights[skipped..]).fold(0.0, |sum, (sample, weight)| sum + sample * weight)
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
