//! From floats to small integers and back: `(x / scale, rounded to even) + zero point`, saturated.

use half::f16;

use super::{
    Operator,
    call::{self, Call, Outputs},
    cast::convert,
    moves, op,
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    kernels::int8,
    shape::{self, Shape},
    value::Value,
};

pub(super) const TABLE: &[Operator] = &[
    moves("DequantizeLinear", 10, 2..=3, dequantize),
    op("DynamicQuantizeLinear", 11, 1..=1, dynamic).outputs(1..=3),
    moves("QuantizeLinear", 10, 2..=3, quantize),
];

fn quantize(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let to = match (call.has(2), type_attribute(call, "output_dtype")?) {
        (true, declared) => {
            let own = call.data_type(2)?;
            match declared.is_none_or(|declared| declared == own) {
                true => own,
                false => return Err(wrong("output_dtype", &format!("the zero point is {own}"))),
            }
        }
        (false, declared) => declared.unwrap_or(DataType::U8),
    };
    // The type in which it divides.
    let precision = type_attribute(call, "precision")?.unwrap_or(call.data_type(1)?);
    let halves = match precision {
        DataType::F16 => true,
        DataType::F32 => false,
        other => return Err(Fault::Unsupported(format!("a division in {other}"))),
    };
    let shape = call.shape(0)?;
    let grid = Grid::new(call, &shape)?;
    let x = match call.data_type(0)? {
        DataType::F32 | DataType::F16 => convert(call.memory, call.take(0)?, DataType::F32)?,
        DataType::I32 => {
            let mut floats = call.make(DataType::F32, shape.clone())?;
            let pairs = floats.raw_mut::<f32>().iter_mut().zip(call.peek(0)?.raw::<i32>());
            pairs.for_each(|(to, &from)| *to = from as f32);
            floats
        }
        found => return Err(Fault::Type { input: 0, found }),
    };
    let scale = scale(call)?;
    let zeros = grid.zero_points(call, to)?;
    let mut result = call.make(to, shape)?;
    let parameters = Parameters { scale: scale.raw(), zeros: zeros.raw() };
    let (x, scratch) = (x.raw::<f32>(), halves);
    match to {
        DataType::U8 => {
            let out = result.raw_mut::<u8>();
            grid.each(x, parameters, out, |x, scale, zero| quantized(x, scale, zero, scratch, 0, 255) as u8);
        }
        DataType::I8 => {
            let out = result.raw_mut::<i8>();
            grid.each(x, parameters, out, |x, scale, zero| quantized(x, scale, zero, scratch, -128, 127) as i8);
        }
        found => return Err(Fault::Unsupported(format!("quantization to {found}"))),
    }
    call::one(result)
}

fn dequantize(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let to = type_attribute(call, "output_dtype")?.unwrap_or(call.data_type(1)?);
    if !matches!(to, DataType::F32 | DataType::F16) {
        return Err(wrong("output_dtype", &format!("{to} is not a float")));
    }
    let shape = call.shape(0)?;
    let grid = Grid::new(call, &shape)?;
    let x = call.take(0)?;
    let scale = scale(call)?;
    let zeros = grid.zero_points(call, x.data_type())?;
    let mut result = call.make(DataType::F32, shape)?;
    let parameters = Parameters { scale: scale.raw(), zeros: zeros.raw() };
    let out = result.raw_mut::<f32>();
    let real = |x: i64, scale: f32, zero: i32| (x - i64::from(zero)) as f32 * scale;
    match x.data_type() {
        DataType::U8 => grid.each(x.raw::<u8>(), parameters, out, |x, scale, zero| real(x.into(), scale, zero)),
        DataType::I8 => grid.each(x.raw::<i8>(), parameters, out, |x, scale, zero| real(x.into(), scale, zero)),
        DataType::I32 => grid.each(x.raw::<i32>(), parameters, out, |x, scale, zero| real(x.into(), scale, zero)),
        found => return Err(Fault::Type { input: 0, found }),
    }
    call::one(convert(call.memory, result, to)?)
}

fn dynamic(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let x = call.floats(0)?;
    let (low, high) = int8::range(call.cpu, x);
    let scale = if low == high { 1.0 } else { (high - low) / 255.0 };
    let zero = (0.0 - low / scale).clamp(0.0, 255.0).round_ties_even() as u8;
    let mut result = call.make(DataType::U8, call.shape(0)?)?;
    int8::quantize(call.cpu, x, scale, zero, result.raw_mut());
    let scale = Value::constant(DataType::F32, Shape::new(), &[scale]);
    Ok(vec![result, scale, Value::constant(DataType::U8, Shape::new(), &[zero])])
}

/// One number as a small integer.
#[inline(always)]
pub(super) fn quantized(x: f32, scale: f32, zero: i32, halves: bool, least: i32, most: i32) -> i32 {
    match halves {
        // Rounding the exact quotient twice is the same as once: single precision has more than twice the digits of halves.
        true => int8::rounded(f16::from_f32(f16::from_f32(x).to_f32() / scale).to_f32(), zero, least, most),
        false => int8::quantized(x, scale, zero, least, most),
    }
}

fn type_attribute(call: &Call<'_>, name: &str) -> Result<Option<DataType>, Fault> {
    match call.attributes().int(name)? {
        None | Some(0) => Ok(None),
        Some(code) => {
            let known = i32::try_from(code).ok().and_then(DataType::from_onnx);
            known.map(Some).ok_or_else(|| Fault::Unsupported(format!("element type {code}")))
        }
    }
}

fn scale(call: &mut Call<'_>) -> Result<Value, Fault> {
    match call.data_type(1)? {
        DataType::F32 | DataType::F16 => convert(call.memory, call.take(1)?, DataType::F32),
        found => Err(Fault::Type { input: 1, found }),
    }
}

/// Scales and zero points, as many of one as of the other.
#[derive(Clone, Copy)]
struct Parameters<'a> {
    scale: &'a [f32],
    zeros: &'a [i32],
}

/// Which scale belongs to which element.
struct Grid {
    outer: usize,
    size: usize,
    inner: usize,
    spread: Spread,
    /// How many scales there are.
    count: usize,
}

#[derive(Clone, Copy)]
enum Spread {
    /// One for all.
    Tensor,
    /// One for each position of the axis.
    Axis,
    /// One for each so many neighbours along the axis.
    Blocks(usize),
}

impl Grid {
    fn new(call: &Call<'_>, sizes: &[usize]) -> Result<Self, Fault> {
        let scale = call.shape(1)?;
        let count = shape::checked(&scale)?;
        if count == 1 && scale.len() <= 1 {
            return Ok(Self { outer: 1, size: 1, inner: sizes.iter().product(), spread: Spread::Tensor, count });
        }
        let refuse = || Fault::Shape(format!("scales of shape {scale:?} do not fit {sizes:?}"));
        let axis = match sizes.len() {
            1 => 0,
            rank => shape::axis(call.attributes().int("axis")?.unwrap_or(1), rank)?,
        };
        let (outer, size, inner) = shape::split_at(sizes, axis);
        let block = call.attributes().int("block_size")?.unwrap_or(0);
        let spread = match usize::try_from(block) {
            Err(_) => return Err(wrong("block_size", "it is negative")),
            Ok(0) if scale[..] == [size] => Spread::Axis,
            Ok(0) => return Err(refuse()),
            Ok(block) => {
                let blocks = size.div_ceil(block);
                let fits = scale.len() == sizes.len()
                    && (0..sizes.len()).all(|at| scale[at] == if at == axis { blocks } else { sizes[at] });
                if !fits {
                    return Err(refuse());
                }
                Spread::Blocks(block)
            }
        };
        Ok(Self { outer, size, inner, spread, count })
    }

    /// The zero points, widened; zeros, if there are none.
    fn zero_points(&self, call: &Call<'_>, data_type: DataType) -> Result<Value, Fault> {
        let mut wide = call.make(DataType::I32, [self.count].as_slice())?;
        let out = wide.raw_mut::<i32>();
        if !call.has(2) {
            out.fill(0);
            return Ok(wide);
        }
        let zeros = call.expect(2, data_type)?;
        if zeros.len() != self.count {
            let (zeros, count) = (zeros.len(), self.count);
            return Err(Fault::Shape(format!("{zeros} zero points for {count} scales")));
        }
        match data_type {
            DataType::U8 => out.iter_mut().zip(zeros.raw::<u8>()).for_each(|(to, &zero)| *to = zero.into()),
            DataType::I8 => out.iter_mut().zip(zeros.raw::<i8>()).for_each(|(to, &zero)| *to = zero.into()),
            DataType::I32 => out.copy_from_slice(zeros.raw()),
            found => return Err(Fault::Type { input: 2, found }),
        }
        Ok(wide)
    }

    fn each<T: Copy, R>(&self, x: &[T], by: Parameters<'_>, out: &mut [R], f: impl Fn(T, f32, i32) -> R) {
        if out.is_empty() {
            return;
        }
        let rows = out.chunks_exact_mut(self.inner).zip(x.chunks_exact(self.inner));
        for (row, (out, x)) in rows.enumerate().take(self.outer * self.size) {
            let (block, at) = (row / self.size, row % self.size);
            let pairs = out.iter_mut().zip(x);
            match self.spread {
                Spread::Tensor => pairs.for_each(|(out, &x)| *out = f(x, by.scale[0], by.zeros[0])),
                Spread::Axis => pairs.for_each(|(out, &x)| *out = f(x, by.scale[at], by.zeros[at])),
                Spread::Blocks(length) => {
                    let start = (block * self.size.div_ceil(length) + at / length) * self.inner;
                    let by = by.scale[start..].iter().zip(&by.zeros[start..]);
                    pairs.zip(by).for_each(|((out, &x), (&scale, &zero))| *out = f(x, scale, zero));
                }
            }
        }
    }
}
