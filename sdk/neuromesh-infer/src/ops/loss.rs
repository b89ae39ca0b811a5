//! Losses: what training minimizes, and some exported models still compute.

use super::{
    Operator,
    call::{Call, Outputs},
    op, sums,
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    kernels::softmax::{self, Kind},
    shape::Shape,
    value::Value,
};

pub(super) const TABLE: &[Operator] = &[
    op("NegativeLogLikelihoodLoss", 12, 2..=3, likelihood),
    op("SoftmaxCrossEntropyLoss", 12, 2..=3, cross_entropy).outputs(1..=2),
];

fn likelihood(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    Ok(vec![loss(call, call.expect(0, DataType::F32)?)?])
}

fn cross_entropy(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let scores = call.floats(0)?;
    let mut logarithms = call.make(DataType::F32, call.shape(0)?)?;
    let out = logarithms.raw_mut::<f32>();
    out.copy_from_slice(scores);
    if let [images, classes, rest @ ..] = &call.shape(0)?[..]
        && !out.is_empty()
    {
        softmax::softmax_axis(call.cpu, Kind::LogSoftmax, out, [*images, *classes, rest.iter().product()]);
    }
    let mut results = vec![loss(call, &logarithms)?, logarithms];
    results.truncate(call.node.outputs.len());
    Ok(results)
}

/// How far the logarithms of the right classes are below zero, weighted and reduced.
fn loss(call: &Call<'_>, logarithms: &Value) -> Result<Value, Fault> {
    let sizes = logarithms.shape();
    let [images, classes, rest @ ..] = &sizes[..] else {
        return Err(Fault::Shape(format!("{sizes:?} has no classes")));
    };
    let inner: usize = rest.iter().product();
    let mut target = Shape::from_slice(&[*images]);
    target.extend_from_slice(rest);
    if call.shape(1)? != target {
        return Err(Fault::Shape(format!("labels of shape {:?} for {sizes:?}", call.shape(1)?)));
    }
    let class_weights = call.optional_floats(2)?;
    if class_weights.is_some() && call.shape(2)?[..] != [*classes] {
        return Err(Fault::Shape(format!("weights of shape {:?} for {classes} classes", call.shape(2)?)));
    }
    let ignored = call.attributes().int("ignore_index")?;
    let labels = call.integers(1)?;
    let data = logarithms.raw::<f32>();
    let mut losses = call.make(DataType::F32, target.clone())?;
    let mut weights = call.make(DataType::F32, target)?;
    let pairs = losses.raw_mut::<f32>().iter_mut().zip(weights.raw_mut::<f32>());
    for (at, ((loss, weight), &label)) in pairs.zip(&labels).enumerate() {
        if ignored == Some(label) {
            (*loss, *weight) = (0.0, 0.0);
            continue;
        }
        let class = usize::try_from(label).ok().filter(|class| class < classes);
        let class = class.ok_or_else(|| Fault::Value(format!("label {label} is not one of {classes} classes")))?;
        *weight = class_weights.map_or(1.0, |weights| weights[class]);
        *loss = -data[(at / inner * classes + class) * inner + at % inner] * *weight;
    }
    let total = match call.attributes().text("reduction")?.unwrap_or("mean") {
        "none" => return Ok(losses),
        "sum" => sums::sum(losses.raw()),
        "mean" => sums::sum(losses.raw()) / sums::sum(weights.raw()),
        other => return Err(wrong("reduction", &format!("{other:?} is unknown"))),
    };
    Ok(Value::constant(DataType::F32, Shape::new(), &[total]))
}
