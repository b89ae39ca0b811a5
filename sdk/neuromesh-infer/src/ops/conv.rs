//! Convolution and global pooling.

use super::{
    Constants, Operator, Packed,
    call::{self, Call, Outputs},
    elementwise::float_binary,
    matrix, op,
    window::Window,
};
use crate::{
    DataType, Fault,
    attribute::{Attributes, wrong},
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
    let groups = groups(attributes).ok()?;
    let weights = Weights::of(weight.shape(), groups).ok()?;
    if weights.kernel.len() > 2 || weights.taps() == 0 {
        return None;
    }
    // What depends on the input, the padding, comes with it; the other attributes are checked then, too.
    let numbers = |name: &str| super::window::numbers(attributes, name, 1, weights.kernel.len(), 1).ok();
    let conv = weights.flat(&numbers("strides")?, &numbers("dilations")?, &[]);
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
    fn flat(&self, strides: &[usize], dilations: &[usize], pads: &[(usize, usize)]) -> Conv2d {
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
            pads: flat_pads(pads),
        }
    }
}

/// Above, left, below and right.
fn flat_pads(pads: &[(usize, usize)]) -> [usize; 4] {
    match *pads {
        [(left, right)] => [0, left, 0, right],
        [(top, bottom), (left, right)] => [top, left, bottom, right],
        _ => [0; 4],
    }
}

fn groups(attributes: &Attributes) -> Result<usize, Fault> {
    let groups = attributes.int("group")?.unwrap_or(1);
    usize::try_from(groups).ok().filter(|&groups| groups > 0).ok_or_else(|| wrong("group", "it must be positive"))
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
    let weights = Weights::of(&weight_shape, groups(call.attributes())?)?;
    if weights.inputs != x.shape()[1] {
        let (shape, groups) = (x.shape(), weights.groups);
        return Err(Fault::Shape(format!("{shape:?} does not fit the weights {weight_shape:?} in {groups} groups")));
    }
    if call.has(2) && call.shape(2)?[..] != [weights.outputs] {
        let bias = call.shape(2)?;
        return Err(Fault::Shape(format!("the bias {bias:?} does not fit {} channels", weights.outputs)));
    }
    let window = Window::new(call.attributes(), &x.shape()[2..], &weights.kernel)?;
    let mut target = Shape::from_slice(&[x.shape()[0], weights.outputs]);
    target.extend_from_slice(&window.output);
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
    let fits = residual.as_ref().is_none_or(|residual| *residual.shape() == target && residual.data_type() == DataType::F32);
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
        let three = |list: &[usize]| [list[0], list[1], list[2]];
        let conv = Conv3d {
            inputs: weights.inputs,
            outputs: weights.outputs,
            groups: weights.groups,
            kernel: three(&weights.kernel),
            strides: three(&window.strides),
            dilations: three(&window.dilations),
            pads: [window.pads[0].0, window.pads[1].0, window.pads[2].0],
        };
        let (size, out) = ([depth, height, width], three(&window.output));
        conv_plain(call.cpu, &conv, call.floats(1)?, batch, x.raw(), size, result.raw_mut(), out, epilogue);
        return Ok(());
    }
    let size = match x.shape()[2..] {
        [height, width] => [height, width],
        [width] => [1, width],
        _ => return Err(Fault::Unsupported(format!("convolution of {:?}", x.shape()))),
    };
    let pads = flat_pads(&window.pads);
    let plan = match call.packed {
        Some(Packed::Conv(plan, _)) => plan.padded(pads),
        _ => {
            let weight = call.expect(1, DataType::F32)?;
            call.memory.check(2 * weight.bytes())?;
            let conv = weights.flat(&window.strides, &window.dilations, &window.pads);
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
