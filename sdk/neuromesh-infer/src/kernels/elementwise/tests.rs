use super::*;
use crate::kernels::cpu::{Cpu, Isa, Numerics};
use crate::kernels::math;
use crate::kernels::threads::Threads;

/// Numbers between -scale / 2 and scale / 2 from a linear congruential generator.
pub(in crate::kernels) fn random(count: usize, seed: u64, scale: f32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / 16_777_216.0 - 0.5) * scale
    };
    (0..count).map(|_| next()).collect()
}

/// Runs `f` with every instruction set, alone and with threads, and gives the bits that all of them agree on.
pub(in crate::kernels) fn same_everywhere(f: impl Fn(&Cpu) -> Vec<f32>) -> Vec<u32> {
    let run = |isa, threads| {
        let mut values = f(&Cpu { isa, threads, numerics: Numerics::Exact });
        math::canonicalize(&mut values);
        values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let expected = run(Isa::Portable, Threads::single());
    for &isa in Isa::available() {
        assert_eq!(run(isa, Threads::single()), expected, "{isa:?}");
    }
    assert_eq!(run(Isa::best(), Threads::new(3)), expected, "threads");
    expected
}

/// The bits of numbers, with one NaN for all.
pub(in crate::kernels) fn bits(values: impl IntoIterator<Item = f32>) -> Vec<u32> {
    values.into_iter().map(|x| if x.is_nan() { f32::NAN } else { x }.to_bits()).collect()
}

const OPS: &[Unary] = &[
    Unary::Abs,
    Unary::Neg,
    Unary::Sqrt,
    Unary::Rsqrt,
    Unary::Recip,
    Unary::Square,
    Unary::Floor,
    Unary::Ceil,
    Unary::Round,
    Unary::Trunc,
    Unary::Sign,
    Unary::Exp,
    Unary::ExpM1,
    Unary::Log,
    Unary::Log1p,
    Unary::Sin,
    Unary::Cos,
    Unary::Tan,
    Unary::Asin,
    Unary::Acos,
    Unary::Atan,
    Unary::Sinh,
    Unary::Cosh,
    Unary::Tanh,
    Unary::Asinh,
    Unary::Acosh,
    Unary::Atanh,
    Unary::Erf,
    Unary::Sigmoid,
    Unary::Softplus,
    Unary::Softsign,
    Unary::Gelu,
    Unary::GeluTanh,
    Unary::Silu,
    Unary::Swish { beta: 1.702 },
    Unary::Mish,
    Unary::HardSwish,
    Unary::Relu,
    Unary::LeakyRelu { alpha: 0.1 },
    Unary::ThresholdedRelu { alpha: 0.5 },
    Unary::Elu { alpha: 0.7 },
    Unary::Selu { alpha: 1.67, gamma: 1.05 },
    Unary::Celu { alpha: 1.3 },
    Unary::HardSigmoid { alpha: 0.2, beta: 0.5 },
    Unary::Shrink { lambda: 0.5, bias: 0.1 },
    Unary::Clip { low: -1.0, high: 1.0 },
    Unary::Affine { scale: 1.5, shift: 0.25 },
    Unary::Pow { exponent: 0.5 },
    Unary::Pow { exponent: 3.0 },
    Unary::Pow { exponent: 1.37 },
];

#[test]
fn every_map_has_the_same_bits_everywhere() {
    // All sorts of bit patterns, and more of the usual magnitudes; more than one task, and an odd number.
    let mut x: Vec<f32> = (0..=u32::MAX).step_by(260_003).map(f32::from_bits).collect();
    x.extend(random(20_011, 1, 12.0));
    for &op in OPS {
        let expected = same_everywhere(|cpu| {
            let mut y = vec![0.0; x.len()];
            unary(cpu, op, &x, &mut y);
            y
        });
        let mut y = x.clone();
        unary_in_place(&Cpu::new(Numerics::Exact), op, &mut y);
        assert_eq!(bits(y), expected, "{op:?}");
    }
}

#[test]
fn maps_are_what_they_say() {
    let x = random(1000, 2, 8.0);
    let cpu = Cpu::new(Numerics::Exact);
    let check = |op, f: &dyn Fn(f32) -> f32| {
        let mut y = x.clone();
        unary_in_place(&cpu, op, &mut y);
        assert_eq!(bits(y), bits(x.iter().map(|&x| f(x))), "{op:?}");
    };
    check(Unary::Gelu, &math::gelu);
    check(Unary::Sin, &math::sin);
    check(Unary::Round, &f32::round_ties_even);
    check(Unary::Relu, &|x| x.max(0.0));
    check(Unary::Clip { low: 2.0, high: 1.0 }, &|_| 1.0);
    check(Unary::Pow { exponent: -1.0 }, &|x| 1.0 / x);
}

const BINARY: &[Binary] = &[
    Binary::Add,
    Binary::Sub,
    Binary::Mul,
    Binary::Div,
    Binary::Pow,
    Binary::Min,
    Binary::Max,
    Binary::Remainder,
    Binary::Modulo,
    Binary::PRelu,
];

fn one(op: Binary, a: f32, b: f32) -> f32 {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Pow => math::pow(a, b),
        Binary::Min => math::min(a, b),
        Binary::Max => math::max(a, b),
        Binary::Remainder => math::remainder(a, b),
        Binary::Modulo => math::modulo(a, b),
        Binary::PRelu => {
            if a < 0.0 {
                a * b
            } else {
                a
            }
        }
    }
}

#[test]
fn operations_of_equal_shapes_and_scalars() {
    let (a, b) = (random(40_001, 3, 9.0), random(40_001, 4, 5.0));
    for &op in BINARY {
        let found = same_everywhere(|cpu| {
            let mut out = vec![0.0; a.len()];
            binary(cpu, op, &a, &b, &mut out);
            out
        });
        assert_eq!(found, bits(a.iter().zip(&b).map(|(&a, &b)| one(op, a, b))), "{op:?}");
        for side in [Side::Left, Side::Right] {
            let order = |a, b| if side == Side::Left { one(op, a, b) } else { one(op, b, a) };
            let assigned = same_everywhere(|cpu| {
                let mut out = a.clone();
                binary_assign(cpu, op, &mut out, &b, side);
                out
            });
            assert_eq!(assigned, bits(a.iter().zip(&b).map(|(&a, &b)| order(a, b))), "{op:?} {side:?}");
            let scalar = same_everywhere(|cpu| {
                let mut out = a.clone();
                binary_scalar(cpu, op, &mut out, 1.5, side);
                out
            });
            assert_eq!(scalar, bits(a.iter().map(|&a| order(a, 1.5))), "{op:?} {side:?}");
        }
    }
}

#[test]
fn broadcasts_are_as_by_index() {
    let data = random(5000, 5, 9.0);
    let cases: &[(&[usize], &[usize], &[usize])] = &[
        (&[], &[], &[]),
        (&[7], &[1], &[0]),
        (&[3, 5], &[0, 1], &[1, 0]),
        (&[2, 3, 4], &[12, 4, 1], &[4, 0, 1]),
        (&[2, 3, 4], &[1, 2, 6], &[0, 4, 1]),
        (&[4, 1, 3, 5], &[15, 99, 5, 1], &[0, 7, 1, 3]),
        (&[2, 2, 2, 2, 2, 2, 2, 2], &[128, 64, 32, 16, 8, 4, 2, 1], &[1, 0, 2, 0, 4, 0, 8, 0]),
        (&[9, 2100], &[2100 / 4, 0], &[0, 2]),
        (&[3, 0, 2], &[0, 2, 1], &[0, 0, 0]),
    ];
    for &(shape, a, b) in cases {
        let count: usize = shape.iter().product();
        let place = |strides: &[usize], mut number: usize| {
            shape.iter().zip(strides).rev().fold(0, |offset, (&size, &stride)| {
                let index = number % size;
                number /= size;
                offset + index * stride
            })
        };
        let expected = bits((0..count).map(|number| data[place(a, number)] - data[place(b, number)]));
        let found = same_everywhere(|cpu| {
            let mut out = vec![0.0; count];
            broadcast(cpu, Binary::Sub, shape, (&data, a), (&data, b), &mut out);
            out
        });
        assert_eq!(found, expected, "{shape:?}");
        let assigned = same_everywhere(|cpu| {
            let mut out: Vec<f32> = (0..count).map(|number| data[place(b, number)]).collect();
            broadcast_assign(cpu, Binary::Sub, shape, &mut out, (&data, a), Side::Right);
            out
        });
        assert_eq!(assigned, expected, "{shape:?}");
    }
}

#[test]
fn rows_and_columns() {
    let cpu = Cpu::new(Numerics::Exact);
    let mut a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    binary_rows(&cpu, Binary::Mul, &mut a, &[1.0, 10.0, 100.0], Side::Left);
    assert_eq!(a, [1.0, 20.0, 300.0, 4.0, 50.0, 600.0]);
    binary_columns(&cpu, Binary::Sub, &mut a, &[1.0, 2.0], Side::Right);
    assert_eq!(a, [0.0, -19.0, -299.0, -2.0, -48.0, -598.0]);
    binary_rows(&cpu, Binary::Add, &mut [], &[], Side::Left);
    binary_columns(&cpu, Binary::Add, &mut [], &[], Side::Left);
}

#[test]
#[should_panic(expected = "beyond its operand")]
fn a_short_operand_is_refused() {
    broadcast_assign(&Cpu::new(Numerics::Exact), Binary::Add, &[2, 3], &mut [0.0; 6], (&[0.0; 5], &[3, 1]), Side::Left);
}
