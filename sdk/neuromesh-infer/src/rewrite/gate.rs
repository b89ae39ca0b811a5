//! A value times a function of itself: SiLU (swish) and hard swish, as exporters spell them.

use super::{Replacement, View, is_close, orders, pair};
use crate::graph::{Node, ValueId};

pub(super) fn find(view: &View<'_>, node: &Node) -> Option<Replacement> {
    match node.op.name() {
        "Mul" => orders(node).find_map(|[x, gate]| {
            if let Some(sigmoid) = view.only_by(gate, "Sigmoid") {
                return (sigmoid.inputs == [Some(x)]).then(|| replacement("*Silu", x));
            }
            if let Some(hard) = view.only_by(gate, "HardSigmoid") {
                let number = |name: &str, default: f32| Some(hard.attributes.float(name).ok()?.unwrap_or(default));
                let fits = is_close(number("alpha", 0.2)?, 1.0 / 6.0) && is_close(number("beta", 0.5)?, 0.5);
                return (fits && hard.inputs == [Some(x)]).then(|| replacement("*HardSwish", x));
            }
            let [inner, six] = pair(view.only_by(gate, "Div")?)?;
            (number(view, six)? == 6.0 && shifted_and_clipped(view, inner)? == x).then(|| replacement("*HardSwish", x))
        }),
        "Div" => {
            let [product, six] = pair(node)?;
            if number(view, six)? != 6.0 {
                return None;
            }
            orders(view.only_by(product, "Mul")?)
                .find_map(|[x, gate]| (shifted_and_clipped(view, gate)? == x).then(|| replacement("*HardSwish", x)))
        }
        _ => None,
    }
}

fn replacement(op: &'static str, x: ValueId) -> Replacement {
    Replacement { op, inputs: vec![x], attributes: Vec::new() }
}

/// The `x` of `clip(x + 3, 0, 6)`.
fn shifted_and_clipped(view: &View<'_>, value: ValueId) -> Option<ValueId> {
    let clip = view.only_by(value, "Clip")?;
    let bound = |index: usize, name: &str| match clip.inputs.get(index).copied().flatten() {
        Some(id) => number(view, id),
        None => clip.attributes.float(name).ok()?,
    };
    if bound(1, "min")? != 0.0 || bound(2, "max")? != 6.0 {
        return None;
    }
    orders(view.only_by(clip.inputs[0]?, "Add")?).find_map(|[x, three]| (number(view, three)? == 3.0).then_some(x))
}

/// A constant that cannot add a dimension to what it meets.
fn number(view: &View<'_>, id: ValueId) -> Option<f32> {
    view.scalar(id).filter(|(_, rank)| *rank <= 1).map(|(value, _)| value)
}
