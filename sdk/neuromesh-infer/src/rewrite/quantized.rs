//! A product of integers with a dynamically quantized operand, made a number again: what quantizers write in place of `MatMul`.

use super::{Found, View, orders};
use crate::{
    DataType,
    attribute::Attributes,
    graph::Node,
    ops::{self, qlinear::MIN_COLUMNS},
    value::Value,
};

/// Ours: integers, weight, their zero points, their scales, and the bias if there is one.
const PRODUCT: &str = "*QuantizedMatMul";
/// The position of the bias.
const BIAS: usize = 6;

/// `Cast(MatMulInteger(a, weight, a_zero, weight_zero)) * (a_scale * weight_scale)`, where `a`, `a_scale` and `a_zero` come from
/// one `DynamicQuantizeLinear`.
pub(super) fn find(view: &View<'_>, node: &Node) -> Option<Found> {
    if node.op.name() != "Mul" {
        return None;
    }
    orders(node).find_map(|[number, scale]| {
        let cast = view.only_by(number, "Cast")?;
        if cast.attributes.int("to").ok()? != Some(1) {
            return None;
        }
        let product = view.only_by(cast.inputs[0]?, "MatMulInteger")?;
        let &[Some(a), Some(weight), Some(a_zero), ..] = &product.inputs[..] else {
            return None;
        };
        let weight_zero = product.inputs.get(3).copied().flatten();
        let columns = columns(view.constant(weight)?)?;
        let fits = |value: &Value| value.rank() <= 1 && (value.len() == 1 || value.len() == columns);
        if !weight_zero.is_none_or(|zero| view.constant(zero).is_some_and(fits)) {
            return None;
        }
        orders(view.only_by(scale, "Mul")?).find_map(|[a_scale, weight_scale]| {
            let made = view.made_by(a_scale, "DynamicQuantizeLinear")?;
            let own = view.constant(weight_scale)?;
            let fits = made.outputs[..] == [Some(a), Some(a_scale), Some(a_zero)]
                && own.data_type() == DataType::F32
                && fits(own);
            fits.then(|| Found {
                op: ops::own(PRODUCT),
                inputs: vec![Some(a), Some(weight), Some(a_zero), weight_zero, Some(a_scale), Some(weight_scale)],
                attributes: Attributes::default(),
            })
        })
    })
}

/// The same `+ bias`.
pub(super) fn find_bias(view: &View<'_>, node: &Node) -> Option<Found> {
    if node.op.name() != "Add" {
        return None;
    }
    orders(node).find_map(|[product, bias]| {
        let product = view.only_by(product, PRODUCT).filter(|product| product.inputs.len() == BIAS)?;
        let columns = columns(view.constant(product.inputs[1]?)?)?;
        let mut inputs = product.inputs.clone();
        inputs.push(Some(bias));
        let fits = view.constant_shape(bias)? == [columns];
        fits.then(|| Found { op: product.op, inputs, attributes: product.attributes.clone() })
    })
}

/// Of a matrix of bytes that will be packed.
fn columns(weight: &Value) -> Option<usize> {
    match (weight.data_type(), &weight.shape()[..]) {
        (DataType::I8 | DataType::U8, &[rows, columns]) if rows > 0 && columns >= MIN_COLUMNS => Some(columns),
        _ => None,
    }
}
