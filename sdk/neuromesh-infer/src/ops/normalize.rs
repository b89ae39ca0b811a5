//! Softmax and normalization.

use burn_backend::{Backend, Shape, TensorMetadata, tensor::FloatTensor};

use super::{
    call::{self, Call, Outputs},
    fused::softmax_rows,
};
use crate::{
    DataType, Fault, shape,
    value::{Value, float_from},
};

pub(crate) fn softmax<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    along_axis(call, softmax_along)
}

pub(crate) fn log_softmax<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    along_axis(call, |call, axis| {
        let tensor = call.float(0)?;
        call::float::<B>(B::log_softmax(tensor, axis))
    })
}

/// Softmax along an axis that exists. Rows that lie together go through our own kernel.
pub(crate) fn softmax_along<B: Backend>(call: &mut Call<'_, B>, axis: usize) -> Result<Outputs<B>, Fault> {
    if axis + 1 < call.shape(0)?.len() {
        let tensor = call.float(0)?;
        return call::float::<B>(B::softmax(tensor, axis));
    }
    let mut host = call.host_floats(0)?;
    softmax_rows(&mut host, |_, _| {});
    call::float::<B>(float_from::<B>(host, call.device))
}

fn along_axis<B: Backend>(
    call: &mut Call<'_, B>,
    apply: fn(&mut Call<'_, B>, usize) -> Result<Outputs<B>, Fault>,
) -> Result<Outputs<B>, Fault> {
    let sizes = call.shape(0)?;
    let flattens = call.opset() < 13;
    let axis = call.attributes().int("axis")?.unwrap_or(if flattens { 1 } else { -1 });
    let axis = shape::axis(axis, sizes.len())?;
    // The result and what the kernel holds meanwhile.
    call.charge(&sizes, DataType::F32)?;
    if call.charge(&sizes, DataType::F32)? == 0 {
        return call::one(call.take(0)?);
    }
    if !flattens {
        return apply(call, axis);
    }
    // Before operator set 13 everything from the axis on is one row.
    let rows: Vec<usize> = vec![sizes[..axis].iter().product(), sizes[axis..].iter().product()];
    let tensor = call.float(0)?;
    call.inputs = vec![Some(Value::Float(B::float_reshape(tensor, Shape::from(rows))))];
    let results = apply(call, 1)?;
    Ok(results.into_iter().map(|value| value.reshape(sizes.clone())).collect())
}

pub(crate) fn layer_normalization<B: Backend>(call: &mut Call<'_, B>) -> Result<Outputs<B>, Fault> {
    let sizes = call.shape(0)?;
    let axis = shape::axis(call.attributes().int("axis")?.unwrap_or(-1), sizes.len())?;
    layer_norm(call, axis)
}

/// Normalizes everything from `axis` on, then scales by operand 1 and adds operand 2 if it is there.
pub(crate) fn layer_norm<B: Backend>(call: &mut Call<'_, B>, axis: usize) -> Result<Outputs<B>, Fault> {
    let sizes = call.shape(0)?;
    let epsilon = call.attributes().float("epsilon")?.unwrap_or(1e-5);
    call.charge(&sizes, DataType::F32)?;
    let elements = call.charge(&sizes, DataType::F32)?;
    let row: usize = sizes[axis..].iter().product();
    for input in 1..call.inputs.len() {
        if call.has(input) {
            let own = call.shape(input)?;
            let leading =
                own.iter().take_while(|&&size| size == 1).count().min(own.len().saturating_sub(sizes.len() - axis));
            if own[leading..] != sizes[axis..] {
                return Err(Fault::Unsupported(format!(
                    "{own:?} as scale or bias of {sizes:?} from dimension {axis} on"
                )));
            }
        }
    }
    let x = call.float(0)?;
    if elements == 0 {
        return call::float::<B>(x);
    }
    let flat = |tensor: FloatTensor<B>| B::float_reshape(tensor, Shape::from(vec![row]));
    let scale = flat(call.float(1)?);
    let bias = match call.has(2) {
        true => Some(flat(call.float(2)?)),
        false => None,
    };
    if axis + 1 == sizes.len() {
        return call::float::<B>(B::layer_norm(x, scale, bias, f64::from(epsilon)));
    }
    let rows = B::float_reshape(x, Shape::from(vec![elements / row, row]));
    let result = B::layer_norm(rows, scale, bias, f64::from(epsilon));
    debug_assert_eq!(result.shape().num_elements(), elements);
    call::float::<B>(B::float_reshape(result, Shape::from(sizes)))
}
