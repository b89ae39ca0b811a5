//! Batch normalization: by statistics that were learned, or, in training, by those of the batch.

use crate::{
    DataType, Fault,
    kernels::norm,
    ops::{
        Operator,
        call::{Call, Outputs},
        op, sums,
    },
    shape::{self, Shape},
    value::Value,
};

pub(super) const OPERATOR: Operator = op("BatchNormalization", 7, 5..=5, batch).outputs(1..=5);

/// The operand as `[batch, channels, inner]`.
struct Layout {
    batch: usize,
    channels: usize,
    inner: usize,
    /// The shape of the parameters.
    parameters: Shape,
}

impl Layout {
    fn new(call: &Call<'_>) -> Result<Self, Fault> {
        let sizes = call.shape(0)?;
        // Before operator set 9, each element of an image could have statistics of its own.
        let spatial = call.opset() >= 9 || call.attributes().flag("spatial", true)?;
        Ok(match &sizes[..] {
            [batch, rest @ ..] if !spatial => {
                let parameters = Shape::from_slice(rest);
                Self { batch: *batch, channels: shape::checked(rest)?, inner: 1, parameters }
            }
            [batch, channels, rest @ ..] => {
                let parameters = Shape::from_slice(&[*channels]);
                Self { batch: *batch, channels: *channels, inner: rest.iter().product(), parameters }
            }
            [batch] => Self { batch: *batch, channels: 1, inner: 1, parameters: Shape::from_slice(&[1]) },
            [] => return Err(Fault::Shape("a single number has no channels".into())),
        })
    }

    fn parameter<'a>(&self, call: &'a Call<'_>, input: usize) -> Result<&'a [f32], Fault> {
        match call.shape(input)? == self.parameters {
            true => call.floats(input),
            false => {
                let (found, wanted) = (call.shape(input)?, &self.parameters);
                Err(Fault::Shape(format!("input {input} is {found:?}; {wanted:?} is needed")))
            }
        }
    }
}

fn batch(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let layout = Layout::new(call)?;
    let (scale, bias) = (layout.parameter(call, 1)?, layout.parameter(call, 2)?);
    let (mean, variance) = (layout.parameter(call, 3)?, layout.parameter(call, 4)?);
    let wanted = call.node.outputs.len();
    let training = match call.opset() {
        14.. => call.attributes().flag("training_mode", false)?,
        // Older ones said it by asking for more results.
        _ => wanted > 1,
    };
    if !training {
        return match wanted {
            1 => Ok(vec![normalized(call, &layout, scale, bias, mean, variance)?]),
            _ => Err(Fault::Unsupported("statistics as results without training".into())),
        };
    }
    let (new_mean, new_variance) = statistics(call, &layout)?;
    let result = normalized(call, &layout, scale, bias, new_mean.raw(), new_variance.raw())?;
    let momentum = call.attributes().float("momentum")?.unwrap_or(0.9);
    let running = |old: &[f32], new: &Value| -> Result<Value, Fault> {
        let mut running = call.make(DataType::F32, layout.parameters.clone())?;
        let pairs = running.raw_mut::<f32>().iter_mut().zip(old.iter().zip(new.raw::<f32>()));
        pairs.for_each(|(to, (&old, &new))| *to = old * momentum + new * (1.0 - momentum));
        Ok(running)
    };
    let (running_mean, running_variance) = (running(mean, &new_mean)?, running(variance, &new_variance)?);
    let mut results = vec![result, running_mean, running_variance, new_mean, new_variance];
    results.truncate(wanted);
    Ok(results)
}

fn normalized(
    call: &Call<'_>,
    layout: &Layout,
    scale: &[f32],
    bias: &[f32],
    mean: &[f32],
    variance: &[f32],
) -> Result<Value, Fault> {
    let epsilon = call.attributes().float("epsilon")?.unwrap_or(1e-5);
    let x = call.floats(0)?;
    let copy = |from: &[f32]| -> Result<Value, Fault> {
        let mut copy = call.make(DataType::F32, [layout.channels].as_slice())?;
        copy.raw_mut().copy_from_slice(from);
        Ok(copy)
    };
    let (mut factor, mut shift) = (copy(scale)?, copy(bias)?);
    norm::fold_batch_norm(factor.raw_mut(), shift.raw_mut(), mean, variance, epsilon);
    let mut result = call.make(DataType::F32, call.shape(0)?)?;
    if !x.is_empty() {
        norm::scale_channels(call.cpu, Some(x), result.raw_mut(), layout.inner, (factor.raw(), shift.raw()));
    }
    Ok(result)
}

/// The mean and the variance of each channel: the sums of an image's elements first, then those of the images in order.
fn statistics(call: &Call<'_>, layout: &Layout) -> Result<(Value, Value), Fault> {
    let Layout { batch, channels, inner, .. } = *layout;
    let x = call.floats(0)?;
    let mut mean = call.make(DataType::F32, layout.parameters.clone())?;
    let mut variance = call.make(DataType::F32, layout.parameters.clone())?;
    if x.is_empty() {
        mean.raw_mut::<f32>().fill(f32::NAN);
        variance.raw_mut::<f32>().fill(f32::NAN);
        return Ok((mean, variance));
    }
    let count = (batch * inner) as f32;
    let pairs = mean.raw_mut::<f32>().iter_mut().zip(variance.raw_mut::<f32>());
    for (channel, (mean, variance)) in pairs.enumerate() {
        let row = |image: usize| &x[(image * channels + channel) * inner..][..inner];
        *mean = (0..batch).fold(0.0, |sum, image| sum + sums::sum(row(image))) / count;
        let squares = |x: f32| (x - *mean) * (x - *mean);
        *variance = (0..batch).fold(0.0, |sum, image| sum + sums::sum_of(row(image), squares)) / count;
    }
    Ok((mean, variance))
}
