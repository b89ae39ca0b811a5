//! Tables that signals are multiplied by, computed in double precision.

use std::f64::consts::{LN_10, TAU};

use super::positive;
use crate::{
    DataType, Fault,
    kernels::math::double,
    ops::{
        Operator,
        call::{self, Call, Outputs},
        cast, moves,
    },
    value::Value,
};

pub(super) const BLACKMAN: Operator = moves("BlackmanWindow", 17, 1..=1, blackman);
pub(super) const HAMMING: Operator = moves("HammingWindow", 17, 1..=1, hamming);
pub(super) const HANN: Operator = moves("HannWindow", 17, 1..=1, hann);
pub(super) const MEL: Operator = moves("MelWeightMatrix", 17, 5..=5, mel);

/// Lengths that double precision still counts one by one.
const MAX_LENGTH: u64 = 1 << 52;

/// `a + b cos(2 pi n / N) + c cos(4 pi n / N)`
type Cosines = [f64; 3];

fn blackman(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    window(call, [0.42, -0.5, 0.08])
}

fn hamming(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    window(call, [25.0 / 46.0, -21.0 / 46.0, 0.0])
}

fn hann(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    window(call, [0.5, -0.5, 0.0])
}

fn window(call: &Call<'_>, [a, b, c]: Cosines) -> Result<Outputs, Fault> {
    let length = usize::try_from(call.integer(0)?).map_err(|_| Fault::Value("the length is negative".into()))?;
    let period = match call.attributes().flag("periodic", true)? {
        true => length,
        false => length.saturating_sub(1).max(1),
    };
    let mut result = call.make(DataType::F32, [length].as_slice())?;
    for (index, to) in result.raw_mut::<f32>().iter_mut().enumerate() {
        let angle = TAU * (index as f64 / period as f64);
        *to = (a + b * double::cos(angle) + c * double::cos(2.0 * angle)) as f32;
    }
    typed(call, result)
}

/// The result in the type that the node asks for.
fn typed(call: &Call<'_>, value: Value) -> Result<Outputs, Fault> {
    let code = call.attributes().int("output_datatype")?.unwrap_or(1);
    let to = i32::try_from(code).ok().and_then(DataType::from_onnx);
    let to = to.ok_or_else(|| Fault::Unsupported(format!("element type {code}")))?;
    call::one(cast::convert(call.memory, value, to)?)
}

/// Triangles, equally wide in mels: how much each frequency counts in each band.
fn mel(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let (bands, length) = (positive(call.integer(0)?, "the number of bands")?, call.integer(1)?);
    let rate = positive(call.integer(2)?, "the sample rate")?;
    let length = usize::try_from(length).ok().filter(|&length| length as u64 <= MAX_LENGTH);
    let length = length.ok_or_else(|| Fault::Value("the length is out of range".into()))?;
    let bins = length / 2 + 1;
    let to_mel = |hertz: f64| 2595.0 * double::log1p(hertz / 700.0) / LN_10;
    let (low, high) = (to_mel(call.number(3)?), to_mel(call.number(4)?));
    let step = (high - low) / (bands as f64 + 2.0);
    // The bin in which a triangle begins; the second one after it ends it.
    let edge = |index: usize| -> Result<usize, Fault> {
        let hertz = 700.0 * double::exp_m1((index as f64 * step + low) / 2595.0 * LN_10);
        let bin = ((length as f64 + 1.0) * hertz / rate as f64).floor();
        match bin >= 0.0 && bin <= bins as f64 {
            true => Ok(bin as usize),
            false => Err(Fault::Value(format!("{hertz} Hz lies outside of {bins} bins at {rate} Hz"))),
        }
    };
    let mut result = call.make(DataType::F32, [bins, bands].as_slice())?;
    let out = result.raw_mut::<f32>();
    out.fill(0.0);
    for band in 0..bands {
        let (first, centre, end) = (edge(band)?, edge(band + 1)?, edge(band + 2)?);
        if centre == bins {
            return Err(Fault::Value(format!("band {band} lies outside of {bins} bins at {rate} Hz")));
        }
        match centre.checked_sub(first) {
            None => {}
            Some(0) => out[centre * bands + band] = 1.0,
            Some(width) => {
                for bin in first..=centre {
                    out[bin * bands + band] = ((bin - first) as f64 / width as f64) as f32;
                }
            }
        }
        for bin in centre..end {
            out[bin * bands + band] = ((end - bin) as f64 / (end - centre) as f64) as f32;
        }
    }
    typed(call, result)
}
