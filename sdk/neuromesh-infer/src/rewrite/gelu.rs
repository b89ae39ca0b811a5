//! GELU, spelled out with `Erf` or with `Tanh`.

use super::{Replacement, View, is_close, orders, pair};
use crate::{
    attribute::Attribute,
    graph::{Node, ValueId},
};

/// How deep a product of products is followed.
const MAX_DEPTH: usize = 4;

/// A product, taken apart: `scale * factors[0] * factors[1] …`.
struct Product {
    scale: f32,
    factors: Vec<ValueId>,
    /// The most dimensions of its constants: broadcasting may have added dimensions to the result.
    rank: usize,
}

/// `x * 0.5 * (1 + …)`, multiplied in any order.
pub(super) fn find(view: &View<'_>, node: &Node) -> Option<Replacement> {
    if node.op.name() != "Mul" {
        return None;
    }
    let product = Product::of_node(view, node)?;
    if !is_close(product.scale, 0.5) || product.factors.len() != 2 {
        return None;
    }
    [[0, 1], [1, 0]].into_iter().find_map(|[x, gate]| {
        let x = product.factors[x];
        orders(view.only_by(product.factors[gate], "Add")?).find_map(|[one, inner]| {
            let (value, one_rank) = view.scalar(one)?;
            if value != 1.0 {
                return None;
            }
            let (op, rank) = match erf_of(view, inner, x) {
                Some(rank) => ("*Gelu", rank),
                None => ("*GeluTanh", tanh_of(view, inner, x)?),
            };
            let rank = rank.max(one_rank).max(product.rank) as i64;
            Some(Replacement { op, inputs: vec![x], attributes: vec![("rank", Attribute::Int(rank))] })
        })
    })
}

/// `erf(x / sqrt 2)`.
fn erf_of(view: &View<'_>, value: ValueId, x: ValueId) -> Option<usize> {
    let [argument] = view.only_by(value, "Erf")?.inputs[..] else {
        return None;
    };
    let product = Product::of_value(view, argument?);
    (product.factors == [x] && is_close(product.scale, std::f32::consts::FRAC_1_SQRT_2)).then_some(product.rank)
}

/// `tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))`.
fn tanh_of(view: &View<'_>, value: ValueId, x: ValueId) -> Option<usize> {
    let [argument] = view.only_by(value, "Tanh")?.inputs[..] else {
        return None;
    };
    let outer = Product::of_value(view, argument?);
    if outer.factors.len() != 1 || !is_close(outer.scale, 0.797_884_6) {
        return None;
    }
    orders(view.only_by(outer.factors[0], "Add")?).find_map(|[linear, cubic]| {
        let cubic = Product::of_value(view, cubic);
        let fits = linear == x && cubic.factors == [x; 3] && is_close(cubic.scale, 0.044_715);
        fits.then_some(cubic.rank.max(outer.rank))
    })
}

impl Product {
    fn of_node(view: &View<'_>, node: &Node) -> Option<Self> {
        let mut product = Self { scale: 1.0, factors: Vec::new(), rank: 0 };
        product.multiply(view, node, MAX_DEPTH).then_some(product)
    }

    fn of_value(view: &View<'_>, value: ValueId) -> Self {
        let mut product = Self { scale: 1.0, factors: Vec::new(), rank: 0 };
        product.include(view, value, MAX_DEPTH);
        product
    }

    /// Takes a node apart if it multiplies.
    fn multiply(&mut self, view: &View<'_>, node: &Node, depth: usize) -> bool {
        let Some([a, b]) = pair(node).filter(|_| depth > 0) else {
            return false;
        };
        match node.op.name() {
            "Mul" => [a, b].into_iter().for_each(|factor| self.include(view, factor, depth - 1)),
            "Div" => match view.scalar(b) {
                Some((divisor, rank)) => {
                    self.scale /= divisor;
                    self.rank = self.rank.max(rank);
                    self.include(view, a, depth - 1);
                }
                None => return false,
            },
            "Pow" => match view.scalar(b) {
                Some((3.0, rank)) => {
                    self.rank = self.rank.max(rank);
                    self.factors.extend([a; 3]);
                }
                _ => return false,
            },
            _ => return false,
        }
        true
    }

    fn include(&mut self, view: &View<'_>, value: ValueId, depth: usize) {
        if let Some((factor, rank)) = view.scalar(value) {
            self.scale *= factor;
            self.rank = self.rank.max(rank);
            return;
        }
        let node = ["Mul", "Div", "Pow"].into_iter().find_map(|op| view.only_by(value, op));
        if !node.is_some_and(|node| self.multiply(view, node, depth)) {
            self.factors.push(value);
        }
    }
}
