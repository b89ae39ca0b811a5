//! Rotating pairs of numbers by an angle that depends on the position.

use super::heads::Heads;
use crate::{
    DataType, Fault,
    attribute::wrong,
    ops::{
        Operator,
        call::{self, Call, Outputs},
        op,
    },
};

pub(super) const OPERATOR: Operator = op("RotaryEmbedding", 23, 3..=4, rotate);

fn rotate(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let heads = Heads::new(call, 0, "num_heads")?;
    let interleaved = call.attributes().flag("interleaved", false)?;
    let rotated = match call.attributes().int("rotary_embedding_dim")?.unwrap_or(0) {
        0 => Some(heads.size),
        size => usize::try_from(size).ok(),
    };
    let rotated = rotated.filter(|&size| size <= heads.size && size.is_multiple_of(2));
    let rotated = rotated.ok_or_else(|| {
        wrong("rotary_embedding_dim", &format!("it is not an even number of the {} of a head", heads.size))
    })?;
    let half = rotated / 2;
    let (cos, sin) = (call.floats(1)?, call.floats(2)?);
    let (own, places) = (call.shape(1)?, [heads.batch, heads.length]);
    let refuse = || Fault::Shape(format!("cosines of shape {own:?} for {places:?} positions and {half} angles"));
    if own != call.shape(2)? {
        return Err(refuse());
    }
    let positions = match call.has(3) {
        false if own[..] == [heads.batch, heads.length, half] => None,
        true if call.shape(3)?[..] == places && own.len() == 2 && own[1] == half => Some(call.integers(3)?),
        _ => return Err(refuse()),
    };
    if let Some(position) = positions.iter().flatten().find(|&&at| usize::try_from(at).map_or(true, |at| at >= own[0]))
    {
        return Err(Fault::Value(format!("position {position} is outside of {own:?}")));
    }
    let x = call.floats(0)?;
    let mut result = call.make(DataType::F32, heads.shape())?;
    let out = result.raw_mut::<f32>();
    if out.is_empty() {
        return call::one(result);
    }
    for place in 0..heads.batch * heads.length {
        let (batch, index) = (place / heads.length, place % heads.length);
        let angle = positions.as_ref().map_or(place, |positions| positions[place] as usize) * half;
        let (cos, sin) = (&cos[angle..][..half], &sin[angle..][..half]);
        for head in 0..heads.heads {
            let start = heads.row(batch, head, index);
            let (from, to) = (&x[start..][..heads.size], &mut out[start..][..heads.size]);
            to[rotated..].copy_from_slice(&from[rotated..]);
            for (at, (&cos, &sin)) in cos.iter().zip(sin).enumerate() {
                let (first, second) = if interleaved { (2 * at, 2 * at + 1) } else { (at, half + at) };
                let (a, b) = (from[first], from[second]);
                to[first] = cos * a - sin * b;
                to[second] = sin * a + cos * b;
            }
        }
    }
    call::one(result)
}
