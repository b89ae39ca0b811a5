//! Matrix products, convolutions, pooling, recurrent layers.

use super::{
    Sketch,
    rules::{Known, Use, broadcast_shapes, one},
    size,
};
use crate::{
    DataType, Dim, Fault,
    ops::window::{Window, groups, kernel_shape, numbers},
};

pub(super) fn apply(at: &Use<'_>) -> Known {
    let first = at.data_type(0);
    match at.op() {
        "MatMul" => product(at, 0, 1, first),
        "MatMulInteger" => product(at, 0, 1, Some(DataType::I32)),
        "QLinearMatMul" => product(at, 0, 3, at.data_type(7)),
        "Gemm" => gemm(at),
        "Conv" => convolution(at, 0, 1, first),
        "ConvInteger" => convolution(at, 0, 1, Some(DataType::I32)),
        "QLinearConv" => convolution(at, 0, 3, at.data_type(7)),
        "MaxPool" => {
            let shape = pool(at)?;
            Ok(vec![Sketch::new(first, shape.clone()), Sketch::new(Some(DataType::I64), shape)])
        }
        "AveragePool" | "LpPool" => one(first, pool(at)?),
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => {
            let shape = at.shape(0).filter(|shape| shape.len() > 2);
            one(
                first,
                shape.map(|shape| shape[..2].iter().cloned().chain(vec![Dim::Fixed(1); shape.len() - 2]).collect()),
            )
        }
        "ConvTranspose" => transposed(at),
        "LSTM" | "GRU" | "RNN" => recurrent(at),
        _ => Ok(Vec::new()),
    }
}

fn product(at: &Use<'_>, left: usize, right: usize, data_type: Option<DataType>) -> Known {
    let (Some(a), Some(b)) = (at.shape(left), at.shape(right)) else {
        return one(data_type, None);
    };
    let misfit = || Fault::Shape(format!("{} and {} do not multiply", size::display(a), size::display(b)));
    let (rows, depth) = match a {
        [] => return Err(misfit()),
        [depth] => (None, depth),
        [.., rows, depth] => (Some(rows), depth),
    };
    let (other, columns) = match b {
        [] => return Err(misfit()),
        [depth] => (depth, None),
        [.., depth, columns] => (depth, Some(columns)),
    };
    if size::known(depth).zip(size::known(other)).is_some_and(|(a, b)| a != b) {
        return Err(misfit());
    }
    let outer = |shape: &[Dim]| shape[..shape.len().saturating_sub(2)].to_vec();
    let mut shape = broadcast_shapes(&outer(a), &outer(b))?;
    shape.extend(rows.into_iter().chain(columns).cloned());
    one(data_type, Some(shape))
}

fn gemm(at: &Use<'_>) -> Known {
    let turned = |name: &str| at.node.attributes.flag(name, false);
    let (Some([a0, a1]), Some([b0, b1])) = (at.shape(0), at.shape(1)) else {
        return one(at.data_type(0), Some(vec![Dim::Unknown; 2]));
    };
    let (rows, depth) = if turned("transA")? { (a1, a0) } else { (a0, a1) };
    let (other, columns) = if turned("transB")? { (b1, b0) } else { (b0, b1) };
    if let Some((a, b)) = size::known(depth).zip(size::known(other))
        && a != b
    {
        return Err(Fault::Shape(format!("a matrix of {a} columns does not multiply one of {b} rows")));
    }
    one(at.data_type(0), Some(vec![rows.clone(), columns.clone()]))
}

/// Spatial sizes after a window has moved over them.
fn moved(at: &Use<'_>, spatial: &[Dim], kernel: &[usize], ceil: bool) -> Result<Vec<Dim>, Fault> {
    // A size without a number stands in for one that no kernel exceeds.
    let sizes: Vec<usize> = spatial.iter().map(|dim| size::known(dim).unwrap_or(1 << 28)).collect();
    let window = Window::new(&at.node.attributes, &sizes, kernel, ceil)?;
    let known = |(dim, output): (&Dim, usize)| size::known(dim).map_or(Dim::Unknown, |_| Dim::Fixed(output));
    Ok(spatial.iter().zip(window.output()).map(known).collect())
}

fn convolution(at: &Use<'_>, input: usize, weights: usize, data_type: Option<DataType>) -> Known {
    let Some(weights) = at.input(weights).and_then(Sketch::sizes).filter(|weights| weights.len() > 2) else {
        return one(data_type, at.shape(input).map(|shape| vec![Dim::Unknown; shape.len()]));
    };
    let Some(x) = at.shape(input) else {
        let mut shape = vec![Dim::Unknown; weights.len()];
        shape[1] = Dim::Fixed(weights[0]);
        return one(data_type, Some(shape));
    };
    let groups = groups(&at.node.attributes, "group")?;
    let channels = weights[1].saturating_mul(groups);
    if x.len() != weights.len() || size::known(&x[1]).is_some_and(|own| own != channels) {
        let x = size::display(x);
        return Err(Fault::Shape(format!("weights {weights:?} in {groups} groups do not fit an input {x}")));
    }
    let kernel = kernel_shape(&at.node.attributes, x.len() - 2, Some(&weights[2..]))?;
    let mut shape = vec![x[0].clone(), Dim::Fixed(weights[0])];
    shape.extend(moved(at, &x[2..], &kernel, false)?);
    one(data_type, Some(shape))
}

fn pool(at: &Use<'_>) -> Result<Option<Vec<Dim>>, Fault> {
    let Some(x) = at.shape(0).filter(|x| x.len() > 2) else {
        return Ok(None);
    };
    let kernel = kernel_shape(&at.node.attributes, x.len() - 2, None)?;
    let ceil = at.node.attributes.flag("ceil_mode", false)?;
    let mut shape = x[..2].to_vec();
    shape.extend(moved(at, &x[2..], &kernel, ceil)?);
    Ok(Some(shape))
}

fn transposed(at: &Use<'_>) -> Known {
    let (Some(x), Some(weights)) = (at.shape(0), at.input(1).and_then(Sketch::sizes)) else {
        return one(at.data_type(0), None);
    };
    let attributes = &at.node.attributes;
    if x.len() < 3 || x.len() != weights.len() {
        return one(at.data_type(0), None);
    }
    let rank = x.len() - 2;
    let mut shape = vec![x[0].clone(), Dim::Fixed(weights[1].saturating_mul(groups(attributes, "group")?))];
    let auto = attributes.text("auto_pad")?.unwrap_or("NOTSET");
    if auto != "NOTSET" || attributes.get("output_shape").is_some() {
        shape.extend(vec![Dim::Unknown; rank]);
        return one(at.data_type(0), Some(shape));
    }
    let strides = numbers(attributes, "strides", 1, rank, 1)?;
    let dilations = numbers(attributes, "dilations", 1, rank, 1)?;
    let pads = numbers(attributes, "pads", 0, 2 * rank, 0)?;
    let more = numbers(attributes, "output_padding", 0, rank, 0)?;
    for axis in 0..rank {
        let length = size::known(&x[2 + axis]).filter(|&size| size > 0 && size < 1 << 28).map(|size| {
            let reach = (weights[2 + axis].max(1) as i128 - 1) * dilations[axis] as i128 + 1;
            let length = (size as i128 - 1) * strides[axis] as i128 + reach + more[axis] as i128;
            length - pads[axis] as i128 - pads[rank + axis] as i128
        });
        shape.push(length.and_then(|length| usize::try_from(length).ok()).map_or(Dim::Unknown, Dim::Fixed));
    }
    one(at.data_type(0), Some(shape))
}

fn recurrent(at: &Use<'_>) -> Known {
    let data_type = at.data_type(0);
    let hidden = match at.shape(2) {
        Some([_, _, hidden]) => hidden.clone(),
        _ => Dim::Unknown,
    };
    let directions = match at.node.attributes.text("direction")? {
        Some("bidirectional") => Dim::Fixed(2),
        _ => Dim::Fixed(1),
    };
    let batch_first = at.int("layout", 0)? != 0;
    let (length, batch) = match at.shape(0) {
        Some([batch, length, _]) if batch_first => (length.clone(), batch.clone()),
        Some([length, batch, _]) => (length.clone(), batch.clone()),
        _ => (Dim::Unknown, Dim::Unknown),
    };
    let (all, last) = match batch_first {
        true => (vec![batch.clone(), length, directions.clone(), hidden.clone()], vec![batch, directions, hidden]),
        false => (vec![length, directions.clone(), batch.clone(), hidden.clone()], vec![directions, batch, hidden]),
    };
    let last = Sketch::new(data_type, Some(last));
    Ok(vec![Sketch::new(data_type, Some(all)), last.clone(), last])
}
