//! How large the result is, and by how much each dimension grows.

use super::super::call::Call;
use crate::{DataType, Fault, attribute::wrong, limits::MAX_RANK, shape};

/// What becomes of one dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    /// Its size before.
    pub size: usize,
    /// Its size afterwards.
    pub length: usize,
    pub scale: f32,
    /// The length before it was made a whole number.
    pub extent: f32,
    /// The part that is taken, where 0 is the first element and 1 the last.
    pub part: (f32, f32),
}

impl Axis {
    /// A dimension that stays as it is.
    fn same(size: usize) -> Self {
        Self { size, length: size, scale: 1.0, extent: size as f32, part: (0.0, 1.0) }
    }

    pub fn is_same(&self) -> bool {
        self.length == self.size && self.scale == 1.0 && self.part == (0.0, 1.0)
    }
}

/// What becomes of each dimension of the first operand; `crops` tells whether only a part of it is taken.
pub(super) fn axes(call: &Call<'_>, crops: bool) -> Result<Vec<Axis>, Fault> {
    let sizes = call.shape(0)?;
    let named: Vec<usize> = match call.attributes().ints("axes")? {
        None => (0..sizes.len()).collect(),
        Some(list) => {
            shape::axes(list, sizes.len())?;
            list.iter().map(|&axis| shape::axis(axis, sizes.len())).collect::<Result<_, _>>()?
        }
    };
    let mut axes: Vec<Axis> = sizes.iter().map(|&size| Axis::same(size)).collect();
    let fits = |what: &str, found: usize, needed: usize| match found == needed {
        true => Ok(()),
        false => Err(Fault::Value(format!("{found} {what} for {} dimensions", named.len()))),
    };
    if crops {
        let part = list(call, 1)?.ok_or(Fault::Missing(1))?;
        fits("borders", part.len(), 2 * named.len())?;
        for (index, &axis) in named.iter().enumerate() {
            axes[axis].part = (part[index], part[named.len() + index]);
        }
    }
    let lengths = match call.opset() {
        11.. => call.optional_list(3)?.filter(|list| !list.is_empty()),
        _ => None,
    };
    match (scales(call)?, lengths) {
        (Some(scales), None) => {
            fits("scales", scales.len(), named.len())?;
            for (&axis, &scale) in named.iter().zip(&scales) {
                axes[axis].grow(scale)?;
            }
        }
        (None, Some(lengths)) => {
            fits("sizes", lengths.len(), named.len())?;
            let lengths = shape::sizes(&lengths).map_err(|reason| Fault::Value(reason.into()))?;
            stretch(call, &mut axes, &named, &lengths)?;
        }
        _ => return Err(Fault::Value("either scales or sizes are needed".into())),
    }
    Ok(axes)
}

fn scales(call: &Call<'_>) -> Result<Option<Vec<f32>>, Fault> {
    match (call.node.op.name(), call.opset()) {
        ("Upsample", ..9) => Ok(call.attributes().floats("scales")?.map(<[f32]>::to_vec)),
        ("Upsample", _) | (_, ..11) => list(call, 1),
        _ => list(call, 2),
    }
}

/// A list of floats; an empty one is none.
fn list(call: &Call<'_>, input: usize) -> Result<Option<Vec<f32>>, Fault> {
    if !call.has(input) {
        return Ok(None);
    }
    let value = call.peek(input)?;
    Ok(match (value.len(), value.data_type()) {
        (0, _) => None,
        (length, _) if length > 2 * MAX_RANK => {
            return Err(Fault::Value(format!("{length} numbers for {} dimensions", call.peek(0)?.rank())));
        }
        (_, DataType::F32) => Some(value.raw().to_vec()),
        (_, DataType::F16) => Some(value.raw::<half::f16>().iter().map(|number| number.to_f32()).collect()),
        (_, found) => return Err(Fault::Type { input, found }),
    })
}

/// Sets the sizes that the model wants, or those next to them that keep the proportions.
fn stretch(call: &Call<'_>, axes: &mut [Axis], named: &[usize], lengths: &[usize]) -> Result<(), Fault> {
    let scales = named.iter().zip(lengths).map(|(&axis, &length)| length as f32 / axes[axis].size as f32);
    let scale = match call.attributes().text("keep_aspect_ratio_policy")?.unwrap_or("stretch") {
        "stretch" => None,
        "not_larger" => scales.reduce(f32::min),
        "not_smaller" => scales.reduce(f32::max),
        _ => return Err(wrong("keep_aspect_ratio_policy", "it is none of those that ONNX knows")),
    };
    for (&axis, &length) in named.iter().zip(lengths) {
        let axis = &mut axes[axis];
        match scale {
            None => {
                (axis.length, axis.extent) = (length, length as f32);
                axis.scale = length as f32 / axis.size as f32;
            }
            Some(scale) => {
                axis.grow(scale)?;
                axis.length = (axis.extent + 0.5).floor() as usize;
            }
        }
    }
    Ok(())
}

impl Axis {
    fn grow(&mut self, scale: f32) -> Result<(), Fault> {
        if !scale.is_finite() || scale <= 0.0 {
            return Err(Fault::Value(format!("a dimension of {} cannot grow {scale} times", self.size)));
        }
        self.scale = scale;
        self.extent = self.size as f32 * scale;
        // Saturates: an absurd length is then refused where the memory is asked for.
        self.length = self.extent.floor() as usize;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_scales_are_refused_or_saturate() {
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(Axis::same(3).grow(scale).is_err());
        }
        let mut axis = Axis::same(3);
        axis.grow(1e38).unwrap();
        assert_eq!(axis.length, usize::MAX);
        axis.grow(0.7).unwrap();
        assert_eq!(axis.length, 2);
        let mut axis = Axis::same(10);
        axis.grow(0.7).unwrap();
        assert_eq!(axis.length, 7);
    }
}
