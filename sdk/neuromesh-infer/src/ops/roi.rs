//! Pooling over regions of an image.

mod max;

use super::{
    Operator,
    call::{self, Call, Outputs},
    op,
};
use crate::{DataType, Fault, attribute::wrong, shape, value::Value};

pub(super) const TABLE: &[Operator] =
    &[op("MaxRoiPool", 1, 2..=2, max::max_roi_pool), op("RoiAlign", 10, 3..=3, roi_align)];

/// Images, and a result of so many rows and columns for each region.
struct Regions<'a> {
    images: &'a [f32],
    batch: usize,
    channels: usize,
    height: usize,
    width: usize,
    rows: usize,
    columns: usize,
    /// From the regions' coordinates to elements.
    scale: f32,
}

impl<'a> Regions<'a> {
    fn new(call: &'a Call<'_>, rows: i64, columns: i64) -> Result<Self, Fault> {
        let sizes = call.shape(0)?;
        let &[batch, channels, height, width] = &sizes[..] else {
            return Err(Fault::Shape(format!("{sizes:?} is not a batch of images")));
        };
        let size = |size: i64| usize::try_from(size).ok().filter(|&size| size > 0);
        let (Some(rows), Some(columns)) = (size(rows), size(columns)) else {
            return Err(Fault::Value(format!("regions cannot become {rows} by {columns}")));
        };
        let scale = call.attributes().float("spatial_scale")?.unwrap_or(1.0);
        Ok(Self { images: call.floats(0)?, batch, channels, height, width, rows, columns, scale })
    }

    /// The regions, of so many numbers each, and their result.
    fn prepare(&self, call: &'a Call<'_>, numbers: usize) -> Result<(&'a [f32], Value), Fault> {
        let sizes = call.shape(1)?;
        match sizes[..] {
            [count, width] if width == numbers => {
                let result = call.make(DataType::F32, [count, self.channels, self.rows, self.columns].as_slice())?;
                Ok((call.floats(1)?, result))
            }
            _ => Err(Fault::Shape(format!("regions are rows of {numbers} numbers; {sizes:?} was given"))),
        }
    }

    fn plane(&self, image: usize, channel: usize) -> &[f32] {
        let size = self.height * self.width;
        &self.images[(image * self.channels + channel) * size..][..size]
    }
}

fn roi_align(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let attributes = call.attributes();
    let output = |name| Ok(attributes.int(name)?.unwrap_or(1));
    let regions = Regions::new(call, output("output_height")?, output("output_width")?)?;
    let (rois, mut result) = regions.prepare(call, 4)?;
    // Before operator set 16 the coordinates were not moved by half an element.
    let default = if call.opset() < 16 { "output_half_pixel" } else { "half_pixel" };
    let half_pixel = match attributes.text("coordinate_transformation_mode")?.unwrap_or(default) {
        "half_pixel" => true,
        "output_half_pixel" => false,
        _ => return Err(wrong("coordinate_transformation_mode", "it is none of those that ONNX knows")),
    };
    let average = match attributes.text("mode")?.unwrap_or("avg") {
        "avg" => true,
        "max" => false,
        _ => return Err(wrong("mode", "avg or max is expected")),
    };
    let ratio = attributes.int("sampling_ratio")?.unwrap_or(0);
    let images = call.list(2)?;
    if images.len() != rois.len() / 4 {
        return Err(Fault::Shape(format!("{} images for {} regions", images.len(), rois.len() / 4)));
    }
    if result.len() == 0 {
        return call::one(result);
    }
    if regions.height == 0 || regions.width == 0 {
        return Err(Fault::Shape("there is nothing in the images".into()));
    }
    call.memory.check(images.len() as u64 * size_of::<(usize, Window)>() as u64)?;
    let mut work = 0usize;
    let mut windows = Vec::with_capacity(images.len());
    for (roi, &image) in rois.chunks_exact(4).zip(&images) {
        let image = shape::position(image, regions.batch)?;
        let window = Window::new(&regions, roi, half_pixel, ratio);
        work = work.saturating_add(window.down.count.saturating_mul(window.across.count));
        windows.push((image, window));
    }
    call.memory.check_work(&[work, regions.channels, regions.rows, regions.columns, 4])?;
    let mut cells = result.raw_mut::<f32>().iter_mut();
    for (image, window) in windows {
        for channel in 0..regions.channels {
            let plane = regions.plane(image, channel);
            for (row, column) in (0..regions.rows).flat_map(|row| (0..regions.columns).map(move |column| (row, column)))
            {
                let value = window.pool(&regions, plane, row, column, average);
                cells.next().into_iter().for_each(|cell| *cell = value);
            }
        }
    }
    call::one(result)
}

/// The points at which a region is sampled.
struct Window {
    down: Line,
    across: Line,
}

/// The same along one dimension.
struct Line {
    start: f32,
    /// The size of one of the result's cells.
    cell: f32,
    /// Points in each cell.
    count: usize,
}

impl Window {
    fn new(regions: &Regions<'_>, roi: &[f32], half_pixel: bool, ratio: i64) -> Self {
        let offset = if half_pixel { 0.5 } else { 0.0 };
        let line = |start: f32, end: f32, cells: usize| {
            let (start, end) = (start * regions.scale - offset, end * regions.scale - offset);
            // Otherwise a region is at least one element wide.
            let length = if half_pixel { end - start } else { (end - start).max(1.0) };
            let cell = length / cells as f32;
            let count = if ratio > 0 { usize::try_from(ratio).unwrap_or(usize::MAX) } else { cell.ceil() as usize };
            Line { start, cell, count }
        };
        let (mut down, mut across) = (line(roi[1], roi[3], regions.rows), line(roi[0], roi[2], regions.columns));
        // Without points along one dimension there are none along the other.
        if down.count == 0 || across.count == 0 {
            (down.count, across.count) = (0, 0);
        }
        Self { down, across }
    }

    /// The mean of a cell's points, row by row; or, as the reference has it, the largest of all weighted elements.
    fn pool(&self, regions: &Regions<'_>, plane: &[f32], row: usize, column: usize, average: bool) -> f32 {
        let mut result: Option<f32> = None;
        for down in 0..self.down.count {
            let y = neighbours(self.down.point(row, down), regions.height);
            for across in 0..self.across.count {
                let x = neighbours(self.across.point(column, across), regions.width);
                let terms = match (y, x) {
                    (Some(y), Some(x)) => corners(plane, regions.width, y, x),
                    _ => [0.0; 4],
                };
                let value = match average {
                    true => terms[0] + terms[1] + terms[2] + terms[3],
                    false => terms[0].max(terms[1]).max(terms[2]).max(terms[3]),
                };
                result = Some(match result {
                    None => value,
                    Some(sum) if average => sum + value,
                    Some(most) => most.max(value),
                });
            }
        }
        let points = self.down.count.saturating_mul(self.across.count);
        match average {
            true => result.unwrap_or(0.0) / points.max(1) as f32,
            false => result.unwrap_or(0.0),
        }
    }
}

impl Line {
    fn point(&self, cell: usize, index: usize) -> f32 {
        self.start + cell as f32 * self.cell + (index as f32 + 0.5) * self.cell / self.count as f32
    }
}

/// The elements before and behind a coordinate and the weight of the latter; none far outside.
fn neighbours(at: f32, size: usize) -> Option<(usize, usize, f32)> {
    if !(-1.0..=size as f32).contains(&at) {
        return None;
    }
    let at = at.max(0.0);
    let low = at as usize;
    match low + 1 < size {
        true => Some((low, low + 1, at - low as f32)),
        false => Some((size - 1, size - 1, 0.0)),
    }
}

/// Four elements around a point, each times its weight.
fn corners(plane: &[f32], width: usize, y: (usize, usize, f32), x: (usize, usize, f32)) -> [f32; 4] {
    let at = |row: usize, column: usize| plane[row * width + column];
    let ((top, bottom, low), (left, right, behind)) = (y, x);
    let (high, before) = (1.0 - low, 1.0 - behind);
    [
        high * before * at(top, left),
        high * behind * at(top, right),
        low * before * at(bottom, left),
        low * behind * at(bottom, right),
    ]
}
