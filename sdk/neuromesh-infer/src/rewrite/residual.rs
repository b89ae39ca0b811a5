//! What is added to the results of a convolution, added while they are at hand.

use super::{Found, View, orders};
use crate::{graph::Node, ops};

/// The position of the operand that a convolution adds.
pub(crate) const RESIDUAL: usize = 3;

pub(super) fn find(view: &View<'_>, node: &Node) -> Option<Found> {
    if node.op.name() != "Add" {
        return None;
    }
    orders(node).find_map(|[product, other]| {
        // Only what comes from somewhere: a constant is more likely a bias, which broadcasts.
        if product == other || view.constant(other).is_some() {
            return None;
        }
        let convolution = view.only_by(product, "Conv")?;
        let mut inputs = convolution.inputs.clone();
        inputs.resize(RESIDUAL, None);
        inputs.push(Some(other));
        Some(Found { op: ops::own("*Conv"), inputs, attributes: convolution.attributes.clone() })
    })
}
