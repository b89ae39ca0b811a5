//! Sound to tensors: WAV, one channel, another sample rate; and speech found in it.
//!
//! ```text
//! WAV bytes ─► samples (f32, one channel) ─► resampled ─► windows with context and state ─► probabilities ─► segments
//! ```
//!
//! Every step is written here, so that equal bytes give equal segments on every machine. Formats with losses (MP3, Opus)
//! are for the platform to decode: a page passes what its `AudioBuffer` holds.

mod resample;
mod voice;
mod wav;

pub use self::{
    resample::resample,
    voice::{Segment, Voice, VoiceDetector, VoiceRun, VoiceSpec, segments},
    wav::read_wav,
};
use crate::RunError;

/// The most samples of a sound, before and after resampling.
pub const MAX_SAMPLES: usize = 1 << 24;
/// The lowest and highest sample rate, in Hertz.
pub const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;

/// A sound of one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    /// Samples per second.
    pub rate: u32,
    /// From -1 to 1.
    pub samples: Vec<f32>,
}

/// Why a sound could not be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// Not a WAV file that is known here.
    #[error("WAV: {0}")]
    Wav(&'static str),
    /// A sample rate outside of [`RATES`].
    #[error("{0} samples a second; 4,000 to 192,000 are taken")]
    Rate(u32),
    /// Over [`MAX_SAMPLES`], as given or as it would become.
    #[error("{0} samples; at most {MAX_SAMPLES} are taken")]
    TooLong(usize),
    /// A sample is infinite or no number.
    #[error("sample {0} is not a finite number")]
    NotFinite(usize),
    /// The model does not detect voices as described, or the description contradicts itself.
    #[error("voice activity: {0}")]
    Model(String),
    /// The model failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Sound {
    /// A checked sound.
    ///
    /// # Errors
    /// [`AudioError::Rate`], [`AudioError::TooLong`], [`AudioError::NotFinite`].
    pub fn new(rate: u32, samples: Vec<f32>) -> Result<Self, AudioError> {
        if !RATES.contains(&rate) {
            return Err(AudioError::Rate(rate));
        }
        if samples.len() > MAX_SAMPLES {
            return Err(AudioError::TooLong(samples.len()));
        }
        match samples.iter().position(|sample| !sample.is_finite()) {
            Some(at) => Err(AudioError::NotFinite(at)),
            None => Ok(Self { rate, samples }),
        }
    }
}
