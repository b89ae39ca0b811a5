use super::*;
use crate::kernels::cpu::Numerics;
use crate::kernels::elementwise::tests::{bits, random, same_everywhere};

/// The contract for rows, word for word.
fn in_lanes(row: &[f32], neutral: f32, step: impl Fn(f32, f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = vec![neutral; 16];
    for (index, x) in row.iter().enumerate() {
        lanes[index % 16] = step(lanes[index % 16], *x);
    }
    while lanes.len() > 1 {
        let upper = lanes.split_off(lanes.len() / 2);
        lanes.iter_mut().zip(upper).for_each(|(lane, other)| *lane = join(*lane, other));
    }
    lanes[0]
}

/// The contract for columns.
fn in_order(x: &[f32], neutral: f32, step: impl Fn(f32, f32) -> f32) -> f32 {
    x.iter().fold(neutral, |a, &x| step(a, x))
}

fn naive(op: Reduction, x: &[f32], is_row: bool) -> f32 {
    let fold = |neutral, step: &dyn Fn(f32, f32) -> f32, join: &dyn Fn(f32, f32) -> f32| match is_row {
        true => in_lanes(x, neutral, step, join),
        false => in_order(x, neutral, step),
    };
    let sum = |f: &dyn Fn(f32) -> f32| fold(0.0, &|a, x| a + f(x), &|a, b| a + b);
    let largest = in_order(x, f32::NEG_INFINITY, math::max);
    match op {
        Reduction::Sum => sum(&|x| x),
        Reduction::Mean => sum(&|x| x) / x.len() as f32,
        Reduction::Product => fold(1.0, &|a, x| a * x, &|a, b| a * b),
        Reduction::Max => largest,
        Reduction::Min => in_order(x, f32::INFINITY, math::min),
        Reduction::L1 => sum(&f32::abs),
        Reduction::L2 => sum(&|x| x * x).sqrt(),
        Reduction::SumSquare => sum(&|x| x * x),
        Reduction::LogSum => math::log(sum(&|x| x)),
        Reduction::LogSumExp if largest.is_infinite() => largest,
        Reduction::LogSumExp => math::log(sum(&|x| math::exp(x - largest))) + largest,
    }
}

const OPS: [Reduction; 10] = [
    Reduction::Sum,
    Reduction::Mean,
    Reduction::Product,
    Reduction::Max,
    Reduction::Min,
    Reduction::L1,
    Reduction::L2,
    Reduction::SumSquare,
    Reduction::LogSum,
    Reduction::LogSumExp,
];

#[test]
fn reductions_keep_the_stated_order() {
    for [outer, size, inner] in
        [[3, 1000, 1], [70, 7, 1], [1, 0, 1], [2, 16, 1], [3, 37, 5], [2, 9, 700], [4, 1, 3], [1, 0, 4]]
    {
        let x = random(outer * size * inner, 11, 2.5);
        for op in OPS {
            let found = same_everywhere(|cpu| {
                let mut out = vec![0.0; outer * inner];
                reduce(cpu, op, &x, [outer, size, inner], &mut out);
                out
            });
            let column = |output: usize| -> Vec<f32> {
                (0..size).map(|index| x[(output / inner * size + index) * inner + output % inner]).collect()
            };
            let expected = (0..outer * inner).map(|output| naive(op, &column(output), inner == 1));
            assert_eq!(found, bits(expected), "{op:?} of {outer}, {size}, {inner}");
        }
    }
}

#[test]
fn infinity_and_nan() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let cpu = Cpu::new(Numerics::Exact);
    let one = |op, x: &[f32], dimensions| {
        let mut out = [0.0];
        reduce(&cpu, op, x, dimensions, &mut out);
        out[0]
    };
    for (x, max, log_sum_exp) in
        [([1.0, -inf], 1.0, 1.0), ([-inf, -inf], -inf, -inf), ([inf, 1.0], inf, inf), ([nan, inf], nan, nan)]
    {
        assert_eq!(bits([one(Reduction::Max, &x, [1, 2, 1])]), bits([max]));
        assert_eq!(bits([one(Reduction::LogSumExp, &x, [1, 2, 1])]), bits([log_sum_exp]));
    }
    let mut row = vec![0.5; 100];
    row[77] = nan;
    for op in OPS {
        assert!(one(op, &row, [1, 100, 1]).is_nan(), "{op:?}");
    }
    assert_eq!(one(Reduction::Max, &[-0.0, 0.0, -0.0], [1, 3, 1]).to_bits(), 0);
}

#[test]
fn places_of_extremes() {
    let nan = f32::NAN;
    let rows: [(&[f32], [i64; 4]); 5] = [
        (&[3.0, 1.0, 3.0, 1.0], [0, 2, 1, 3]),
        (&[0.0, -0.0], [0, 1, 0, 1]),
        (&[1.0, nan, 5.0, nan, -1.0], [1, 3, 1, 3]),
        (&[f32::NEG_INFINITY; 3], [0, 2, 0, 2]),
        (&[f32::INFINITY; 3], [0, 2, 0, 2]),
    ];
    for &isa in super::super::cpu::Isa::available() {
        let cpu = Cpu { isa, ..Cpu::new(Numerics::Exact) };
        for (row, expected) in rows {
            let wide: Vec<f32> = row.iter().flat_map(|&x| [x, 0.0, x]).collect();
            let cases = [(Extreme::Max, false), (Extreme::Max, true), (Extreme::Min, false), (Extreme::Min, true)];
            for ((extreme, last), expected) in cases.into_iter().zip(expected) {
                let mut out = [9];
                arg(&cpu, extreme, last, row, [1, row.len(), 1], &mut out);
                assert_eq!(out, [expected], "{row:?} {extreme:?} {last}");
                let mut out = [9; 3];
                arg(&cpu, extreme, last, &wide, [1, row.len(), 3], &mut out);
                assert_eq!((out[0], out[2]), (expected, expected), "{row:?} {extreme:?} {last}");
            }
        }
    }
}

#[test]
fn several_axes() {
    let shape = [3, 4, 1, 5, 6];
    let x = random(360, 12, 3.0);
    for mask in 0..32u32 {
        let reduced: Vec<bool> = (0..5).map(|axis| mask >> axis & 1 == 1).collect();
        let outputs: usize =
            shape.iter().zip(&reduced).filter(|(_, reduced)| !**reduced).map(|(size, _)| size).product();
        let mut expected = vec![0f64; outputs];
        for (number, x) in x.iter().enumerate() {
            let (mut rest, mut output, mut stride) = (number, 0, 1);
            for (&size, &reduced) in shape.iter().zip(&reduced).rev() {
                if !reduced {
                    output += rest % size * stride;
                    stride *= size;
                }
                rest /= size;
            }
            expected[output] += f64::from(*x);
        }
        let found = same_everywhere(|cpu| {
            let mut out = vec![0.0; outputs];
            reduce_axes(cpu, Reduction::Sum, &x, &shape, &reduced, &mut out);
            out
        });
        for (found, expected) in found.into_iter().map(f32::from_bits).zip(expected) {
            assert!((f64::from(found) - expected).abs() < 1e-4, "{reduced:?}: {found}, not {expected}");
        }
    }
}
