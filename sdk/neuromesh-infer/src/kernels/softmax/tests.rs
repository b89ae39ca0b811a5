use super::*;
use crate::kernels::cpu::Numerics;
use crate::kernels::elementwise::tests::{bits, random, same_everywhere};

/// The contract, word for word.
fn naive(row: &[f32], kind: Kind) -> Vec<f32> {
    let largest = row.iter().fold(f32::NEG_INFINITY, |a, &b| math::max(a, b));
    let exponentials: Vec<f32> = row.iter().map(|x| math::exp(x - largest)).collect();
    let mut lanes = [0.0; 16];
    exponentials.iter().enumerate().for_each(|(index, e)| lanes[index % 16] += e);
    for width in [8, 4, 2, 1] {
        (0..width).for_each(|lane| lanes[lane] += lanes[lane + width]);
    }
    match kind {
        Kind::Softmax => exponentials.iter().map(|e| e * (1.0 / lanes[0])).collect(),
        Kind::LogSoftmax => row.iter().map(|x| (x - largest) - math::log(lanes[0])).collect(),
    }
}

#[test]
fn rows_are_as_stated() {
    for (count, row) in [(100, 37), (3, 1000), (1, 20_000), (50, 1), (4, 128)] {
        let x = random(count * row, 21, 30.0);
        for kind in [Kind::Softmax, Kind::LogSoftmax] {
            let expected = bits(x.chunks(row).flat_map(|row| naive(row, kind)));
            let found = same_everywhere(|cpu| {
                let mut y = vec![0.0; x.len()];
                softmax(cpu, kind, Some(&x), &mut y, row);
                y
            });
            assert_eq!(found, expected, "{kind:?} of {count} x {row}");
            let in_place = same_everywhere(|cpu| {
                let mut y = x.clone();
                softmax_axis(cpu, kind, &mut y, [count, row, 1]);
                y
            });
            assert_eq!(in_place, expected);
        }
    }
    softmax(&Cpu::new(Numerics::Exact), Kind::Softmax, None, &mut [], 0);
}

#[test]
fn a_middle_axis_sums_in_its_order() {
    let (outer, size, inner) = (3, 19, 300);
    let x = random(outer * size * inner, 22, 20.0);
    for kind in [Kind::Softmax, Kind::LogSoftmax] {
        let found = same_everywhere(|cpu| {
            let mut y = x.clone();
            softmax_axis(cpu, kind, &mut y, [outer, size, inner]);
            y
        });
        for o in 0..outer {
            for i in 0..inner {
                let place = |index| (o * size + index) * inner + i;
                let largest = (0..size).fold(f32::NEG_INFINITY, |a, index| math::max(a, x[place(index)]));
                let sum = (0..size).fold(0.0, |sum, index| sum + math::exp(x[place(index)] - largest));
                for index in 0..size {
                    let shifted = x[place(index)] - largest;
                    let expected = match kind {
                        Kind::Softmax => math::exp(shifted) * (1.0 / sum),
                        Kind::LogSoftmax => shifted - math::log(sum),
                    };
                    assert_eq!(found[place(index)], expected.to_bits());
                }
            }
        }
    }
}

#[test]
fn attention_scales_and_masks() {
    let row = 40;
    let scores = random(row * 12, 23, 40.0);
    let mask: Vec<f32> = (0..row * 3).map(|index| if index % 7 == 3 { f32::NEG_INFINITY } else { 0.25 }).collect();
    let mask_row = |index: usize| &mask[index % 3 * row..][..row];
    let found = same_everywhere(|cpu| {
        let mut y = scores.clone();
        attention_softmax(cpu, &mut y, row, Scores { scale: 0.125, mask: Some(&mask_row) });
        y
    });
    let expected = scores.chunks(row).enumerate().flat_map(|(index, scores)| {
        let masked: Vec<f32> = scores.iter().zip(mask_row(index)).map(|(x, mask)| x * 0.125 + mask).collect();
        naive(&masked, Kind::Softmax)
    });
    assert_eq!(found, bits(expected));
    assert!(found[3] == 0 && f32::from_bits(found[4]) > 0.0);
}

#[test]
fn nan_and_infinity() {
    let cpu = Cpu::new(Numerics::Exact);
    for row in [[1.0, f32::NAN, 3.0], [1.0, f32::INFINITY, 2.0], [f32::NEG_INFINITY; 3]] {
        let mut x = row;
        softmax(&cpu, Kind::Softmax, None, &mut x, 3);
        assert!(x.iter().all(|x| x.is_nan()), "{row:?}");
    }
    let mut x = [f32::NEG_INFINITY, 0.0, -1000.0];
    softmax(&cpu, Kind::Softmax, None, &mut x, 3);
    assert_eq!(x, [0.0, 1.0, 0.0]);
}
