//! Sampling at coordinates that another tensor gives.

mod affine;

use super::{
    Operator,
    call::{self, Call, Outputs},
    op,
};
use crate::{DataType, Fault, attribute::wrong, shape::Shape};

pub(super) const TABLE: &[Operator] =
    &[op("AffineGrid", 20, 2..=2, affine::affine_grid), op("GridSample", 16, 2..=2, grid_sample)];

/// Dimensions of an image or a volume.
const MAX_DIMENSIONS: usize = 3;

/// Factor of cubic interpolation; ONNX fixes it here.
const CUBIC: f32 = -0.75;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

impl Mode {
    /// Elements along each dimension that make one of the result.
    fn taps(self) -> usize {
        match self {
            Mode::Nearest => 1,
            Mode::Linear => 2,
            Mode::Cubic => 4,
        }
    }

    /// Their weights, for a coordinate so far behind a whole number.
    fn weights(self, part: f32) -> [f32; 4] {
        let near = |x: f32| ((CUBIC + 2.0) * x - (CUBIC + 3.0)) * x * x + 1.0;
        let far = |x: f32| ((CUBIC * x - 5.0 * CUBIC) * x + 8.0 * CUBIC) * x - 4.0 * CUBIC;
        match self {
            Mode::Nearest => [1.0, 0.0, 0.0, 0.0],
            Mode::Linear => [1.0 - part, part, 0.0, 0.0],
            Mode::Cubic => [far(part + 1.0), near(part), near(1.0 - part), far(2.0 - part)],
        }
    }
}

/// What stands beyond the borders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

fn grid_sample(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let (sizes, grid) = (call.shape(0)?, call.shape(1)?);
    let dimensions = sizes.len().saturating_sub(2);
    let fits = (2..=MAX_DIMENSIONS).contains(&dimensions)
        && grid.len() == sizes.len()
        && grid[0] == sizes[0]
        && grid[dimensions + 1] == dimensions;
    if !fits {
        return Err(Fault::Shape(format!("a grid of shape {grid:?} does not fit {sizes:?}")));
    }
    let mode = match call.attributes().text("mode")?.unwrap_or("linear") {
        "nearest" => Mode::Nearest,
        "linear" | "bilinear" => Mode::Linear,
        "cubic" | "bicubic" => Mode::Cubic,
        _ => return Err(wrong("mode", "it is none of those that ONNX knows")),
    };
    let padding = match call.attributes().text("padding_mode")?.unwrap_or("zeros") {
        "zeros" => Padding::Zeros,
        "border" => Padding::Border,
        "reflection" => Padding::Reflection,
        _ => return Err(wrong("padding_mode", "it is none of those that ONNX knows")),
    };
    let aligned = call.attributes().flag("align_corners", false)?;
    let mut target = Shape::from_slice(&sizes[..2]);
    target.extend_from_slice(&grid[1..=dimensions]);
    let mut result = call.make(DataType::F32, target)?;
    let (from, points) = (call.floats(0)?, call.floats(1)?);
    if result.len() == 0 {
        return call::one(result);
    }
    if from.is_empty() {
        return Err(Fault::Shape(format!("there is nothing to sample in {sizes:?}")));
    }
    call.memory.check_work(&[result.len(), mode.taps().pow(dimensions as u32)])?;
    let sampler = Sampler { mode, padding, aligned, sizes: &sizes[2..] };
    let plane: usize = sizes[2..].iter().product();
    let places: usize = grid[1..=dimensions].iter().product();
    let to = result.raw_mut::<f32>();
    for batch in 0..sizes[0] {
        for place in 0..places {
            let point = &points[(batch * places + place) * dimensions..][..dimensions];
            let spot = sampler.spot(point);
            for channel in batch * sizes[1]..(batch + 1) * sizes[1] {
                to[channel * places + place] = sampler.sample(&from[channel * plane..][..plane], &spot);
            }
        }
    }
    call::one(result)
}

struct Sampler<'a> {
    mode: Mode,
    padding: Padding,
    /// Whether -1 and 1 are the centres of the outermost elements, or their outer borders.
    aligned: bool,
    sizes: &'a [usize],
}

/// Where a point lies: the elements along each dimension and their weights.
#[derive(Default)]
struct Spot {
    places: [[Option<usize>; 4]; MAX_DIMENSIONS],
    weights: [[f32; 4]; MAX_DIMENSIONS],
}

impl Sampler<'_> {
    /// The grid names the last dimension first.
    fn spot(&self, point: &[f32]) -> Spot {
        let mut spot = Spot::default();
        for (axis, (&size, &at)) in self.sizes.iter().zip(point.iter().rev()).enumerate() {
            let length = size as f32;
            let at = if self.aligned { (at + 1.0) / 2.0 * (length - 1.0) } else { ((at + 1.0) * length - 1.0) / 2.0 };
            let at = if self.mode == Mode::Nearest { at.round_ties_even() } else { at };
            // Cubic curves go on beyond the border, through elements that are each found by the padding.
            let at = match self.padding {
                _ if self.mode == Mode::Cubic => at,
                Padding::Zeros => at,
                Padding::Border => at.clamp(0.0, length - 1.0),
                Padding::Reflection => self.reflected(at, length),
            };
            let floor = at.floor();
            let first = (floor as i64).saturating_sub((self.mode == Mode::Cubic).into());
            for (offset, place) in spot.places[axis][..self.mode.taps()].iter_mut().enumerate() {
                *place = self.place(first.saturating_add(offset as i64), size);
            }
            spot.weights[axis] = self.mode.weights(at - floor);
        }
        spot
    }

    /// The element that stands at a whole coordinate.
    fn place(&self, at: i64, size: usize) -> Option<usize> {
        let inside = |at: i64| usize::try_from(at).ok().filter(|&at| at < size);
        match self.padding {
            Padding::Zeros => inside(at),
            Padding::Border => inside(at.clamp(0, size as i64 - 1)),
            Padding::Reflection => inside(at).or_else(|| inside(self.reflected(at as f32, size as f32) as i64)),
        }
    }

    /// A coordinate mirrored at the borders until it lies between them.
    fn reflected(&self, at: f32, length: f32) -> f32 {
        let (least, most) = if self.aligned { (0.0, length - 1.0) } else { (-0.5, length - 0.5) };
        let span = most - least;
        let beyond = match at {
            at if at < least => least - at,
            at if at > most => at - most,
            at => return at,
        };
        if span == 0.0 {
            return least;
        }
        let turns = (beyond / span).floor();
        let rest = beyond - turns * span;
        // Every second turn goes back.
        match (turns % 2.0 == 0.0) == (at < least) {
            true => least + rest,
            false => most - rest,
        }
    }

    /// The last dimension is summed up first; within one, in order.
    fn sample(&self, plane: &[f32], spot: &Spot) -> f32 {
        self.sum(plane, spot, 0, Some(0))
    }

    fn sum(&self, plane: &[f32], spot: &Spot, axis: usize, start: Option<usize>) -> f32 {
        let Some(start) = start else {
            return 0.0;
        };
        let Some(&size) = self.sizes.get(axis) else {
            return plane[start];
        };
        let taps = self.mode.taps();
        let pairs = spot.places[axis][..taps].iter().zip(&spot.weights[axis][..taps]);
        let terms = pairs
            .map(|(&place, &weight)| weight * self.sum(plane, spot, axis + 1, place.map(|place| start * size + place)));
        terms.fold(0.0, |sum, term| sum + term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_coordinate_leads_outside() {
        let points = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38, -3e38, 1e10, -7.3, 0.0, 1.0];
        for (mode, padding, aligned) in [Mode::Nearest, Mode::Linear, Mode::Cubic].into_iter().flat_map(|mode| {
            let paddings = [Padding::Zeros, Padding::Border, Padding::Reflection];
            paddings.into_iter().flat_map(move |padding| [true, false].map(|aligned| (mode, padding, aligned)))
        }) {
            for sizes in [[1, 1], [3, 1], [1, 5]] {
                let sampler = Sampler { mode, padding, aligned, sizes: &sizes };
                for (x, y) in points.iter().flat_map(|&x| points.map(|y| (x, y))) {
                    sampler.sample(&[1.0; 5][..sizes.iter().product()], &sampler.spot(&[x, y]));
                }
            }
        }
    }
}
