//! Convolution whose taps are moved about by offsets.

use super::{
    Operator,
    call::{self, Call, Outputs},
    op,
    products::{self, Matrix},
    window::{self, Axis, Window},
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    shape::{self, Shape},
};

pub(super) const TABLE: &[Operator] = &[op("DeformConv", 19, 3..=5, deform_conv)];

/// Samples that are held at once, at least those of one position.
const HELD: usize = 1 << 20;

fn deform_conv(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let (x_shape, w_shape, offsets_shape) = (call.shape(0)?, call.shape(1)?, call.shape(2)?);
    let (&[images, inputs, height, width], &[outputs, taken, ..]) = (&x_shape[..], &w_shape[..]) else {
        return Err(Fault::Unsupported(format!("a deformed convolution of {x_shape:?} with {w_shape:?}")));
    };
    let groups = window::groups(call.attributes(), "group")?;
    let movers = window::groups(call.attributes(), "offset_group")?;
    let fits = w_shape.len() == 4
        && taken.checked_mul(groups) == Some(inputs)
        && outputs.is_multiple_of(groups)
        && inputs.is_multiple_of(movers);
    if !fits {
        return Err(Fault::Shape(format!("{x_shape:?} does not fit the weights {w_shape:?} in {groups} groups")));
    }
    let kernel = window::kernel_shape(call.attributes(), 2, Some(&w_shape[2..]))?;
    if call.attributes().text("auto_pad")?.is_some() {
        return Err(wrong("auto_pad", "the operator has no such attribute"));
    }
    let window = Window::new(call.attributes(), &x_shape[2..], &kernel, false)?;
    let (taps, positions) = (window.taps(), window.output().iter().product::<usize>());
    let check = |input: usize, shape: &[usize]| match !call.has(input) || call.shape(input)?[..] == *shape {
        true => Ok(()),
        false => Err(Fault::Shape(format!("input {input} is {:?}; {shape:?} is needed", call.shape(input)?))),
    };
    let target = Shape::from_slice(&[images, outputs, window.0[0].output, window.0[1].output]);
    let elements = shape::checked(&target)?;
    let moved = movers.saturating_mul(taps);
    check(2, &[images, moved.saturating_mul(2), target[2], target[3]])?;
    check(3, &[outputs])?;
    check(4, &[images, moved, target[2], target[3]])?;
    call.memory.check_work(&[images, inputs.max(1), outputs.max(1), taps, positions])?;
    let mut result = call.make(DataType::F32, target)?;
    if elements == 0 {
        return call::one(result);
    }
    let (x, w, bias) = (call.floats(0)?, call.floats(1)?, call.optional_floats(3)?);
    let field =
        Field { offsets: call.floats(2)?, mask: call.optional_floats(4)?, rows: window.0[0], columns: window.0[1] };
    debug_assert_eq!(offsets_shape[2..], [field.rows.output, field.columns.output]);
    let (filters, depth) = (outputs / groups, taken * taps);
    let at_once = (HELD / depth.max(1)).clamp(1, positions);
    let mut samples = call.make(DataType::F32, [depth, at_once].as_slice())?;
    let mut sums = call.make(DataType::F32, [filters, at_once].as_slice())?;
    for (block, out) in result.raw_mut::<f32>().chunks_exact_mut(filters * positions).enumerate() {
        let (image, group) = (block / groups, block % groups);
        for first in (0..positions).step_by(at_once) {
            let count = at_once.min(positions - first);
            let samples = &mut samples.raw_mut::<f32>()[..depth * count];
            for (line, samples) in samples.chunks_exact_mut(count).enumerate() {
                let channel = group * taken + line / taps;
                let plane = &x[(image * inputs + channel) * height * width..][..height * width];
                let mover = image * movers + channel / (inputs / movers);
                field.sample(plane, mover, line % taps, first, samples);
            }
            let sums = &mut sums.raw_mut::<f32>()[..filters * count];
            let weights = Matrix::rows(&w[group * filters * depth..], depth);
            let samples = Matrix::rows(samples, count);
            products::matmul(call.cpu, call.memory, [filters, count, depth], weights, samples, sums)?;
            for (filter, sums) in sums.chunks_exact(count).enumerate() {
                let bias = bias.map_or(0.0, |bias| bias[group * filters + filter]);
                let out = &mut out[filter * positions + first..][..count];
                out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = sum + bias);
            }
        }
    }
    call::one(result)
}

/// Where the taps look.
struct Field<'a> {
    /// `[image, mover, tap, down and right, position]`
    offsets: &'a [f32],
    /// `[image, mover, tap, position]`
    mask: Option<&'a [f32]>,
    rows: Axis,
    columns: Axis,
}

impl Field<'_> {
    /// What one tap sees from the position `first` on; `mover` counts those of all images.
    fn sample(&self, plane: &[f32], mover: usize, tap: usize, first: usize, out: &mut [f32]) {
        let Field { rows, columns, .. } = self;
        let positions = rows.output * columns.output;
        let line = mover * rows.kernel * columns.kernel + tap;
        let (down, right) = self.offsets[2 * line * positions..][..2 * positions].split_at(positions);
        for (at, out) in (first..).zip(out) {
            let place = |axis: &Axis, output: usize, tap: usize, offset: f32| {
                (output * axis.stride + tap * axis.dilation) as f32 - axis.before as f32 + offset
            };
            let y = place(rows, at / columns.output, tap / columns.kernel, down[at]);
            let x = place(columns, at % columns.output, tap % columns.kernel, right[at]);
            let seen = between(plane, rows.size, columns.size, y, x);
            *out = seen * self.mask.map_or(1.0, |mask| mask[line * positions + at]);
        }
    }
}

/// The number between four neighbours; zero outside.
fn between(plane: &[f32], height: usize, width: usize, y: f32, x: f32) -> f32 {
    let inside = y > -1.0 && x > -1.0 && y < height as f32 && x < width as f32;
    if !inside {
        return 0.0;
    }
    let (top, left) = (y.floor(), x.floor());
    let (down, right) = (y - top, x - left);
    let at = |row: i64, column: i64| match row < 0 || column < 0 || row >= height as i64 || column >= width as i64 {
        true => 0.0,
        false => plane[row as usize * width + column as usize],
    };
    let (row, column) = (top as i64, left as i64);
    let (up, away) = (1.0 - down, 1.0 - right);
    ((up * away) * at(row, column) + (up * right) * at(row, column + 1))
        + ((down * away) * at(row + 1, column) + (down * right) * at(row + 1, column + 1))
}
