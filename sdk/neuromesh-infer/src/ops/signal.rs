//! Signals: Fourier transforms, of a whole dimension or frame by frame.

mod fourier;
mod windows;

use super::{
    Operator,
    call::{self, Call, Outputs},
    op,
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    shape::{self, Shape},
};
use fourier::{Complex, Fourier};

pub(super) const TABLE: &[Operator] = &[
    windows::BLACKMAN,
    op("DFT", 17, 1..=3, dft),
    windows::HAMMING,
    windows::HANN,
    windows::MEL,
    op("STFT", 17, 2..=4, stft),
];

fn dft(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let parts = parts(&sizes)?;
    let axis = match call.opset() {
        20.. if call.has(2) => call.integer(2)?,
        20.. => -2,
        _ => call.attributes().int("axis")?.unwrap_or(1),
    };
    let axis = shape::axis(axis, sizes.len())?;
    if axis + 1 == sizes.len() {
        return Err(Fault::Value("the last dimension holds the parts of a number".into()));
    }
    let inverse = call.attributes().flag("inverse", false)?;
    let onesided = call.attributes().flag("onesided", false)?;
    let given = sizes[axis];
    let length = match call.has(1) {
        true => positive(call.integer(1)?, "the length")?,
        false if inverse && onesided => given.saturating_sub(1) * 2,
        false => given,
    };
    let (bins, results) = match (onesided, inverse) {
        (false, _) => (length, 2),
        (true, false) => (length / 2 + 1, 2),
        (true, true) => (length, 1),
    };
    let mut target = sizes.clone();
    target[axis] = bins;
    target[sizes.len() - 1] = results;
    let lines = shape::checked(&target)? / (bins * results).max(1);
    let mut fourier = Fourier::new(call.memory, length, inverse, lines)?;
    let x = call.floats(0)?;
    let mut result = call.make(DataType::F32, target)?;
    let out = result.raw_mut::<f32>();
    let inner: usize = sizes[axis + 1..sizes.len() - 1].iter().product();
    for line in 0..lines {
        let (block, column) = (line / inner, line % inner);
        let at = |index: usize| -> Complex {
            let at = ((block * given + index) * inner + column) * parts;
            [x[at].into(), if parts == 2 { x[at + 1].into() } else { 0.0 }]
        };
        let frequencies = fourier.transform(|index| match (onesided && inverse, index) {
            // The other side is the mirror image.
            (true, index) if index > length / 2 => match length - index {
                mirrored if mirrored < given => [at(mirrored)[0], -at(mirrored)[1]],
                _ => [0.0; 2],
            },
            (_, index) if index < given => at(index),
            _ => [0.0; 2],
        });
        for (bin, number) in frequencies.iter().enumerate().take(bins) {
            let at = ((block * bins + bin) * inner + column) * results;
            out[at..at + results].iter_mut().zip(number).for_each(|(to, &part)| *to = part as f32);
        }
    }
    call::one(result)
}

fn stft(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let parts = parts(&sizes)?;
    let &[batch, given, _] = &sizes[..] else {
        return Err(Fault::Shape(format!("a signal of shape {sizes:?}; three dimensions are needed")));
    };
    let step = positive(call.integer(1)?, "the step")?;
    let window = match call.has(2) {
        true if call.peek(2)?.rank() == 1 => Some(call.floats(2)?),
        true => return Err(Fault::Shape(format!("a window of shape {:?}", call.shape(2)?))),
        false => None,
    };
    let length = match call.has(3) {
        true => positive(call.integer(3)?, "the length")?,
        false => window.map_or(given, <[f32]>::len),
    };
    if length == 0 || length > given || window.is_some_and(|window| window.len() != length) {
        return Err(Fault::Shape(format!(
            "frames of {length} for {sizes:?} and a window {:?}",
            window.map(<[f32]>::len)
        )));
    }
    let frames = (given - length) / step + 1;
    let bins = if call.attributes().flag("onesided", true)? { length / 2 + 1 } else { length };
    let target = Shape::from_slice(&[batch, frames, bins, 2]);
    let lines = shape::checked(&target)? / (bins * 2);
    let mut fourier = Fourier::new(call.memory, length, false, lines)?;
    let x = call.floats(0)?;
    let mut result = call.make(DataType::F32, target)?;
    for (line, out) in result.raw_mut::<f32>().chunks_exact_mut(bins * 2).enumerate() {
        let start = (line / frames) * given + (line % frames) * step;
        let frequencies = fourier.transform(|index| {
            let (at, factor) = ((start + index) * parts, window.map_or(1.0, |window| f64::from(window[index])));
            let part = |at: usize| f64::from(x[at]) * factor;
            [part(at), if parts == 2 { part(at + 1) } else { 0.0 }]
        });
        let pairs = out.as_chunks_mut::<2>().0.iter_mut().zip(frequencies);
        pairs.for_each(|(to, &[real, imaginary])| *to = [real as f32, imaginary as f32]);
    }
    call::one(result)
}

/// How many parts the numbers have, which is the last dimension: one for real numbers, two for complex ones.
fn parts(sizes: &[usize]) -> Result<usize, Fault> {
    match sizes {
        [_, .., parts @ (1 | 2)] => Ok(*parts),
        _ => Err(Fault::Shape(format!("{sizes:?} does not end with the one or two parts of a number"))),
    }
}

fn positive(number: i64, what: &str) -> Result<usize, Fault> {
    let number = usize::try_from(number).ok().filter(|&number| number > 0);
    number.ok_or_else(|| wrong(what, "it must be positive"))
}
