//! What is done channel by channel.

use super::{Cpu, dispatch, for_chunks, for_rows, math, rows_at_a_time};

/// Batch normalization as one factor and one summand for each channel: `scale` becomes `scale / sqrt(variance + epsilon)`, and
/// `shift`, which holds the bias, `bias - mean * scale`.
///
/// # Panics
/// When the sizes differ.
pub fn fold_batch_norm(scale: &mut [f32], shift: &mut [f32], mean: &[f32], variance: &[f32], epsilon: f32) {
    let channels = scale.len();
    assert!(
        shift.len() == channels && mean.len() == channels && variance.len() == channels,
        "channels that do not match"
    );
    for (((scale, shift), mean), variance) in scale.iter_mut().zip(shift).zip(mean).zip(variance) {
        *scale /= (variance + epsilon).sqrt();
        *shift -= mean * *scale;
    }
}

/// `x * scale + shift` with one pair for each channel of `x`, which is `[batch, channels, spatial]`.
///
/// # Panics
/// When the sizes do not match.
pub fn scale_channels(
    cpu: &Cpu,
    from: Option<&[f32]>,
    x: &mut [f32],
    spatial: usize,
    (scale, shift): (&[f32], &[f32]),
) {
    assert_eq!(scale.len(), shift.len(), "channels that do not match");
    assert!(x.len().is_multiple_of(scale.len() * spatial), "a tensor of another size than its channels");
    for_rows(cpu, from, x, spatial, |first, x| {
        for (index, x) in x.chunks_exact_mut(spatial).enumerate() {
            let channel = (first + index) % scale.len();
            affine(cpu, x, scale[channel], shift[channel]);
        }
    });
}

/// Local response normalization: how many neighbouring channels, and the numbers of the formula.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Lrn {
    pub size: usize,
    pub alpha: f32,
    pub beta: f32,
    pub bias: f32,
}

/// `x / (bias + alpha / size * sum)^beta` with the sum of the squares of the `size` channels around, in ascending order. `x` is
/// `[batch, channels, spatial]`. The power of 3/4 is `sqrt(s) * sqrt(sqrt(s))`, others are [`math::pow`].
///
/// # Panics
/// When the sizes do not match.
pub fn lrn(cpu: &Cpu, x: &[f32], y: &mut [f32], [channels, spatial]: [usize; 2], lrn: Lrn) {
    assert_eq!(x.len(), y.len(), "an input and an output of different sizes");
    assert!(x.len().is_multiple_of(channels * spatial), "a tensor of another size than its channels");
    let planes = rows_at_a_time(spatial * lrn.size);
    for_chunks(&cpu.threads, y, planes * spatial, |index, y| {
        for (number, y) in y.chunks_exact_mut(spatial).enumerate() {
            let plane = index * planes + number;
            let (batch, channel) = (plane / channels, plane % channels);
            let low = channel.saturating_sub((lrn.size.max(1) - 1) / 2);
            let high = (channel + lrn.size / 2 + 1).min(channels);
            y.fill(0.0);
            for channel in low..high {
                add_squares(cpu, y, &x[(batch * channels + channel) * spatial..][..spatial]);
            }
            divide_by_power(cpu, y, &x[plane * spatial..][..spatial], lrn);
        }
    });
}

dispatch! {
    pub(super) fn affine(cpu: &Cpu, x: &mut [f32], scale: f32, shift: f32) {
        for x in x {
            *x = *x * scale + shift;
        }
    }

    fn add_squares(cpu: &Cpu, sums: &mut [f32], x: &[f32]) {
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum += x * x;
        }
    }

    fn divide_by_power(cpu: &Cpu, sums: &mut [f32], x: &[f32], lrn: Lrn) {
        let alpha = lrn.alpha / lrn.size as f32;
        if lrn.beta == 0.75 {
            for (sum, x) in sums.iter_mut().zip(x) {
                let root = (lrn.bias + alpha * *sum).sqrt();
                *sum = *x / (root * root.sqrt());
            }
        } else {
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = *x / math::pow(lrn.bias + alpha * *sum, lrn.beta);
            }
        }
    }
}
