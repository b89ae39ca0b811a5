use super::*;
use crate::kernels::cpu::Numerics;
use crate::kernels::gemm::tests::{bits, numbers, processors};

fn bytes(seed: u32, count: usize) -> Vec<u8> {
    // The extremes come often: it is they that overflow.
    let byte = |x: &f32| match (x * 1000.0) as i32 % 5 {
        0 => 255,
        1 => 0,
        2 => 128,
        3 => 127,
        _ => ((x + 1.0) * 127.0) as u8,
    };
    numbers(seed, count).iter().map(byte).collect()
}

fn signed(x: &[u8]) -> Vec<i8> {
    x.iter().map(|x| *x as i8).collect()
}

struct Case {
    m: usize,
    n: usize,
    k: usize,
    a: Vec<u8>,
    b: Vec<u8>,
    zeros: Vec<i32>,
}

const SIZES: [(usize, usize, usize); 9] = [
    (1, 1, 1),
    (1, 70, 9),
    (3, 31, 2),
    (5, 8, 0),
    (7, 33, 63),
    (13, 64, 130),
    (26, 100, 257),
    (40, 12, 66),
    (300, 129, 140),
];

impl Case {
    fn new((m, n, k): (usize, usize, usize)) -> Self {
        let zeros = bytes(3, n).iter().map(|x| i32::from(*x as i8)).collect();
        Case { m, n, k, a: bytes(1, m * k), b: bytes(2, k * n), zeros }
    }

    fn naive(&self, a: impl Fn(u8) -> i32, b: impl Fn(u8, usize) -> i32) -> Vec<i32> {
        let at = |i: usize, j: usize| {
            (0..self.k).map(|k| a(self.a[i * self.k + k]) * b(self.b[k * self.n + j], j)).sum::<i32>()
        };
        (0..self.m * self.n).map(|x| at(x / self.n, x % self.n)).collect()
    }

    fn run(&self, cpu: &Cpu, a: Int8Ref, b: &PackedInt8) -> Vec<i32> {
        let mut scratch = vec![-1; gemm_int8_scratch(cpu, self.m, self.n, self.k)];
        let mut c = vec![-1; self.m * self.n];
        gemm_int8(cpu, self.m, self.n, self.k, a, b, &mut c, self.n, &mut scratch);
        c
    }
}

#[test]
fn every_sign_and_zero_point_is_exact() {
    for size in SIZES {
        let case = Case::new(size);
        let (m, n, k) = size;
        let unsigned_a = Int8Ref { data: Bytes::Unsigned(&case.a), row_stride: k, zero: 200 };
        let signed_bytes = signed(&case.a);
        let signed_a = Int8Ref { data: Bytes::Signed(&signed_bytes), row_stride: k, zero: -77 };
        let b_signed = signed(&case.b);
        let b_transposed: Vec<i8> = (0..k * n).map(|i| b_signed[(i % k) * n + i / k]).collect();
        let a_values: [fn(u8) -> i32; 2] = [|x| i32::from(x) - 200, |x| i32::from(x as i8) + 77];
        for cpu in processors(Numerics::Exact) {
            for (a, a_value) in [unsigned_a, signed_a].into_iter().zip(a_values) {
                let per_column = ZeroPoint::PerColumn(&case.zeros);
                let b = pack_int8(&cpu, Bytes::Signed(&b_signed), k, n, n, 1, per_column);
                let expected = case.naive(a_value, |x, j| i32::from(x as i8) - case.zeros[j]);
                assert_eq!(case.run(&cpu, a, &b), expected, "{m} {n} {k} {cpu:?}");
                let b = pack_int8(&cpu, Bytes::Signed(&b_transposed), k, n, 1, k, per_column);
                assert_eq!(case.run(&cpu, a, &b), expected, "transposed, {m} {n} {k} {cpu:?}");

                let b = pack_int8(&cpu, Bytes::Unsigned(&case.b), k, n, n, 1, ZeroPoint::One(130));
                let expected = case.naive(a_value, |x, _| i32::from(x) - 130);
                assert_eq!(case.run(&cpu, a, &b), expected, "unsigned, {m} {n} {k} {cpu:?}");
            }
        }
    }
}

#[test]
fn numbers_are_rounded_step_by_step() {
    for size in SIZES {
        let case = Case::new(size);
        let (m, n, k) = size;
        let (a_scale, b_scale, bias) = (numbers(5, m), numbers(6, n), numbers(7, n));
        let sums = case.naive(|x| i32::from(x) - 3, |x, _| i32::from(x as i8));
        let value = |x: usize| (sums[x] as f32 * (a_scale[x / n] * b_scale[x % n]) + bias[x % n]).max(0.0);
        let expected: Vec<f32> = (0..m * n).map(value).collect();
        for cpu in processors(Numerics::Exact) {
            let b = pack_int8(&cpu, Bytes::Signed(&signed(&case.b)), k, n, n, 1, ZeroPoint::One(0));
            let a = Int8Ref { data: Bytes::Unsigned(&case.a), row_stride: k, zero: 3 };
            let (a_scale, b_scale) = (Scale::Each(&a_scale), Scale::Each(&b_scale));
            let how = Dequantize { a_scale, b_scale, bias: Some(&bias), activation: Activation::Relu };
            let mut scratch = vec![-1; gemm_int8_scratch(&cpu, m, n, k)];
            let mut c = vec![-1.0; m * n];
            gemm_int8_dequantized(&cpu, m, n, k, a, &b, &mut c, n, &how, &mut scratch);
            assert_eq!(bits(&c), bits(&expected), "{m} {n} {k} {cpu:?}");
        }
    }
}
