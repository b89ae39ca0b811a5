//! Random numbers. ONNX fixes no sequence: ours is the same wherever and whenever a model runs.

use super::{
    Operator,
    call::{self, Call, Outputs},
    cast, moves,
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    shape::{self, Shape},
    value::Value,
};

pub(super) const TABLE: &[Operator] = &[
    moves("Bernoulli", 15, 1..=1, bernoulli),
    moves("Multinomial", 7, 1..=1, multinomial),
    moves("RandomNormal", 1, 0..=0, normal),
    moves("RandomNormalLike", 1, 1..=1, normal),
    moves("RandomUniform", 1, 0..=0, uniform),
    moves("RandomUniformLike", 1, 1..=1, uniform),
];

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    /// From the attribute, or else from the node's name: two nodes do not draw the same numbers.
    fn new(call: &Call<'_>) -> Result<Self, Fault> {
        Ok(Self(match call.attributes().float("seed")? {
            Some(seed) => seed.to_bits().into(),
            // FNV-1a.
            None => call
                .node
                .name
                .bytes()
                .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)),
        }))
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From 0 to below 1.
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Marsaglia's polar method; the second number of each pair is not used.
    fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * libm::log(square) / square).sqrt();
            }
        }
    }
}

fn uniform(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let low = f64::from(call.attributes().float("low")?.unwrap_or(0.0));
    let high = f64::from(call.attributes().float("high")?.unwrap_or(1.0));
    draw(call, |random| low + random.unit() * (high - low))
}

fn normal(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let mean = f64::from(call.attributes().float("mean")?.unwrap_or(0.0));
    let scale = f64::from(call.attributes().float("scale")?.unwrap_or(1.0));
    draw(call, |random| mean + random.normal() * scale)
}

/// Floats of the shape and type that the attributes name, or that the operand has.
fn draw(call: &Call<'_>, mut next: impl FnMut(&mut Random) -> f64) -> Result<Outputs, Fault> {
    let (target, default) = match call.has(0) {
        true => (call.shape(0)?, call.data_type(0)?),
        false => {
            let list = call.attributes().ints("shape")?.ok_or_else(|| wrong("shape", "it is missing"))?;
            (shape::sizes(list).map_err(|reason| wrong("shape", reason))?, DataType::F32)
        }
    };
    let data_type = data_type(call, default)?;
    if !matches!(data_type, DataType::F32 | DataType::F16) {
        return Err(wrong("dtype", "a type of floats is expected"));
    }
    let mut random = Random::new(call)?;
    let mut result = call.make(DataType::F32, target)?;
    result.raw_mut::<f32>().iter_mut().for_each(|to| *to = next(&mut random) as f32);
    call::one(cast::convert(call.memory, result, data_type)?)
}

fn data_type(call: &Call<'_>, default: DataType) -> Result<DataType, Fault> {
    match call.attributes().int("dtype")? {
        None => Ok(default),
        Some(code) => {
            let known = i32::try_from(code).ok().and_then(DataType::from_onnx);
            known.ok_or_else(|| Fault::Unsupported(format!("element type {code}")))
        }
    }
}

/// Ones with the probabilities that the operand gives, zeros otherwise.
fn bernoulli(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let data_type = data_type(call, call.data_type(0)?)?;
    let chances = floats(call)?;
    let mut random = Random::new(call)?;
    let mut result = call.make(DataType::F32, chances.shape().clone())?;
    let pairs = result.raw_mut::<f32>().iter_mut().zip(chances.raw::<f32>());
    pairs.for_each(|(to, &chance)| *to = if random.unit() < f64::from(chance) { 1.0 } else { 0.0 });
    call::one(cast::convert(call.memory, result, data_type)?)
}

/// Positions along each row of unnormalized logarithms of probabilities.
fn multinomial(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let data_type = data_type(call, DataType::I32)?;
    if !matches!(data_type, DataType::I32 | DataType::I64) {
        return Err(wrong("dtype", "int32 or int64 is expected"));
    }
    let samples = shape::size(call.attributes().int("sample_size")?.unwrap_or(1));
    let samples = samples.map_err(|reason| wrong("sample_size", reason))?;
    let rows = floats(call)?;
    let &[batch, classes] = &rows.shape()[..] else {
        return Err(Fault::Shape(format!("{:?} is not rows of probabilities", rows.shape())));
    };
    let mut result = call.make(data_type, Shape::from_slice(&[batch, samples]))?;
    if result.len() == 0 {
        return call::one(result);
    }
    call.memory.check(classes as u64 * 8 + result.len() as u64 * 8)?;
    let mut random = Random::new(call)?;
    let mut drawn = Vec::with_capacity(result.len());
    let mut sums: Vec<f64> = Vec::with_capacity(classes);
    for row in 0..batch {
        let row = &rows.raw::<f32>()[row * classes..][..classes];
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        sums.clear();
        let mut sum = 0.0;
        for &logarithm in row {
            sum += libm::exp(f64::from(logarithm) - f64::from(most));
            sums.push(sum);
        }
        // Also where it is not a number.
        if sum.is_nan() || sum <= 0.0 {
            return Err(Fault::Value("a row of probabilities has no finite sum".into()));
        }
        for _ in 0..samples {
            let at = random.unit() * sum;
            drawn.push(sums.partition_point(|&sum| sum <= at).min(classes - 1) as i64);
        }
    }
    result.write_integers(drawn.into_iter());
    call::one(result)
}

/// The first operand in single precision.
fn floats(call: &mut Call<'_>) -> Result<Value, Fault> {
    match call.data_type(0)? {
        DataType::F32 | DataType::F16 => {
            let value = call.take(0)?;
            cast::convert(call.memory, value, DataType::F32)
        }
        found => Err(Fault::Type { input: 0, found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_paper_and_spreads_as_it_should() {
        // From the reference implementation at http://xoshiro.di.unimi.it/splitmix64.c.
        let mut random = Random(1_234_567);
        assert_eq!([random.bits(), random.bits()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..10_000 {
            let x = random.normal();
            sum += x;
            squares += x * x;
            assert!((0.0..1.0).contains(&random.unit()));
        }
        assert!((sum / 10_000.0).abs() < 0.05 && (squares / 10_000.0 - 1.0).abs() < 0.05, "{sum} {squares}");
    }
}
