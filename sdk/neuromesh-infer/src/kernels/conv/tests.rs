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

#[test]
fn products_of_patches() {
    check(conv(3, 8, 1, [3, 3]), 2, [9, 11], Activation::Relu);
    check(Conv2d { pads: [1, 1, 1, 1], ..conv(5, 17, 1, [3, 3]) }, 1, [14, 14], Activation::None);
    check(Conv2d { pads: [3; 4], strides: [2, 2], ..conv(3, 33, 1, [7, 7]) }, 1, [31, 29], Activation::Relu);
    check(Conv2d { pads: [0, 2, 1, 0], strides: [1, 3], ..conv(4, 6, 2, [2, 5]) }, 2, [8, 40], Activation::None);
    check(Conv2d { pads: [4; 4], dilations: [3, 2], ..conv(6, 9, 3, [3, 3]) }, 1, [10, 13], Activation::None);
    check(Conv2d { pads: [9; 4], ..conv(2, 3, 1, [3, 3]) }, 1, [2, 3], Activation::None);
    check(Conv2d { pads: [1; 4], ..conv(70, 50, 1, [3, 3]) }, 1, [7, 7], Activation::LeakyRelu(0.1));
}

#[test]
fn pointwise() {
    check(conv(40, 24, 1, [1, 1]), 1, [13, 17], Activation::Clip { min: 0.0, max: 0.5 });
    check(conv(30, 5, 1, [1, 1]), 2, [9, 9], Activation::None);
    check(conv(600, 4, 2, [1, 1]), 1, [5, 7], Activation::None);
    check(Conv2d { strides: [2, 2], ..conv(8, 12, 1, [1, 1]) }, 1, [15, 16], Activation::None);
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
