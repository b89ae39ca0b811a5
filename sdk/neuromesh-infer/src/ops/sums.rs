//! Sums of rows in the order that `NUMERICS.md` states.

/// Sums that are formed side by side: element `i` goes to lane `i mod 16`.
const LANES: usize = 16;

/// The sum of a row.
pub(crate) fn sum(row: &[f32]) -> f32 {
    sum_of(row, |x| x)
}

/// The sum of `f` of each element.
pub(crate) fn sum_of(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &x)| *lane += f(x));
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, &x)| *lane += f(x));
    let mut half = LANES / 2;
    while half > 0 {
        for at in 0..half {
            lanes[at] += lanes[at + half];
        }
        half /= 2;
    }
    lanes[0]
}
