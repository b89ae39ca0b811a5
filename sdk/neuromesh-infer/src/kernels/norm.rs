//! Normalizations. Sums over a row are in 16 lanes (see [`super::reduce`]), means are sums divided by the count, and variances
//! are means of the squared differences from the mean, in a second pass. Each of the steps in the formulas is rounded on its
//! own. Inputs come from `from`, or lie in place if there is none. Nothing here allocates.

use super::cpu::{Cpu, dispatch};
use super::elementwise::{for_chunks, rows_at_a_time};
use super::math;
use super::reduce::{fold, row_sum};
use super::softmax::for_rows;

mod channel;

pub use channel::{Lrn, fold_batch_norm, lrn, scale_channels};

/// Layer normalization of rows: `((x - mean) * (1 / sqrt(variance + epsilon))) * scale + bias`.
///
/// # Panics
/// When `x` is not a whole number of rows, or `from`, `scale` or `bias` has another size than needed.
pub fn layer_norm(
    cpu: &Cpu,
    from: Option<&[f32]>,
    x: &mut [f32],
    row: usize,
    epsilon: f32,
    (scale, bias): (Option<&[f32]>, Option<&[f32]>),
) {
    let fits = |part: Option<&[f32]>| part.is_none_or(|part| part.len() == row);
    assert!(fits(scale) && fits(bias), "a scale or bias of another size than a row");
    for_rows(cpu, from, x, row, |_, x| match (scale, bias) {
        (None, None) => layer_norm_rows(cpu, x, row, epsilon),
        (Some(scale), None) => {
            layer_norm_rows(cpu, x, row, epsilon);
            scale_rows(cpu, x, scale);
        }
        (Some(scale), Some(bias)) => layer_norm_affine(cpu, x, row, epsilon, scale, bias),
        (None, Some(bias)) => {
            layer_norm_rows(cpu, x, row, epsilon);
            shift_rows(cpu, x, bias);
        }
    });
}

/// Root mean square normalization of rows: `(x * (1 / sqrt(mean of squares + epsilon))) * scale`.
///
/// # Panics
/// When `x` is not a whole number of rows, or `from` or `scale` has another size than needed.
pub fn rms_norm(cpu: &Cpu, from: Option<&[f32]>, x: &mut [f32], row: usize, epsilon: f32, scale: Option<&[f32]>) {
    assert!(scale.is_none_or(|scale| scale.len() == row), "a scale of another size than a row");
    for_rows(cpu, from, x, row, |_, x| {
        rms_norm_rows(cpu, x, row, epsilon);
        if let Some(scale) = scale {
            scale_rows(cpu, x, scale);
        }
    });
}

/// Group normalization of `[batch, channels, spatial]`: each of the `groups` of neighbouring channels is a row, normalized as in
/// [`layer_norm`] but with a scale and a bias for each channel. As many groups as channels is instance normalization.
///
/// # Panics
/// When the channels cannot be cut into as many groups, or a size is not what these dimensions ask for.
pub fn group_norm(
    cpu: &Cpu,
    from: Option<&[f32]>,
    x: &mut [f32],
    [channels, spatial]: [usize; 2],
    groups: usize,
    epsilon: f32,
    (scale, bias): (&[f32], &[f32]),
) {
    assert!(groups > 0 && channels.is_multiple_of(groups), "channels that do not make groups");
    assert!(scale.len() == channels && bias.len() == channels, "not one scale and bias for each channel");
    let row = channels / groups * spatial;
    for_rows(cpu, from, x, row, |first, x| {
        layer_norm_rows(cpu, x, row, epsilon);
        for (index, x) in x.chunks_exact_mut(spatial.max(1)).enumerate() {
            let channel = (first * (channels / groups) + index) % channels;
            channel::affine(cpu, x, scale[channel], bias[channel]);
        }
    });
}

/// Which length of a row becomes 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// The sum of absolute values.
    L1,
    /// The square root of the sum of squares.
    L2,
}

/// Divides each row by its length, or by `floor` if that is larger; so a positive `floor` leaves a row of zeros as it is.
///
/// # Panics
/// When `x` is not a whole number of rows, or `from` has another size.
pub fn normalize(cpu: &Cpu, length: Length, from: Option<&[f32]>, x: &mut [f32], row: usize, floor: f32) {
    for_rows(cpu, from, x, row, |_, x| match length {
        Length::L1 => divide_rows(cpu, x, row, floor, |sum, x| sum + x.abs(), |sum| sum),
        Length::L2 => divide_rows(cpu, x, row, floor, |sum, x| sum + x * x, f32::sqrt),
    });
}

/// The mean of a row and the reciprocal of its standard deviation.
#[inline(always)]
pub fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = row_sum(row) / count;
    let squares = |sum: f32, x: f32| {
        let difference = x - mean;
        sum + difference * difference
    };
    let variance = fold(row, 0.0, squares, |a, b| a + b) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

dispatch! {
    fn layer_norm_rows(cpu: &Cpu, x: &mut [f32], row: usize, epsilon: f32) {
        for x in x.chunks_exact_mut(row) {
            let (mean, factor) = moments(x, epsilon);
            for x in x.iter_mut() {
                *x = (*x - mean) * factor;
            }
        }
    }

    fn layer_norm_affine(cpu: &Cpu, x: &mut [f32], row: usize, epsilon: f32, scale: &[f32], bias: &[f32]) {
        for x in x.chunks_exact_mut(row) {
            let (mean, factor) = moments(x, epsilon);
            for ((x, scale), bias) in x.iter_mut().zip(scale).zip(bias) {
                *x = (*x - mean) * factor * *scale + *bias;
            }
        }
    }

    fn rms_norm_rows(cpu: &Cpu, x: &mut [f32], row: usize, epsilon: f32) {
        for x in x.chunks_exact_mut(row) {
            let squares = fold(x, 0.0, |sum, x| sum + x * x, |a, b| a + b);
            let factor = 1.0 / (squares / row as f32 + epsilon).sqrt();
            for x in x.iter_mut() {
                *x *= factor;
            }
        }
    }

    fn scale_rows(cpu: &Cpu, x: &mut [f32], scale: &[f32]) {
        for x in x.chunks_exact_mut(scale.len()) {
            for (x, scale) in x.iter_mut().zip(scale) {
                *x *= *scale;
            }
        }
    }

    fn shift_rows(cpu: &Cpu, x: &mut [f32], bias: &[f32]) {
        for x in x.chunks_exact_mut(bias.len()) {
            for (x, bias) in x.iter_mut().zip(bias) {
                *x += *bias;
            }
        }
    }

    fn divide_rows[F: Fn(f32, f32) -> f32, G: Fn(f32) -> f32](
        cpu: &Cpu, x: &mut [f32], row: usize, floor: f32, step: F, finish: G
    ) {
        for x in x.chunks_exact_mut(row) {
            let length = math::max(finish(fold(x, 0.0, &step, |a, b| a + b)), floor);
            for x in x.iter_mut() {
                *x /= length;
            }
        }
    }
}

#[cfg(test)]
mod tests;
