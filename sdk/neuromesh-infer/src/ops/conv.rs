//! Convolution and global pooling.

use super::{
    Constants, Operator, Packed,
    call::{self, Call, Outputs},
    elementwise::float_binary,
    matrix, op,
    window::{Axis, Window, groups, kernel_shape, numbers},
};
use crate::{
    DataType, Fault,
    kernels::{
        conv::{Conv2d, Conv3d, ConvEpilogue, ConvPlan, conv_plain},
        elementwise::Binary,
        gemm::Activation,
        reduce::{self, Reduction},
    },
    rewrite::residual::RESIDUAL,
    shape::{self, Shape},
    value::Value,
};

pub(super) const TABLE: &[Operator] = &[
    op("*Conv", 1, 4..=4, conv).packs(1, pack),
    op("Conv", 1, 2..=3, conv).packs(1, pack),
    op("GlobalAveragePool", 1, 1..=1, |call| global_pool(call, Reduction::Mean)),
    op("GlobalMaxPool", 1, 1..=1, |call| global_pool(call, Reduction::Max)),
];

/// Constant weights, laid out for the kernel.
fn pack(constants: &Constants<'_>) -> Option<Packed> {
    let weight = constants.floats(1)?;
    let attributes = &constants.node.attributes;
    let groups = groups(attributes, "group").ok()?;
    let weights = Weights::of(weight.shape(), groups).ok()?;
    if weights.kernel.len() > 2 || weights.taps() == 0 {
        return None;
    }
    // What depends on the input, the padding, comes with it; the other attributes are checked then, too.
    let list = |name: &str| numbers(attributes, name, 1, weights.kernel.len(), 1).ok();
    let conv = weights.flat(&list("strides")?, &list("dilations")?, [0; 4]);
    let plan = ConvPlan::new(constants.cpu, conv, weight.raw());
    Some(Packed::Conv(Box::new(plan), weight.shape().clone()))
}

/// The shape of a convolution's weights.
struct Weights {
    outputs: usize,
    inputs: usize,
    groups: usize,
    kernel: Shape,
}

impl Weights {
    fn of(shape: &[usize], groups: usize) -> Result<Self, Fault> {
        let inputs = shape.get(1).and_then(|inputs| inputs.checked_mul(groups));
        match inputs {
            Some(inputs) if (3..=5).contains(&shape.len()) && shape[0].is_multiple_of(groups) => {
                Ok(Self { outputs: shape[0], inputs, groups, kernel: shape[2..].into() })
            }
            _ => Err(Fault::Shape(format!("the weights {shape:?} do not make {groups} groups"))),
        }
    }

    /// Products of one output.
    fn taps(&self) -> usize {
        self.inputs / self.groups * self.kernel.iter().product::<usize>()
    }

    /// As a convolution of two dimensions; one of one dimension has a height of 1.
    fn flat(&self, strides: &[usize], dilations: &[usize], pads: [usize; 4]) -> Conv2d {
        let two = |list: &[usize]| match *list {
            [width] => [1, width],
            [height, width] => [height, width],
            _ => [1, 1],
        };
        Conv2d {
            inputs: self.inputs,
            outputs: self.outputs,
            groups: self.groups,
            kernel: two(&self.kernel),
            strides: two(strides),
            dilations: two(dilations),
            pads,
        }
    }
}

/// Zeros above, left, below and right.
fn flat_pads(window: &Window) -> [usize; 4] {
    match *window.0 {
        [width] => [0, width.before, 0, width.after],
        [height, width] => [height.before, width.before, height.after, width.after],
        _ => [0; 4],
    }
}

fn conv(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    call.expect(0, DataType::F32)?;
    let x = call.take(0)?;
    let weight_shape = match call.packed {
        Some(Packed::Conv(_, shape)) => shape.clone(),
        _ => call.expect(1, DataType::F32)?.shape().clone(),
    };
    if x.rank() != weight_shape.len() || !(3..=5).contains(&x.rank()) {
        return Err(Fault::Unsupported(format!("convolution of {:?} with {weight_shape:?}", x.shape())));
    }
    let weights = Weights::of(&weight_shape, groups(call.attributes(), "group")?)?;
    if weights.inputs != x.shape()[1] {
        let (shape, groups) = (x.shape(), weights.groups);
        return Err(Fault::Shape(format!("{shape:?} does not fit the weights {weight_shape:?} in {groups} groups")));
    }
    if call.has(2) && call.shape(2)?[..] != [weights.outputs] {
        let bias = call.shape(2)?;
        return Err(Fault::Shape(format!("the bias {bias:?} does not fit {} channels", weights.outputs)));
    }
    let kernel = kernel_shape(call.attributes(), weights.kernel.len(), Some(&weights.kernel))?;
    let window = Window::new(call.attributes(), &x.shape()[2..], &kernel, false)?;
    let mut target = Shape::from_slice(&[x.shape()[0], weights.outputs]);
    target.extend(window.output());
    let mut result = call.make(DataType::F32, target.clone())?;
    call.memory.check_work(&[result.len(), weights.taps()])?;
    if result.len() == 0 {
        return call::one(result);
    }
    if weights.taps() == 0 {
        return Err(Fault::Shape(format!("the weights {weight_shape:?} have no elements")));
    }
    let activation = matrix::activation(call)?;
    let residual = match call.has(RESIDUAL) {
        true => Some(call.take(RESIDUAL)?),
        false => None,
    };
    // A summand of another shape is repeated, after which the activation comes.
    let fits =
        residual.as_ref().is_none_or(|residual| *residual.shape() == target && residual.data_type() == DataType::F32);
    {
        let epilogue = ConvEpilogue {
            bias: call.optional_floats(2)?,
            residual: residual.as_ref().filter(|_| fits).map(Value::raw),
            activation: if fits { activation } else { Activation::None },
        };
        compute(call, &x, &weights, &window, &mut result, &epilogue)?;
    }
    if let Some(residual) = residual.filter(|_| !fits) {
        call.inputs = vec![Some(result), Some(residual)];
        result = float_binary(call, Binary::Add)?;
        matrix::activate(call, activation, &mut result)?;
    }
    call::one(result)
}

fn compute(
    call: &Call<'_>,
    x: &Value,
    weights: &Weights,
    window: &Window,
    result: &mut Value,
    epilogue: &ConvEpilogue<'_>,
) -> Result<(), Fault> {
    let batch = x.shape()[0];
    if let &[_, _, depth, height, width] = &x.shape()[..] {
        let three = |of: fn(&Axis) -> usize| [of(&window.0[0]), of(&window.0[1]), of(&window.0[2])];
        let conv = Conv3d {
            inputs: weights.inputs,
            outputs: weights.outputs,
            groups: weights.groups,
            kernel: three(|axis| axis.kernel),
            strides: three(|axis| axis.stride),
            dilations: three(|axis| axis.dilation),
            pads: three(|axis| axis.before),
        };
        let (size, out) = ([depth, height, width], three(|axis| axis.output));
        conv_plain(call.cpu, &conv, call.floats(1)?, batch, x.raw(), size, result.raw_mut(), out, epilogue);
        return Ok(());
    }
    let size = match x.shape()[2..] {
        [height, width] => [height, width],
        [width] => [1, width],
        _ => return Err(Fault::Unsupported(format!("convolution of {:?}", x.shape()))),
    };
    let pads = flat_pads(window);
    let plan = match call.packed {
        Some(Packed::Conv(plan, _)) => plan.padded(pads),
        _ => {
            let weight = call.expect(1, DataType::F32)?;
            call.memory.check(2 * weight.bytes())?;
            let along = |of: fn(&Axis) -> usize| -> Shape { window.0.iter().map(of).collect() };
            let conv = weights.flat(&along(|axis| axis.stride), &along(|axis| axis.dilation), pads);
            ConvPlan::new(call.cpu, conv, weight.raw())
        }
    };
    let mut scratch = call.scratch(plan.scratch(call.cpu, size))?;
    plan.run(call.cpu, batch, x.raw(), size, result.raw_mut(), epilogue, scratch.slice_mut());
    Ok(())
}

fn global_pool(call: &mut Call<'_>, reduction: Reduction) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    if sizes.len() < 3 {
        return Err(Fault::Shape(format!("{sizes:?} has no spatial dimensions")));
    }
    let mut target = sizes.clone();
    target[2..].fill(1);
    let (rows, row) = (sizes[0] * sizes[1], sizes[2..].iter().product());
    let mut result = call.make(DataType::F32, target)?;
    if rows > 0 && shape::checked(&sizes)? == 0 {
        return Err(Fault::Shape(format!("{sizes:?} has nothing to pool")));
    }
    reduce::reduce(call.cpu, reduction, call.floats(0)?, [rows, row, 1], result.raw_mut());
    call::one(result)
}
