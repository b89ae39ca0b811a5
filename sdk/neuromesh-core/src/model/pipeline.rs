//! What happens around a model's graph, as manifests declare it.
//!
//! These are descriptions only: the engine checks and executes them.

use serde::{Deserialize, Serialize};

/// A number of a manifest; equal if its bits are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Number(pub f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Number {}

/// How the vectors of tokens become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The mean of all.
    #[default]
    Mean,
    /// The first, `[CLS]`.
    First,
    /// The last.
    Last,
    /// The largest value in each place.
    Max,
}

impl Pooling {
    /// Manifests say nothing about the usual one.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// From a picture to a tensor: resize, crop, pad, then `(x / divisor - mean) / std`; and from scores to names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImagePipeline {
    /// The new size.
    pub resize: Option<ImageSize>,
    /// How pixels are weighed.
    pub filter: ImageFilter,
    /// Width and height that are cut out of the middle.
    pub crop: Option<[u32; 2]>,
    /// Least width and height.
    pub pad: Option<[u32; 2]>,
    /// Whether a padded picture stands in the middle, not at the top left.
    pub centre: bool,
    /// Pixels that are not in the picture.
    pub fill: [u8; 3],
    /// Order of the channels.
    pub channels: ImageChannels,
    /// 255 gives values from 0 to 1.
    pub divisor: Number,
    /// By channel.
    pub mean: [Number; 3],
    /// By channel.
    pub std: [Number; 3],
    /// `[1, channels, height, width]`, or channels last.
    pub layout: ImageLayout,
    /// The tensor has the plain bytes.
    pub bytes: bool,
    /// So many of the best classes are the answer, with their names from the file with role `labels` (one a line, or a JSON
    /// list). Absent: the model's tensors are.
    pub top: Option<u32>,
    /// Whether the scores are logits, of which a softmax makes probabilities.
    pub softmax: bool,
}

impl Default for ImagePipeline {
    fn default() -> Self {
        Self {
            resize: None,
            filter: ImageFilter::default(),
            crop: None,
            pad: None,
            centre: false,
            fill: [0; 3],
            channels: ImageChannels::default(),
            divisor: Number(255.0),
            mean: [Number(0.0); 3],
            std: [Number(1.0); 3],
            layout: ImageLayout::default(),
            bytes: false,
            top: None,
            softmax: false,
        }
    }
}

/// The size of a resized picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageSize {
    /// Width and height.
    Exact([u32; 2]),
    /// The shorter side; the other in proportion.
    Shortest(u32),
    /// The longer side; the other in proportion.
    Longest(u32),
    /// The most that the longer side may have, and of what both are multiples.
    Within([u32; 2]),
    /// The height, and the most that the width in proportion may be.
    Height([u32; 2]),
}

/// How pixels are weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageFilter {
    /// Bilinear, smooth when it shrinks (Pillow's).
    #[default]
    Triangle,
    /// Bicubic, likewise.
    Cubic,
    /// The mean of what is covered.
    Box,
    /// Bilinear between neighbours, also when it shrinks (OpenCV's).
    Linear,
}

/// Order of the channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageChannels {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first.
    Bgr,
    /// Luma only.
    Gray,
}

/// Where the channels stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageLayout {
    /// `[1, channels, height, width]`.
    #[default]
    Nchw,
    /// `[1, height, width, channels]`.
    Nhwc,
}

/// Speech in a sound: windows through a model that remembers, then segments. The defaults are Silero's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VoicePipeline {
    /// Samples per second that the model was made for.
    pub rate: u32,
    /// Samples of a window.
    pub window: u32,
    /// Samples before it that are seen again.
    pub context: u32,
    /// The probability from which on it is speech.
    pub threshold: Number,
    /// Speech that is not longer is left out.
    pub min_speech_ms: u32,
    /// Silence that is shorter belongs to the speech around it.
    pub min_silence_ms: u32,
    /// Segments are widened by this.
    pub pad_ms: u32,
}

impl Default for VoicePipeline {
    fn default() -> Self {
        Self {
            rate: 16_000,
            window: 512,
            context: 64,
            threshold: Number(0.5),
            min_speech_ms: 250,
            min_silence_ms: 100,
            pad_ms: 30,
        }
    }
}
