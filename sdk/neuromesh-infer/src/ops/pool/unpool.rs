//! Back to where the greatest elements came from.

use crate::{
    Fault,
    ops::{
        Operator,
        call::{self, Call, Outputs},
        moves, window,
    },
    shape::{self, Shape},
    value::by_size,
};

pub(super) const OPERATOR: Operator = moves("MaxUnpool", 9, 2..=3, unpool);

fn unpool(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    if sizes.len() < 3 || call.shape(1)? != sizes {
        return Err(Fault::Shape(format!("indices of shape {:?} for {sizes:?}", call.shape(1)?)));
    }
    let spatial = sizes.len() - 2;
    let kernel = window::kernel_shape(call.attributes(), spatial, None)?;
    let strides = window::numbers(call.attributes(), "strides", 1, spatial, 1)?;
    let pads = window::numbers(call.attributes(), "pads", 0, 2 * spatial, 0)?;
    // What the indices count in.
    let mut pooled = Shape::from_slice(&sizes[..2]);
    for (axis, &size) in sizes[2..].iter().enumerate() {
        let reach = size.checked_sub(1).and_then(|steps| steps.checked_mul(strides[axis]));
        let whole = reach.and_then(|reach| reach.checked_add(kernel[axis]));
        let size = whole.and_then(|whole| whole.checked_sub(pads[axis] + pads[spatial + axis]));
        pooled.push(size.ok_or_else(|| Fault::Shape(format!("{sizes:?} cannot have been pooled with {kernel:?}")))?);
    }
    let elements = shape::checked(&pooled)?;
    let target = match call.optional_list(2)? {
        None => pooled.clone(),
        Some(list) => shape::sizes(&list).map_err(|reason| Fault::Value(reason.into()))?,
    };
    if target.len() != pooled.len() {
        return Err(Fault::Shape(format!("{pooled:?} cannot become {target:?}")));
    }
    let x = call.peek(0)?;
    let indices = call.integers(1)?;
    let mut result = call.make(x.data_type(), target.clone())?;
    by_size!(x.data_type(), T => {
        let out = result.raw_mut::<T>();
        out.fill(0);
        for (&x, &index) in x.raw::<T>().iter().zip(&indices) {
            let refuse = || Fault::Value(format!("index {index} is outside of {pooled:?} or of {target:?}"));
            let index = usize::try_from(index).ok().filter(|&index| index < elements).ok_or_else(refuse)?;
            out[place(index, &pooled, &target).ok_or_else(refuse)?] = x;
        }
    });
    call::one(result)
}

/// The same position in another shape, counted from the same corner.
fn place(index: usize, from: &[usize], to: &[usize]) -> Option<usize> {
    let (mut rest, mut place, mut stride) = (index, 0, 1);
    for (&from, &to) in from.iter().zip(to).rev() {
        let at = rest % from;
        rest /= from;
        if at >= to {
            return None;
        }
        place += at * stride;
        stride *= to;
    }
    Some(place)
}
