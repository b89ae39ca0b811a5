//! `MatMul` with a weight matrix, then `Add` of a bias.

use super::{Replacement, View, orders, pair};
use crate::graph::Node;

pub(super) fn find(view: &View<'_>, node: &Node) -> Option<Replacement> {
    if node.op.name() != "Add" {
        return None;
    }
    orders(node).find_map(|[product, bias]| {
        let [x, weight] = pair(view.only_by(product, "MatMul")?)?;
        match (view.constant_shape(weight)?, view.constant_shape(bias)?) {
            ([_, columns], [length]) if columns == length => {
                Some(Replacement { op: "*Linear", inputs: vec![x, weight, bias], attributes: Vec::new() })
            }
            _ => None,
        }
    })
}
