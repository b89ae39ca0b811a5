//! Pooling over whole elements: `MaxRoiPool`.

use super::{
    super::call::{self, Call, Outputs},
    Regions,
};
use crate::{Fault, attribute::wrong, shape};

pub(super) fn max_roi_pool(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let Some(&[rows, columns]) = call.attributes().ints("pooled_shape")? else {
        return Err(wrong("pooled_shape", "two numbers are expected"));
    };
    let regions = Regions::new(call, rows, columns)?;
    let (rois, mut result) = regions.prepare(call, 5)?;
    // Cells overlap by no more than their borders.
    let cells = (regions.height + regions.rows).saturating_mul(regions.width + regions.columns);
    call.memory.check_work(&[rois.len() / 5, regions.channels, cells, 4])?;
    let mut to = result.raw_mut::<f32>().iter_mut();
    for roi in rois.chunks_exact(5) {
        let image = shape::position(roi[0] as i64, regions.batch)?;
        let edge = |at: f32| (at * regions.scale).round();
        let (left, top, right, bottom) = (edge(roi[1]), edge(roi[2]), edge(roi[3]), edge(roi[4]));
        let down = Cells::new(top, bottom, regions.rows, regions.height);
        let across = Cells::new(left, right, regions.columns, regions.width);
        for channel in 0..regions.channels {
            let plane = regions.plane(image, channel);
            for (row, column) in (0..regions.rows).flat_map(|row| (0..regions.columns).map(move |column| (row, column)))
            {
                let columns = across.range(column);
                let rows = down.range(row).map(|row| &plane[row * regions.width..][columns.clone()]);
                let most = rows.flatten().copied().reduce(f32::max);
                to.next().into_iter().for_each(|to| *to = most.unwrap_or(0.0));
            }
        }
    }
    call::one(result)
}

/// A region cut into cells along one dimension.
struct Cells {
    start: f32,
    cell: f32,
    size: usize,
}

impl Cells {
    /// A region has at least one element.
    fn new(start: f32, end: f32, count: usize, size: usize) -> Self {
        Self { start, cell: (end - start + 1.0).max(1.0) / count as f32, size }
    }

    /// The elements that a cell touches.
    fn range(&self, index: usize) -> std::ops::Range<usize> {
        let within = |at: f32| (at + self.start).clamp(0.0, self.size as f32) as usize;
        let start = within((index as f32 * self.cell).floor());
        start..within(((index + 1) as f32 * self.cell).ceil()).max(start).min(self.size)
    }
}
