//! What the kernels can do: floats, up to three spatial dimensions, no window that shows nothing but padding.

use super::{Pool, window};
use crate::{
    DataType, Fault,
    kernels::{
        cpu::Cpu,
        pool::{self, Axis, Window},
    },
    ops::call::{Call, Outputs},
    value::Value,
};

/// Pools with a kernel, if it can.
pub(super) fn pooled(call: &Call<'_>, f: impl Fn(&Cpu, &[f32], &mut [f32], &Window)) -> Result<Option<Value>, Fault> {
    let pool = Pool::new(call)?;
    let Some(window) = kernel_window(&pool) else {
        return Ok(None);
    };
    let x = call.floats(0)?;
    let mut result = call.make(DataType::F32, pool.target)?;
    f(call.cpu, x, result.raw_mut(), &window);
    Ok(Some(result))
}

/// `MaxPool`, if the kernels can.
pub(super) fn max(call: &Call<'_>) -> Result<Option<Outputs>, Fault> {
    if call.node.outputs.len() < 2 {
        return Ok(pooled(call, pool::max_pool)?.map(|result| vec![result]));
    }
    let pool = Pool::new(call)?;
    let by_column = call.attributes().flag("storage_order", false)?;
    let Some(window) = kernel_window(&pool).filter(|_| u32::try_from(pool.plane).is_ok()) else {
        return Ok(None);
    };
    let x = call.floats(0)?;
    let mut result = call.make(DataType::F32, pool.target.clone())?;
    let mut indices = call.make(DataType::I64, pool.target)?;
    pool::max_pool_with_indices(call.cpu, x, result.raw_mut(), indices.raw_mut(), &window, by_column);
    Ok(Some(vec![result, indices]))
}

fn kernel_window(pool: &Pool) -> Option<Window> {
    let axes = &pool.window.0;
    let shows = |axis: &window::Axis| (0..axis.output).all(|output| !axis.taps(output).is_empty());
    let taps = axes.iter().try_fold(1usize, |product, axis| product.checked_mul(axis.kernel))?;
    let outputs: usize = axes.iter().map(|axis| axis.output).product();
    if axes.len() > 3 || pool.planes == 0 || outputs.checked_mul(taps).is_none() || !axes.iter().all(shows) {
        return None;
    }
    let axis = |from_end: usize| match axes.len().checked_sub(from_end) {
        None => Axis::NONE,
        Some(at) => {
            let window::Axis { size, kernel, stride, dilation, before, after, output } = axes[at];
            Axis { input: size, output, kernel, stride, dilation, pads: (before, after) }
        }
    };
    Some(Window { depth: axis(3), height: axis(2), width: axis(1) })
}
