use super::*;
use crate::kernels::cpu::{Isa, Numerics};
use crate::kernels::gemm::tests::{bits, numbers, processors};

fn conv(inputs: usize, outputs: usize, groups: usize, kernel: [usize; 2]) -> Conv2d {
    Conv2d { inputs, outputs, groups, kernel, strides: [1, 1], dilations: [1, 1], pads: [0; 4] }
}

fn check(conv: Conv2d, batch: usize, size: [usize; 2], activation: Activation) {
    let out = conv.output(size).expect("fits");
    let weights = numbers(1, conv.weights());
    let input = numbers(2, batch * conv.inputs * size[0] * size[1]);
    let (bias, residual) = (numbers(3, conv.outputs), numbers(4, batch * conv.outputs * out[0] * out[1]));
    let plain = Conv3d {
        inputs: conv.inputs,
        outputs: conv.outputs,
        groups: conv.groups,
        kernel: [1, conv.kernel[0], conv.kernel[1]],
        strides: [1, conv.strides[0], conv.strides[1]],
        dilations: [1, conv.dilations[0], conv.dilations[1]],
        pads: [0, conv.pads[0], conv.pads[1]],
    };
    let epilogues = [
        ConvEpilogue { activation, ..ConvEpilogue::default() },
        ConvEpilogue { bias: Some(&bias), residual: Some(&residual), activation },
    ];
    for epilogue in epilogues {
        let mut expected = vec![7.0; residual.len()];
        let (three, three_out) = ([1, size[0], size[1]], [1, out[0], out[1]]);
        let cpu = Cpu::new(Numerics::Exact);
        conv_plain(&cpu, &plain, &weights, batch, &input, three, &mut expected, three_out, &epilogue);
        for cpu in processors(Numerics::Exact) {
            let plan = ConvPlan::new(&cpu, conv, &weights);
            let mut scratch = vec![f32::NAN; plan.scratch(&cpu, size)];
            let mut output = vec![7.0; residual.len()];
            plan.run(&cpu, batch, &input, size, &mut output, &epilogue, &mut scratch);
            assert_eq!(bits(&output), bits(&expected), "{conv:?} {size:?} {cpu:?}");
        }
    }
}

const SQUARE: Activation = Activation::Custom(|_, x| x.iter_mut().for_each(|x| *x *= *x));

#[test]
fn without_patches() {
    check(conv(3, 8, 1, [3, 3]), 2, [9, 11], Activation::Relu);
    check(Conv2d { pads: [1, 1, 1, 1], ..conv(5, 17, 1, [3, 3]) }, 1, [14, 14], Activation::None);
    check(Conv2d { pads: [3; 4], strides: [2, 2], ..conv(3, 33, 1, [7, 7]) }, 1, [31, 29], Activation::Relu);
    check(Conv2d { pads: [0, 2, 1, 0], strides: [1, 3], ..conv(4, 6, 2, [2, 5]) }, 2, [8, 40], Activation::None);
    check(Conv2d { pads: [4; 4], dilations: [3, 2], ..conv(6, 9, 3, [3, 3]) }, 1, [10, 13], Activation::None);
    check(Conv2d { pads: [9; 4], ..conv(2, 3, 1, [3, 3]) }, 1, [2, 3], Activation::None);
    check(Conv2d { pads: [1; 4], ..conv(70, 50, 1, [3, 3]) }, 1, [7, 7], Activation::LeakyRelu(0.1));
    // Several bands of rows.
    check(Conv2d { pads: [1; 4], ..conv(160, 5, 1, [3, 3]) }, 1, [40, 36], Activation::Clip { min: -0.5, max: 0.5 });
    check(Conv2d { pads: [3; 4], strides: [2, 2], ..conv(3, 5, 1, [7, 7]) }, 1, [224, 230], Activation::None);
    check(Conv2d { pads: [1, 0, 2, 0], strides: [3, 2], ..conv(9, 13, 1, [1, 4]) }, 1, [11, 33], Activation::Relu);
    check(Conv2d { pads: [2; 4], strides: [2, 1], dilations: [3, 2], ..conv(5, 7, 1, [3, 2]) }, 1, [12, 9], SQUARE);
}

#[test]
fn pointwise() {
    check(conv(40, 24, 1, [1, 1]), 1, [13, 17], Activation::Clip { min: 0.0, max: 0.5 });
    check(conv(30, 5, 1, [1, 1]), 2, [9, 9], Activation::None);
    check(conv(600, 4, 2, [1, 1]), 1, [5, 7], Activation::None);
    check(Conv2d { strides: [2, 2], ..conv(8, 12, 1, [1, 1]) }, 1, [15, 16], Activation::None);
}

#[test]
fn lanes_across_channels() {
    check(Conv2d { pads: [1; 4], ..conv(96, 300, 1, [3, 3]) }, 2, [7, 7], Activation::Relu);
    check(Conv2d { strides: [2, 2], ..conv(500, 470, 1, [1, 1]) }, 1, [9, 11], Activation::Clip { min: 0.0, max: 0.5 });
    check(Conv2d { pads: [2, 1, 0, 3], ..conv(40, 400, 1, [5, 5]) }, 1, [14, 17], Activation::LeakyRelu(0.1));
    let dilated = Conv2d { pads: [2; 4], dilations: [2, 1], strides: [1, 2], ..conv(192, 600, 2, [3, 3]) };
    check(dilated, 1, [6, 5], SQUARE);
}

/// The bytes of a product, in plain loops.
fn plain_int8(conv: &Conv2d, x: &[i32], zero: i32, w: &[i32], zeros: &[i32], size: [usize; 2]) -> Vec<i32> {
    let out = conv.output(size).expect("fits");
    let (inputs, outputs) = (conv.inputs / conv.groups, conv.outputs / conv.groups);
    let mut sums = Vec::new();
    for image in x.chunks_exact(conv.inputs * size[0] * size[1]) {
        for output in 0..conv.outputs {
            for pixel in 0..out[0] * out[1] {
                let mut sum = 0;
                for tap in 0..conv.taps() {
                    let (channel, tap_y, tap_x) = (
                        output / outputs * inputs + tap / (conv.kernel[0] * conv.kernel[1]),
                        tap / conv.kernel[1] % conv.kernel[0],
                        tap % conv.kernel[1],
                    );
                    let y = pixel / out[1] * conv.strides[0] + tap_y * conv.dilations[0];
                    let x = pixel % out[1] * conv.strides[1] + tap_x * conv.dilations[1];
                    let (y, x) = (y.wrapping_sub(conv.pads[0]), x.wrapping_sub(conv.pads[1]));
                    if y < size[0] && x < size[1] {
                        let weight = w[output * conv.taps() + tap] - zeros[output % zeros.len()];
                        sum += (image[(channel * size[0] + y) * size[1] + x] - zero) * weight;
                    }
                }
                sums.push(sum);
            }
        }
    }
    sums
}

#[test]
fn bytes_are_convolved() {
    use crate::kernels::int8::{Bytes, ZeroPoint};
    let bytes = |seed: u32, count: usize| -> Vec<u8> {
        numbers(seed, count).iter().map(|x| (x.to_bits() >> 7) as u8).collect()
    };
    let cases = [
        (Conv2d { pads: [1; 4], ..conv(3, 9, 1, [3, 3]) }, 2, [9, 11]),
        (Conv2d { pads: [2, 0, 1, 3], strides: [2, 1], dilations: [1, 2], ..conv(6, 34, 2, [3, 2]) }, 1, [8, 13]),
        (conv(40, 17, 1, [1, 1]), 1, [12, 31]),
        (Conv2d { strides: [2, 2], ..conv(5, 8, 1, [1, 1]) }, 1, [7, 7]),
        (Conv2d { pads: [3; 4], ..conv(200, 5, 1, [7, 7]) }, 1, [5, 9]),
    ];
    for (index, (conv, batch, size)) in cases.into_iter().enumerate() {
        let x = bytes(1, batch * conv.inputs * size[0] * size[1]);
        let w = bytes(2, conv.weights());
        let zeros: Vec<i32> = bytes(3, conv.outputs).iter().map(|zero| i32::from(*zero as i8)).collect();
        let signed = |bytes: &[u8]| -> Vec<i8> { bytes.iter().map(|byte| *byte as i8).collect() };
        let wide = |bytes: &[u8]| -> Vec<i32> { bytes.iter().map(|byte| i32::from(*byte)).collect() };
        let wide_signed = |bytes: &[u8]| -> Vec<i32> { bytes.iter().map(|byte| i32::from(*byte as i8)).collect() };
        let (x_signed, w_signed) = (signed(&x), signed(&w));
        for cpu in processors(Numerics::Exact) {
            let run = |plan: &ConvInt8Plan, x: Bytes, zero: i32| {
                let out = conv.output(size).expect("fits");
                let mut sums = vec![7; batch * conv.outputs * out[0] * out[1]];
                let mut scratch = vec![-1; plan.scratch(&cpu, out[0] * out[1])];
                plan.run(&cpu, conv.pads, batch, x, zero, size, &mut sums, &mut scratch);
                sums
            };
            let plan = ConvInt8Plan::new(&cpu, conv, Bytes::Signed(&w_signed), ZeroPoint::PerColumn(&zeros));
            let expected = plain_int8(&conv, &wide(&x), 130, &wide_signed(&w), &zeros, size);
            assert_eq!(run(&plan, Bytes::Unsigned(&x), 130), expected, "{index} {cpu:?}");
            let plan = ConvInt8Plan::new(&cpu, conv, Bytes::Unsigned(&w), ZeroPoint::One(99));
            let expected = plain_int8(&conv, &wide_signed(&x), -3, &wide(&w), &[99], size);
            assert_eq!(run(&plan, Bytes::Signed(&x_signed), -3), expected, "{index} {cpu:?}");
        }
    }
}

#[test]
fn sums_become_bytes() {
    let sums = [0, 1, -1, 3, 5, -5, 1000, -1000, i32::MAX, i32::MIN, 255, 256, -128, 127];
    for cpu in processors(Numerics::Exact) {
        for (bias, factor, zero) in [(0, 0.5, 0), (3, 0.5, 7), (-1, 1.0, -3), (9, 1e9, 1), (0, f32::NAN, 5)] {
            let how = Requantize { bias, factor, zero };
            let expected = |low: i64, high: i64| {
                let byte = |sum: &i32| (sum.wrapping_add(bias) as f32 * factor).round_ties_even() as i64;
                sums.iter().map(|sum| byte(sum).saturating_add(zero.into()).clamp(low, high)).collect::<Vec<_>>()
            };
            let (mut unsigned, mut signed) = ([0; 14], [0; 14]);
            requantize_unsigned(&cpu, &sums, &mut unsigned, how);
            requantize_signed(&cpu, &sums, &mut signed, how);
            assert_eq!(unsigned.map(i64::from)[..], expected(0, 255), "{how:?} {cpu:?}");
            assert_eq!(signed.map(i64::from)[..], expected(-128, 127), "{how:?} {cpu:?}");
        }
    }
}

#[test]
fn depthwise() {
    check(Conv2d { pads: [1; 4], ..conv(5, 5, 5, [3, 3]) }, 2, [14, 67], Activation::Clip { min: 0.0, max: 6.0 });
    check(Conv2d { pads: [1; 4], strides: [2, 2], ..conv(4, 4, 4, [3, 3]) }, 1, [17, 70], Activation::None);
    check(Conv2d { pads: [0, 1, 2, 3], strides: [1, 3], ..conv(3, 6, 3, [5, 4]) }, 1, [9, 23], Activation::Relu);
    check(Conv2d { pads: [6; 4], dilations: [2, 3], ..conv(2, 2, 2, [3, 5]) }, 1, [6, 7], Activation::None);
    check(Conv2d { pads: [0, 0, 0, 0], strides: [3, 2], ..conv(1, 1, 1, [1, 2]) }, 1, [9, 30], Activation::None);
    check(Conv2d { pads: [5, 7, 0, 0], strides: [2, 2], ..conv(1, 1, 1, [2, 2]) }, 1, [3, 3], Activation::None);
    check(Conv2d { pads: [0, 2, 0, 2], ..conv(90, 90, 90, [1, 5]) }, 1, [1, 200], Activation::Relu);
}

#[test]
fn fast_convolutions_are_near_and_fused_where_the_machine_has_it() {
    let size = [14, 33];
    for conv in [conv(7, 9, 1, [3, 3]), conv(40, 8, 1, [1, 1]), conv(6, 6, 6, [3, 3])] {
        let weights = numbers(1, conv.weights());
        let input = numbers(2, conv.inputs * size[0] * size[1]);
        let out = conv.output(size).expect("fits");
        let run = |cpu: &Cpu| {
            let plan = ConvPlan::new(cpu, conv, &weights);
            let mut scratch = vec![0.0; plan.scratch(cpu, size)];
            let mut output = vec![0.0; conv.outputs * out[0] * out[1]];
            plan.run(cpu, 1, &input, size, &mut output, &ConvEpilogue::default(), &mut scratch);
            output
        };
        let exact = run(&Cpu::new(Numerics::Exact));
        for cpu in processors(Numerics::Fast) {
            let fast = run(&cpu);
            assert!(fast.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 1e-5), "{conv:?} {cpu:?}");
            if matches!(cpu.isa, Isa::Avx2 | Isa::Avx512 | Isa::Neon) {
                assert_ne!(bits(&fast), bits(&exact), "{conv:?} {cpu:?}");
            }
        }
    }
}

#[test]
fn sizes_that_cannot_be() {
    assert_eq!(conv(1, 1, 1, [3, 3]).output([2, 9]), None);
    assert_eq!(Conv2d { strides: [0, 1], ..conv(1, 1, 1, [1, 1]) }.output([2, 2]), None);
    assert_eq!(Conv2d { pads: [usize::MAX; 4], ..conv(1, 1, 1, [1, 1]) }.output([2, 2]), None);
}
