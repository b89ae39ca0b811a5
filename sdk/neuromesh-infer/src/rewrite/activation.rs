//! A function of each element, taken while the product or the convolution before it still has its results at hand.

use super::{Found, View};
use crate::{
    attribute::{Attribute, Attributes},
    graph::{Node, ValueId},
    ops,
};

/// The attributes by which an operator learns what to do at its end.
pub(crate) const ACTIVATION: &str = "activation";

pub(super) fn find(view: &View<'_>, node: &Node) -> Option<Found> {
    let x = node.inputs.first().copied().flatten()?;
    let number = |name: &str, default: f32| Some(node.attributes.float(name).ok()?.unwrap_or(default));
    let (mut attributes, mut rank) = (Vec::new(), 0);
    let name = match node.op.name() {
        name @ ("Relu" | "Sigmoid" | "Tanh" | "HardSwish") => name,
        "*Silu" => "Silu",
        "*HardSwish" => "HardSwish",
        name @ ("*Gelu" | "*GeluTanh") => {
            rank = node.attributes.int("rank").ok()?.unwrap_or(0);
            &name[1..]
        }
        "Gelu" => match node.attributes.text("approximate").ok()?.unwrap_or("none") {
            "none" => "Gelu",
            "tanh" => "GeluTanh",
            _ => return None,
        },
        "LeakyRelu" => {
            attributes.push(("alpha", number("alpha", 0.01)?));
            "LeakyRelu"
        }
        "Clip" => {
            let (low, high) = bounds(view, node)?;
            attributes.extend([("low", low), ("high", high)]);
            "Clip"
        }
        _ => return None,
    };
    let producer = ["*Linear", "MatMul", "Gemm", "Conv", "*Conv", "*QuantizedMatMul"]
        .into_iter()
        .find_map(|op| view.only_by(x, op))?;
    // Constants of more dimensions than the product has would have changed the shape.
    let dimensions = match producer.op.name() {
        "*Linear" | "*QuantizedMatMul" => 1,
        "Gemm" => 2,
        _ => 0,
    };
    if rank > dimensions {
        return None;
    }
    let taken =
        producer.attributes.get(ACTIVATION).is_some() || (producer.op.name() == "Gemm" && !ends_itself(view, producer));
    if taken {
        return None;
    }
    let mut all = producer.attributes.0.clone();
    all.push((ACTIVATION.to_owned(), Attribute::Text(name.to_owned())));
    // Names of their own: `alpha` is also a factor of `Gemm`.
    all.extend(attributes.into_iter().map(|(name, value)| (format!("{ACTIVATION}_{name}"), Attribute::Float(value))));
    Some(Found { op: ops::own(producer.op.name()), inputs: producer.inputs.clone(), attributes: Attributes(all) })
}

/// The bounds of a `Clip`, if they are known.
fn bounds(view: &View<'_>, node: &Node) -> Option<(f32, f32)> {
    if node.opset < 11 {
        let bound = |name: &str| node.attributes.float(name).ok();
        return Some((bound("min")?.unwrap_or(f32::MIN), bound("max")?.unwrap_or(f32::MAX)));
    }
    let bound = |input: usize, default: f32| match node.inputs.get(input).copied().flatten() {
        None => Some(default),
        Some(id) => view.scalar(id).map(|(value, _)| value),
    };
    let (low, high) = (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?);
    // Crossed bounds have a rule of their own.
    (low <= high).then_some((low, high))
}

/// Whether nothing is left to do after the product itself.
fn ends_itself(view: &View<'_>, gemm: &Node) -> bool {
    let beta = gemm.attributes.float("beta").ok().flatten().unwrap_or(1.0);
    let shape = |id: ValueId| view.constant_shape(id);
    match gemm.inputs.get(2).copied().flatten() {
        None => true,
        Some(bias) => {
            let columns = gemm.inputs[1].and_then(shape).and_then(|shape| {
                let transposes = gemm.attributes.flag("transB", false).ok()?;
                shape.get(usize::from(!transposes)).copied()
            });
            beta == 1.0
                && columns.is_some()
                && shape(bias).is_some_and(|shape| shape.len() == 1 && shape.first() == columns.as_ref())
        }
    }
}
