use super::*;
use crate::kernels::cpu::{Isa, Numerics};
use crate::kernels::threads::Threads;

/// Numbers of -1 to 1 from a linear congruential generator: all 24 bits of the mantissa matter.
pub(crate) fn numbers(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

/// Every instruction set of this machine with one and with three threads.
pub(crate) fn processors(numerics: Numerics) -> Vec<Cpu> {
    let pools = [Threads::single(), Threads::new(3)];
    let each = |isa: &Isa| pools.clone().map(|threads| Cpu { isa: *isa, numerics, threads });
    Isa::available().iter().flat_map(each).collect()
}

pub(crate) fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

struct Case {
    m: usize,
    n: usize,
    k: usize,
    a: Vec<f32>,
    b: Vec<f32>,
    bias: Vec<f32>,
    residual: Vec<f32>,
    ldc: usize,
}

impl Case {
    fn new(m: usize, n: usize, k: usize) -> Self {
        let ldc = n + 3;
        Case {
            m,
            n,
            k,
            a: numbers(1, m * k),
            b: numbers(2, k * n),
            bias: numbers(3, m.max(n)),
            residual: numbers(4, m * ldc),
            ldc,
        }
    }

    fn left(&self) -> MatrixRef<'_> {
        MatrixRef { data: &self.a, row_stride: self.k, col_stride: 1 }
    }

    /// The contract, word for word.
    fn naive(&self, epilogue: &Epilogue) -> Vec<f32> {
        let mut c = vec![7.0; self.m * self.ldc];
        for i in 0..self.m {
            for j in 0..self.n {
                let mut sum = 0.0;
                for k in 0..self.k {
                    sum += self.a[i * self.k + k] * self.b[k * self.n + j];
                }
                if let Some(alpha) = epilogue.alpha {
                    sum *= alpha;
                }
                match epilogue.bias {
                    Bias::None => {}
                    Bias::PerColumn(bias) => sum += bias[j],
                    Bias::PerRow(bias) => sum += bias[i],
                }
                if let Some(residual) = epilogue.residual {
                    sum += residual[i * self.ldc + j];
                }
                c[i * self.ldc + j] = match epilogue.activation {
                    Activation::None => sum,
                    Activation::Relu => sum.max(0.0),
                    Activation::Clip { min, max } => sum.clamp(min, max),
                    Activation::LeakyRelu(alpha) => sum * if sum < 0.0 { alpha } else { 1.0 },
                    Activation::Custom(_) => sum * sum,
                };
            }
        }
        c
    }

    fn run(&self, cpu: &Cpu, a: Left, b: Right, epilogue: &Epilogue) -> Vec<f32> {
        let mut c = vec![7.0; self.m * self.ldc];
        let mut scratch = vec![f32::NAN; gemm_scratch(cpu, self.m, self.n, self.k, &a, &b)];
        gemm_with(cpu, self.m, self.n, self.k, a, b, &mut c, self.ldc, epilogue, &mut scratch);
        c
    }
}

fn square(_: &Cpu, x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x *= *x);
}

#[test]
fn all_sizes_of_tiles_give_the_bits_of_the_plain_loop() {
    let sizes = [(1, 1, 1), (1, 200, 33), (2, 77, 64), (3, 31, 5), (4, 8, 0), (5, 129, 40), (13, 16, 7), (15, 49, 100)];
    let more = [(29, 65, 300), (32, 384, 40), (43, 100, 600), (150, 33, 257), (64, 1, 30), (100, 47, 1100)];
    for (m, n, k) in sizes.into_iter().chain(more) {
        let case = Case::new(m, n, k);
        let expected = bits(&case.naive(&Epilogue::default()));
        for cpu in processors(Numerics::Exact) {
            let packed = pack_b(&cpu, &case.b, k, n, n, 1);
            let c = case.run(&cpu, Left::Matrix(case.left()), Right::Packed(packed.view()), &Epilogue::default());
            assert_eq!(bits(&c), expected, "{m} {n} {k} {cpu:?}");
        }
    }
}

#[test]
fn every_kind_of_operand_gives_the_same() {
    for (m, n, k) in [(37, 83, 530), (3, 200, 70), (90, 64, 64)] {
        let case = Case::new(m, n, k);
        let expected = bits(&case.naive(&Epilogue::default()));
        let transposed = |x: &[f32], rows: usize, columns: usize| -> Vec<f32> {
            (0..rows * columns).map(|i| x[(i % rows) * columns + i / rows]).collect()
        };
        let (a_t, b_t) = (transposed(&case.a, m, k), transposed(&case.b, k, n));
        for cpu in processors(Numerics::Exact) {
            let left_t = MatrixRef { data: &a_t, row_stride: 1, col_stride: m };
            let packed_a = pack_a(&cpu, left_t, m, k);
            let mut panels = vec![f32::NAN; packed_len(&cpu, k, n)];
            let packed_b = pack_b_into(&cpu, &b_t, k, n, 1, k, &mut panels);
            let lefts = [Left::Matrix(case.left()), Left::Matrix(left_t), Left::Packed(&packed_a)];
            let rights = [Right::Packed(packed_b), Right::Rows { data: &case.b, row_stride: n }];
            for (i, a) in lefts.into_iter().enumerate() {
                for (j, b) in rights.into_iter().enumerate() {
                    let c = case.run(&cpu, a, b, &Epilogue::default());
                    assert_eq!(bits(&c), expected, "{m} {n} {k}, operands {i} {j}, {cpu:?}");
                }
            }
        }
    }
}

#[test]
fn epilogues() {
    let activations = [
        Activation::None,
        Activation::Relu,
        Activation::Clip { min: -0.5, max: 0.75 },
        Activation::LeakyRelu(0.3),
        Activation::Custom(square),
    ];
    for (m, n, k) in [(18, 70, 600), (1, 150, 20), (5, 16, 3)] {
        let case = Case::new(m, n, k);
        let biases = [Bias::None, Bias::PerRow(&case.bias[..m]), Bias::PerColumn(&case.bias[..n])];
        for (index, activation) in activations.into_iter().enumerate() {
            for (place, bias) in biases.into_iter().enumerate() {
                let residual = (index % 2 == place % 2).then_some(&case.residual[..]);
                let alpha = (index % 3 == place).then_some(0.125);
                let epilogue = Epilogue { alpha, bias, residual, activation };
                let expected = bits(&case.naive(&epilogue));
                for cpu in processors(Numerics::Exact) {
                    let packed = pack_b(&cpu, &case.b, k, n, n, 1);
                    let c = case.run(&cpu, Left::Matrix(case.left()), Right::Packed(packed.view()), &epilogue);
                    assert_eq!(bits(&c), expected, "{m} {n} {k} {index} {place} {cpu:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_a_number_stays() {
    for cpu in processors(Numerics::Exact) {
        let packed = pack_b(&cpu, &[1.0; 20], 1, 20, 20, 1);
        let a = MatrixRef { data: &[f32::NAN, -0.0], row_stride: 1, col_stride: 1 };
        for activation in [Activation::Relu, Activation::Clip { min: 0.0, max: 6.0 }, Activation::LeakyRelu(0.5)] {
            let epilogue = Epilogue { activation, ..Epilogue::default() };
            let mut scratch = vec![0.0; gemm_packed_scratch(&cpu, 2, 20, 1)];
            let mut c = vec![0.0; 40];
            gemm(&cpu, 2, 20, 1, a, packed.view(), &mut c, 20, &epilogue, &mut scratch);
            assert!(c[..20].iter().all(|x| x.is_nan()), "{activation:?} {cpu:?}");
            assert!(c[20..].iter().all(|x| x.to_bits() == 0), "{activation:?} {cpu:?}");
        }
    }
}

#[test]
fn fast_numbers_are_near() {
    let case = Case::new(33, 100, 300);
    let expected = case.naive(&Epilogue::default());
    for cpu in processors(Numerics::Fast) {
        let packed = pack_b(&cpu, &case.b, 300, 100, 100, 1);
        let c = case.run(&cpu, Left::Matrix(case.left()), Right::Packed(packed.view()), &Epilogue::default());
        assert!(c.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{cpu:?}");
    }
}

#[test]
fn fast_products_are_fused_where_the_machine_has_it() {
    let case = Case::new(33, 100, 300);
    let mut expected = vec![7.0f32; case.m * case.ldc];
    for (i, row) in expected.chunks_mut(case.ldc).enumerate() {
        for (j, sum) in row[..case.n].iter_mut().enumerate() {
            *sum = (0..case.k).fold(0.0, |sum, k| case.a[i * case.k + k].mul_add(case.b[k * case.n + j], sum));
        }
    }
    for cpu in processors(Numerics::Fast) {
        let packed = pack_b(&cpu, &case.b, 300, 100, 100, 1);
        let c = case.run(&cpu, Left::Matrix(case.left()), Right::Packed(packed.view()), &Epilogue::default());
        if matches!(cpu.isa, Isa::Avx2 | Isa::Avx512 | Isa::Neon) {
            assert_eq!(bits(&c), bits(&expected), "{cpu:?}");
        }
    }
}

#[test]
#[should_panic(expected = "A is too small")]
fn short_operands_are_refused() {
    let cpu = Cpu::new(Numerics::Exact);
    let packed = pack_b(&cpu, &[0.0; 4], 2, 2, 2, 1);
    let a = MatrixRef { data: &[0.0; 3], row_stride: 2, col_stride: 1 };
    gemm(&cpu, 2, 2, 2, a, packed.view(), &mut [0.0; 4], 2, &Epilogue::default(), &mut [0.0; 1000]);
}
