//! Which elements of a dimension make one of the result, and how much each of them weighs.

use super::{super::call::Call, Axis, Mode};
use crate::{Fault, attribute::wrong, memory::Memory};

/// How far a coordinate may be from the middle between two elements and still count as that, as in ONNX Runtime.
const ROUGHLY: f32 = 1e-6;

/// The attributes that say how coordinates and weights are found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    mode: Mode,
    transform: Transform,
    rounding: Rounding,
    cubic: f32,
    pub antialias: bool,
    exclude_outside: bool,
    pub extrapolation: f32,
}

/// From a place in the result to one in the operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transform {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    CropAndResize,
    /// `tf_half_pixel_for_nn`, which only operator set 11 has.
    HalfPixelCorner,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounding {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
    /// Before operator set 11: up in a dimension that shrinks, down otherwise.
    ByScale,
}

/// Places in the operand and their weights.
pub(super) struct Taps {
    /// For one place in the result after the other.
    pub pairs: Vec<(usize, f32)>,
    /// How many make one place in the result.
    pub count: usize,
}

impl Rules {
    pub fn of(call: &Call<'_>, mode: Mode) -> Result<Self, Fault> {
        let attributes = call.attributes();
        let unknown = |name| wrong(name, "it is none of those that ONNX knows");
        let rules = Self {
            mode,
            transform: Transform::Asymmetric,
            rounding: Rounding::ByScale,
            cubic: attributes.float("cubic_coeff_a")?.unwrap_or(-0.75),
            antialias: attributes.flag("antialias", false)?,
            exclude_outside: attributes.flag("exclude_outside", false)?,
            extrapolation: attributes.float("extrapolation_value")?.unwrap_or(0.0),
        };
        if call.opset() < 11 || call.node.op.name() == "Upsample" {
            return Ok(rules);
        }
        let transform = match attributes.text("coordinate_transformation_mode")?.unwrap_or("half_pixel") {
            "half_pixel" => Transform::HalfPixel,
            "half_pixel_symmetric" => Transform::HalfPixelSymmetric,
            "pytorch_half_pixel" => Transform::PytorchHalfPixel,
            "align_corners" => Transform::AlignCorners,
            "asymmetric" => Transform::Asymmetric,
            "tf_crop_and_resize" => Transform::CropAndResize,
            "tf_half_pixel_for_nn" if call.opset() < 13 => Transform::HalfPixelCorner,
            _ => return Err(unknown("coordinate_transformation_mode")),
        };
        let rounding = match attributes.text("nearest_mode")?.unwrap_or("round_prefer_floor") {
            "round_prefer_floor" => Rounding::PreferFloor,
            "round_prefer_ceil" => Rounding::PreferCeil,
            "floor" => Rounding::Floor,
            "ceil" => Rounding::Ceil,
            _ => return Err(unknown("nearest_mode")),
        };
        Ok(Self { transform, rounding, ..rules })
    }

    /// Whether only a part of the operand is taken, or more than it.
    pub fn crops(&self) -> bool {
        self.transform == Transform::CropAndResize
    }

    /// Whether a place of the result lies outside of the operand.
    pub fn is_outside(&self, axis: &Axis, place: usize) -> bool {
        let at = self.source(axis, place);
        at < 0.0 || at > axis.size as f32 - 1.0
    }

    /// The nearest element for each place of the result.
    pub fn nearest(&self, axis: &Axis) -> Vec<usize> {
        if axis.is_same() {
            return (0..axis.length).collect();
        }
        let nearest = |place| {
            let at = self.source(axis, place);
            let (floor, part) = (at.floor(), at - at.floor());
            let up = match self.rounding {
                Rounding::PreferFloor => part - 0.5 > ROUGHLY,
                Rounding::PreferCeil => part - 0.5 >= -ROUGHLY,
                Rounding::Floor => false,
                Rounding::Ceil => part > 0.0,
                Rounding::ByScale => part > 0.0 && axis.scale < 1.0,
            };
            clamped((floor as i64).saturating_add(up.into()), axis.size)
        };
        (0..axis.length).map(nearest).collect()
    }

    /// The elements that each place of the result is made of.
    pub fn taps(&self, axis: &Axis, memory: &Memory) -> Result<Taps, Fault> {
        let radius = if self.mode == Mode::Cubic { 2.0 } else { 1.0 };
        // A dimension that shrinks is smoothed by a filter as wide as what becomes one element.
        let narrow = if self.antialias { axis.scale.min(1.0) } else { 1.0 };
        let first = (-radius / narrow).floor() as i64 + 1;
        let count = usize::try_from(2 - 2 * first.max(-(1 << 40))).unwrap_or(usize::MAX);
        let total = axis.length.saturating_mul(count);
        memory.check((total as u64).saturating_mul(size_of::<(usize, f32)>() as u64))?;
        let mut pairs = Vec::with_capacity(total);
        for place in 0..axis.length {
            let at = self.source(axis, place);
            let part = at - at.floor();
            let begin = pairs.len();
            for offset in first..first + count as i64 {
                let weight = self.weight((offset as f32 - part) * narrow);
                let position = (at.floor() as i64).saturating_add(offset);
                let inside = (0..axis.size as i64).contains(&position);
                let weight = if self.exclude_outside && !inside { 0.0 } else { weight };
                pairs.push((clamped(position, axis.size), weight));
            }
            if self.exclude_outside || narrow < 1.0 {
                let sum: f32 = pairs[begin..].iter().map(|(_, weight)| weight).sum();
                let sum = if sum == 0.0 { 1.0 } else { sum };
                pairs[begin..].iter_mut().for_each(|(_, weight)| *weight /= sum);
            }
        }
        Ok(Taps { pairs, count })
    }

    /// How much an element weighs at this distance.
    fn weight(&self, distance: f32) -> f32 {
        let (x, a) = (distance.abs(), self.cubic);
        match self.mode {
            Mode::Cubic if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
            Mode::Cubic if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
            Mode::Linear if x < 1.0 => 1.0 - x,
            _ => 0.0,
        }
    }

    /// The coordinate in the operand that a place of the result stands for.
    fn source(&self, axis: &Axis, place: usize) -> f32 {
        let (x, last) = (place as f32, axis.size as f32 - 1.0);
        let half_pixel = || (x + 0.5) / axis.scale - 0.5;
        match self.transform {
            Transform::HalfPixel => half_pixel(),
            Transform::HalfPixelCorner => (x + 0.5) / axis.scale,
            Transform::HalfPixelSymmetric => {
                let adjustment = axis.length as f32 / axis.extent;
                axis.size as f32 / 2.0 * (1.0 - adjustment) + half_pixel()
            }
            Transform::PytorchHalfPixel if axis.length > 1 => half_pixel(),
            Transform::PytorchHalfPixel => 0.0,
            Transform::AlignCorners if axis.length > 1 => x * last / (axis.extent - 1.0),
            Transform::AlignCorners => 0.0,
            Transform::Asymmetric => x / axis.scale,
            Transform::CropAndResize => {
                let (start, end) = axis.part;
                match axis.length > 1 {
                    true => start * last + x * (end - start) * last / (axis.length as f32 - 1.0),
                    false => 0.5 * (start + end) * last,
                }
            }
        }
    }
}

fn clamped(position: i64, size: usize) -> usize {
    position.clamp(0, size as i64 - 1) as usize
}
