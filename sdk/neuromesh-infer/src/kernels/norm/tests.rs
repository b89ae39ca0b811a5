use super::*;
use crate::kernels::cpu::Numerics;
use crate::kernels::elementwise::tests::{bits, random, same_everywhere};

/// The sum in 16 lanes, word for word.
fn sum(values: impl IntoIterator<Item = f32>) -> f32 {
    let mut lanes = [0.0; 16];
    values.into_iter().enumerate().for_each(|(index, x)| lanes[index % 16] += x);
    for width in [8, 4, 2, 1] {
        (0..width).for_each(|lane| lanes[lane] += lanes[lane + width]);
    }
    lanes[0]
}

fn centred(row: &[f32], epsilon: f32) -> Vec<f32> {
    let count = row.len() as f32;
    let mean = sum(row.iter().copied()) / count;
    let variance = sum(row.iter().map(|x| (x - mean) * (x - mean))) / count;
    row.iter().map(|x| (x - mean) * (1.0 / (variance + epsilon).sqrt())).collect()
}

#[test]
fn layer_norm_is_as_stated() {
    for (count, row) in [(90, 384), (5, 7), (1, 30_000), (3, 1)] {
        let (x, scale, bias) = (random(count * row, 31, 4.0), random(row, 32, 2.0), random(row, 33, 2.0));
        for (scale, bias) in
            [(None, None), (Some(&scale[..]), None), (None, Some(&bias[..])), (Some(&scale[..]), Some(&bias[..]))]
        {
            let found = same_everywhere(|cpu| {
                let mut y = vec![0.0; x.len()];
                layer_norm(cpu, Some(&x), &mut y, row, 1e-5, (scale, bias));
                y
            });
            let expected = x.chunks(row).flat_map(|row| centred(row, 1e-5)).enumerate().map(|(index, x)| {
                let x = scale.map_or(x, |scale| x * scale[index % row]);
                bias.map_or(x, |bias| x + bias[index % row])
            });
            assert_eq!(found, bits(expected), "{count} x {row}");
        }
    }
}

#[test]
fn rms_norm_is_as_stated() {
    let row = 70;
    let (x, scale) = (random(row * 9, 34, 4.0), random(row, 35, 2.0));
    let found = same_everywhere(|cpu| {
        let mut y = x.clone();
        rms_norm(cpu, None, &mut y, row, 1e-6, Some(&scale));
        y
    });
    let expected = x.chunks(row).flat_map(|x| {
        let factor = 1.0 / (sum(x.iter().map(|x| x * x)) / row as f32 + 1e-6).sqrt();
        x.iter().zip(&scale).map(move |(x, scale)| x * factor * scale)
    });
    assert_eq!(found, bits(expected));
}

#[test]
fn group_norm_is_layer_norm_with_channels() {
    let (batch, channels, spatial) = (2, 6, 35);
    let (x, scale, bias) =
        (random(batch * channels * spatial, 36, 4.0), random(channels, 37, 2.0), random(channels, 38, 2.0));
    for groups in [1, 2, 3, 6] {
        let found = same_everywhere(|cpu| {
            let mut y = vec![0.0; x.len()];
            group_norm(cpu, Some(&x), &mut y, [channels, spatial], groups, 1e-5, (&scale, &bias));
            y
        });
        let rows = x.chunks(channels / groups * spatial).flat_map(|row| centred(row, 1e-5));
        let expected = rows.enumerate().map(|(index, x)| {
            let channel = index / spatial % channels;
            x * scale[channel] + bias[channel]
        });
        assert_eq!(found, bits(expected), "{groups} groups");
    }
}

#[test]
fn batch_norm_is_a_factor_and_a_summand() {
    let (mut scale, mut shift) = ([2.0, 3.0], [1.0, -1.0]);
    fold_batch_norm(&mut scale, &mut shift, &[0.5, 1.0], &[3.0, 8.0], 1.0);
    assert_eq!((scale, shift), ([1.0, 1.0], [0.5, -2.0]));
    let x = random(2 * 2 * 9001, 39, 3.0);
    let found = same_everywhere(|cpu| {
        let mut y = x.clone();
        scale_channels(cpu, None, &mut y, 9001, (&[1.5, -2.0], &shift));
        y
    });
    let expected =
        x.iter().enumerate().map(|(index, x)| if index / 9001 % 2 == 0 { x * 1.5 + 0.5 } else { x * -2.0 + -2.0 });
    assert_eq!(found, bits(expected));
}

#[test]
fn rows_of_length_one() {
    let row = 50;
    let mut x = random(row * 4, 40, 3.0);
    x[..row].fill(0.0);
    for (length, f) in [(Length::L1, f32::abs as fn(f32) -> f32), (Length::L2, |x| x * x)] {
        let found = same_everywhere(|cpu| {
            let mut y = x.clone();
            normalize(cpu, length, None, &mut y, row, 1e-12);
            y
        });
        let expected = x.chunks(row).flat_map(|x| {
            let total = sum(x.iter().map(|&x| f(x)));
            let total = if length == Length::L2 { total.sqrt() } else { total };
            x.iter().map(move |x| x / total.max(1e-12))
        });
        assert_eq!(found, bits(expected));
    }
}

#[test]
fn local_response() {
    let (batch, channels, spatial) = (2, 7, 40);
    let x = random(batch * channels * spatial, 41, 6.0);
    for (size, beta) in [(5, 0.75), (4, 0.6), (1, 0.75)] {
        let parameters = Lrn { size, alpha: 0.3, beta, bias: 1.5 };
        let found = same_everywhere(|cpu| {
            let mut y = vec![0.0; x.len()];
            lrn(cpu, &x, &mut y, [channels, spatial], parameters);
            y
        });
        for (index, found) in found.into_iter().map(f32::from_bits).enumerate() {
            let (plane, place) = (index / spatial, index % spatial);
            let (batch, channel) = (plane / channels, (plane % channels) as isize);
            let window = channel - (size as isize - 1) / 2..=channel + size as isize / 2;
            let squares = window.filter(|channel| (0..channels as isize).contains(channel)).map(|channel| {
                let x = f64::from(x[(batch * channels + channel as usize) * spatial + place]);
                x * x
            });
            let power = (1.5 + f64::from(0.3f32) / size as f64 * squares.sum::<f64>()).powf(f64::from(beta));
            let expected = f64::from(x[index]) / power;
            assert!((f64::from(found) - expected).abs() <= 1e-6 * expected.abs(), "{found}, not {expected}");
        }
    }
}

#[test]
#[should_panic(expected = "not made of rows")]
fn a_part_of_a_row_is_refused() {
    layer_norm(&Cpu::new(Numerics::Exact), None, &mut [0.0; 7], 3, 0.0, (None, None));
}
