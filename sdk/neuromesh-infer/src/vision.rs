//! Pictures to tensors: resize, crop, pad, normalize; and class scores to names.
//!
//! ```text
//! pixels (u8, 1, 3 or 4 channels) ─► resize ─► crop ─► pad ─► normalize ─► [1, 3, height, width]
//! ```
//!
//! Decoding a PNG or JPEG is left to whoever has the file, whose decoders differ in the last bits. From the pixels on, every step is
//! integer arithmetic or one rounded operation: equal pixels give equal tensors on every machine.

mod resize;

pub use self::resize::{Filter, reduce};
use crate::{Data, Tensor};

/// The most pixels of a picture, before and after any step.
pub const MAX_PIXELS: usize = 1 << 24;
/// The longest side, in pixels.
pub const MAX_SIDE: usize = 1 << 15;

/// Why a picture gave no tensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VisionError {
    /// Not height × width × channels bytes, or not 1, 3 or 4 channels.
    #[error(
        "a picture is height x width x 1, 3 or 4 bytes, none of them 0; got {height} x {width} x {channels} and {bytes} bytes"
    )]
    Shape {
        /// Stated height.
        height: usize,
        /// Stated width.
        width: usize,
        /// Stated channels.
        channels: usize,
        /// Bytes given.
        bytes: usize,
    },
    /// Over [`MAX_PIXELS`] or [`MAX_SIDE`], as given or as it would become.
    #[error("a picture of {height} x {width} pixels; at most {MAX_PIXELS} pixels and {MAX_SIDE} on a side are taken")]
    TooLarge {
        /// Its height.
        height: usize,
        /// Its width.
        width: usize,
    },
    /// The steps contradict themselves.
    #[error("image pipeline: {0}")]
    Spec(String),
}

/// A picture of 8-bit RGB, row by row from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// `height * width * 3` bytes.
    pub rgb: Vec<u8>,
}

/// What is done to a picture, in the order of the fields.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSpec {
    /// To which size, if to any.
    pub resize: Option<Resize>,
    /// How pixels are weighed.
    pub filter: Filter,
    /// Cut out of the middle: width and height. What a smaller picture lacks is `fill`.
    pub crop: Option<[usize; 2]>,
    /// Made at least this wide and high, with `fill`.
    pub pad: Option<Pad>,
    /// The value of pixels that are not in the picture.
    pub fill: [u8; 3],
    /// Order of the channels.
    pub channels: Channels,
    /// Each value is `(x / divisor - mean) / std`, rounded after each step.
    pub divisor: f32,
    /// By channel, in the tensor's order.
    pub mean: [f32; 3],
    /// By channel, in the tensor's order.
    pub std: [f32; 3],
    /// Where the channels stand.
    pub layout: Layout,
    /// The tensor has the plain bytes: no division, no mean.
    pub bytes: bool,
}

/// The size of a picture that is resized. Sides are at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// This width and height, whatever becomes of the proportions.
    Exact([usize; 2]),
    /// The shorter side this long; the longer one in proportion, rounded down.
    Shortest(usize),
    /// The longer side this long; the shorter one in proportion, rounded down.
    Longest(usize),
    /// The longer side at most this long, in proportion; then both sides to the nearest multiple of the second number.
    Within(usize, usize),
    /// This height; the width in proportion, rounded up, at most the second number.
    Height(usize, usize),
}

/// Where a picture stands that is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pad {
    /// At least this wide.
    pub width: usize,
    /// At least this high.
    pub height: usize,
    /// In the middle; else at the top left.
    pub centre: bool,
}

/// Order of the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Channels {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first, as OpenCV has them.
    Bgr,
    /// One channel: ITU-R 601 luma, `(299 r + 587 g + 114 b + 500) / 1000` in integers.
    Gray,
}

/// Where the channels stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// `[1, channels, height, width]`.
    #[default]
    Nchw,
    /// `[1, height, width, channels]`.
    Nhwc,
}

impl Picture {
    /// A picture from its pixels: gray, RGB, or RGBA whose alpha is dropped.
    ///
    /// # Errors
    /// [`VisionError::Shape`], [`VisionError::TooLarge`].
    pub fn new(pixels: &[u8], height: usize, width: usize, channels: usize) -> Result<Self, VisionError> {
        check_size(height, width)?;
        let shape = VisionError::Shape { height, width, channels, bytes: pixels.len() };
        let rgb = match channels {
            _ if height * width * channels != pixels.len() || pixels.is_empty() => return Err(shape),
            1 => pixels.iter().flat_map(|&gray| [gray; 3]).collect(),
            3 => pixels.to_vec(),
            4 => pixels.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
            _ => return Err(shape),
        };
        Ok(Self { width, height, rgb })
    }

    /// This part of the picture, `fill` where it reaches beyond.
    fn window(&self, left: isize, top: isize, width: usize, height: usize, fill: [u8; 3]) -> Self {
        let mut rgb = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            let row = top.checked_add_unsigned(y).and_then(|y| usize::try_from(y).ok()).filter(|y| *y < self.height);
            for x in 0..width {
                let column =
                    left.checked_add_unsigned(x).and_then(|x| usize::try_from(x).ok()).filter(|x| *x < self.width);
                let at = row.zip(column).map(|(row, column)| (row * self.width + column) * 3);
                rgb.extend_from_slice(at.map_or(&fill[..], |at| &self.rgb[at..at + 3]));
            }
        }
        Self { width, height, rgb }
    }
}

impl ImageSpec {
    /// Checks what does not depend on a picture.
    ///
    /// # Errors
    /// [`VisionError::Spec`], [`VisionError::TooLarge`].
    pub fn check(&self) -> Result<(), VisionError> {
        let wrong = |text: &str| Err(VisionError::Spec(text.to_owned()));
        if !self.std.iter().chain([&self.divisor]).all(|x| x.is_normal()) || !self.mean.iter().all(|x| x.is_finite()) {
            return wrong("divisor, mean and std must be finite, divisor and std not 0");
        }
        match self.resize {
            Some(Resize::Exact([0, _] | [_, 0]) | Resize::Shortest(0) | Resize::Longest(0)) => wrong("a size of 0"),
            Some(Resize::Within(0, _) | Resize::Within(_, 0) | Resize::Height(0, _) | Resize::Height(_, 0)) => {
                wrong("a size of 0")
            }
            Some(Resize::Exact([width, height])) => check_size(height, width),
            _ => Ok(()),
        }?;
        if let Some([width, height]) = self.crop {
            check_size(height, width)?;
        }
        self.pad.map_or(Ok(()), |pad| check_size(pad.height.max(1), pad.width.max(1)))
    }

    /// The tensor of a picture: `[1, c, h, w]` or `[1, h, w, c]` of float32 or uint8.
    ///
    /// # Errors
    /// [`VisionError`].
    pub fn apply(&self, picture: &Picture) -> Result<Tensor, VisionError> {
        self.check()?;
        let mut picture = match self.resize {
            None => picture.clone(),
            Some(size) => {
                let (width, height) = size.of(picture.width, picture.height);
                check_size(height, width)?;
                resize::resize(picture, width, height, self.filter)
            }
        };
        if let Some([width, height]) = self.crop {
            let (left, top) = (middle(picture.width, width), middle(picture.height, height));
            picture = picture.window(left, top, width, height, self.fill);
        }
        if let Some(pad) = self.pad {
            let (width, height) = (picture.width.max(pad.width), picture.height.max(pad.height));
            check_size(height, width)?;
            let place = |inner: usize, outer: usize| if pad.centre { -((outer - inner) as isize / 2) } else { 0 };
            let (left, top) = (place(picture.width, width), place(picture.height, height));
            picture = picture.window(left, top, width, height, self.fill);
        }
        Ok(self.tensor(&picture))
    }

    fn tensor(&self, picture: &Picture) -> Tensor {
        let (height, width) = (picture.height, picture.width);
        let planes: Vec<Vec<u8>> = match self.channels {
            Channels::Gray => {
                let luma =
                    |p: &[u8]| (299 * u32::from(p[0]) + 587 * u32::from(p[1]) + 114 * u32::from(p[2]) + 500) / 1000;
                vec![picture.rgb.chunks_exact(3).map(|pixel| luma(pixel) as u8).collect()]
            }
            Channels::Rgb => [0, 1, 2].map(|c| picture.rgb.iter().skip(c).step_by(3).copied().collect()).into(),
            Channels::Bgr => [2, 1, 0].map(|c| picture.rgb.iter().skip(c).step_by(3).copied().collect()).into(),
        };
        let count = planes.len();
        let shape = match self.layout {
            Layout::Nchw => vec![1, count, height, width],
            Layout::Nhwc => vec![1, height, width, count],
        };
        if self.bytes {
            return Tensor { shape, data: Data::U8(self.laid_out(&planes)) };
        }
        let planes: Vec<Vec<f32>> = (planes.iter().enumerate())
            .map(|(c, plane)| {
                let value = |x: usize| (x as f32 / self.divisor - self.mean[c]) / self.std[c];
                let table: [f32; 256] = std::array::from_fn(value);
                plane.iter().map(|&x| table[usize::from(x)]).collect()
            })
            .collect();
        Tensor { shape, data: Data::F32(self.laid_out(&planes)) }
    }

    fn laid_out<T: Copy>(&self, planes: &[Vec<T>]) -> Vec<T> {
        match self.layout {
            Layout::Nchw => planes.concat(),
            Layout::Nhwc => (0..planes[0].len()).flat_map(|at| planes.iter().map(move |plane| plane[at])).collect(),
        }
    }
}

impl Resize {
    /// Width and height of a picture that had `width` and `height`.
    fn of(self, width: usize, height: usize) -> (usize, usize) {
        // Sides are below 2^15 and wanted sizes are cut to 2^32: products stay below 2^63.
        let scale = |side: usize, to: usize, from: usize| {
            let scaled = side as u64 * (to as u64).min(1 << 32) / from as u64;
            usize::try_from(scaled).unwrap_or(usize::MAX).max(1)
        };
        let (short, long) = (width.min(height), width.max(height));
        let by = |to: usize, from: usize| {
            let side = |side: usize| if side == from { to } else { scale(side, to, from) };
            (side(width), side(height))
        };
        match self {
            Self::Exact([width, height]) => (width, height),
            Self::Shortest(size) => by(size, short),
            Self::Longest(size) => by(size, long),
            Self::Within(size, multiple) => {
                let (width, height) = if long > size { by(size, long) } else { (width, height) };
                let round =
                    |side: usize| (side.saturating_add(multiple / 2) / multiple).max(1).saturating_mul(multiple);
                (round(width), round(height))
            }
            Self::Height(size, most) => {
                let wide = (width as u64 * (size as u64).min(1 << 32)).div_ceil(height as u64);
                (usize::try_from(wide).unwrap_or(usize::MAX).clamp(1, most), size)
            }
        }
    }
}

/// Where a window of `inner` begins in the middle of `outer`; halves go to the even number.
fn middle(outer: usize, inner: usize) -> isize {
    let twice = outer as isize - inner as isize;
    let down = twice.div_euclid(2);
    if twice.rem_euclid(2) == 1 && down.rem_euclid(2) == 1 { down + 1 } else { down }
}

fn check_size(height: usize, width: usize) -> Result<(), VisionError> {
    if height == 0 || width == 0 {
        return Err(VisionError::Shape { height, width, channels: 3, bytes: 0 });
    }
    if height > MAX_SIDE || width > MAX_SIDE || height * width > MAX_PIXELS {
        return Err(VisionError::TooLarge { height, width });
    }
    Ok(())
}
