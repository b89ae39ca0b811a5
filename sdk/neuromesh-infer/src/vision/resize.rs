//! Resizing in two passes, first along the rows, in integers.

use super::Picture;

/// How the pixels of the source are weighed. Pixel centres lie at halves: output `x` looks at `(x + 0.5) * scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// A triangle, as wide as a pixel of the smaller picture: smooth when it shrinks. Bit for bit Pillow's `BILINEAR`.
    #[default]
    Triangle,
    /// A cubic (a = -0.5), likewise. Bit for bit Pillow's `BICUBIC`.
    Cubic,
    /// The mean of what a pixel covers. Bit for bit Pillow's `BOX`.
    Box,
    /// Between the two nearest pixels in each direction, also when it shrinks: OpenCV's `INTER_LINEAR` up to rounding.
    Linear,
}

/// Bits behind the point of a weight: 8-bit values times the weights of one output stay within 32 bits.
const BITS: u32 = 32 - 8 - 2;

/// The weights of one output.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// The picture in another size; all sizes are above 0.
pub fn resize(picture: &Picture, width: usize, height: usize, filter: Filter) -> Picture {
    let across = along(picture, width, filter);
    down(&across, height, filter)
}

/// Each square of `factor` pixels becomes their mean, halves rounded up; the last squares may be smaller.
///
/// A page shrinks pictures so that would not fit a message; the same is done everywhere.
pub fn reduce(picture: &Picture, factor: usize) -> Picture {
    let factor = factor.max(1);
    let (width, height) = (picture.width.div_ceil(factor), picture.height.div_ceil(factor));
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        let rows = y * factor..((y + 1) * factor).min(picture.height);
        for x in 0..width {
            let columns = x * factor..((x + 1) * factor).min(picture.width);
            let count = (rows.len() * columns.len()) as u64;
            let mut sums = [0u64; 3];
            for row in rows.clone() {
                for column in columns.clone() {
                    let at = (row * picture.width + column) * 3;
                    sums.iter_mut().zip(&picture.rgb[at..at + 3]).for_each(|(sum, x)| *sum += u64::from(*x));
                }
            }
            rgb.extend(sums.map(|sum| ((2 * sum + count) / (2 * count)) as u8));
        }
    }
    Picture { width, height, rgb }
}

fn along(picture: &Picture, width: usize, filter: Filter) -> Picture {
    if width == picture.width {
        return picture.clone();
    }
    let taps = taps(picture.width, width, filter);
    let mut rgb = Vec::with_capacity(width * picture.height * 3);
    for row in picture.rgb.chunks_exact(picture.width * 3) {
        for Taps { first, weights } in &taps {
            let mut sums = [HALF; 3];
            for (pixel, weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += i32::from(*x) * weight);
            }
            rgb.extend(sums.map(to_byte));
        }
    }
    Picture { width, height: picture.height, rgb }
}

fn down(picture: &Picture, height: usize, filter: Filter) -> Picture {
    if height == picture.height {
        return picture.clone();
    }
    let stride = picture.width * 3;
    let mut rgb = Vec::with_capacity(stride * height);
    let mut sums = vec![HALF; stride];
    for Taps { first, weights } in taps(picture.height, height, filter) {
        sums.fill(HALF);
        for (row, weight) in picture.rgb[first * stride..].chunks_exact(stride).zip(&weights) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += i32::from(*x) * weight);
        }
        rgb.extend(sums.iter().map(|sum| to_byte(*sum)));
    }
    Picture { width: picture.width, height, rgb }
}

const HALF: i32 = 1 << (BITS - 1);

fn to_byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

fn taps(from: usize, to: usize, filter: Filter) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    // A filter that shrinks covers as many pixels as become one.
    let wide = if filter == Filter::Linear { 1.0 } else { scale.max(1.0) };
    let support = wide
        * match filter {
            Filter::Triangle | Filter::Linear => 1.0,
            Filter::Cubic => 2.0,
            Filter::Box => 0.5,
        };
    let one = |x: usize| {
        let centre = (x as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from).max(first + 1).min(from);
        let first = first.min(end - 1);
        let weigh = |pixel: usize| filter.weight((pixel as f64 - centre + 0.5) * (1.0 / wide));
        let weights: Vec<f64> = (first..end).map(weigh).collect();
        let sum: f64 = weights.iter().fold(0.0, |sum, weight| sum + weight);
        let fixed = |weight: &f64| {
            let share = if sum == 0.0 { *weight } else { *weight / sum };
            let scaled = share * f64::from(1u32 << BITS);
            (if share < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
        };
        Taps { first, weights: weights.iter().map(fixed).collect() }
    };
    (0..to).map(one).collect()
}

impl Filter {
    fn weight(self, x: f64) -> f64 {
        let distance = x.abs();
        match self {
            Self::Triangle | Self::Linear => (1.0 - distance).max(0.0),
            Self::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
            // Keys' cubic with a = -0.5.
            Self::Cubic if distance < 1.0 => ((-0.5 + 2.0) * distance - (-0.5 + 3.0)) * distance * distance + 1.0,
            Self::Cubic if distance < 2.0 => (((distance - 5.0) * distance + 8.0) * distance - 4.0) * -0.5,
            Self::Cubic => 0.0,
        }
    }
}
