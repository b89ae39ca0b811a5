//! From numbers to bytes: divided by a scale, rounded to even, a zero point added, saturated.

use crate::kernels::cpu::dispatch;

/// Adding and taking away `1.5 * 2^23` rounds to an integer, ties to even, which then stands in the lowest bits.
const ROUND: f32 = 12_582_912.0;
/// No quotient beyond leads to another byte, as zero points are bytes too.
const FAR: f32 = 1024.0;

/// `x / scale`, rounded, `+ zero`, for a byte as a zero point; what does not saturate to another byte than the whole sum would.
/// NaN counts as 0.
#[inline(always)]
pub fn quantized(x: f32, scale: f32, zero: i32, least: i32, most: i32) -> i32 {
    rounded(x / scale, zero, least, most)
}

/// The same of a quotient.
#[inline(always)]
pub fn rounded(quotient: f32, zero: i32, least: i32, most: i32) -> i32 {
    let quotient = if quotient.is_nan() { 0.0 } else { quotient };
    let quotient = if quotient < -FAR { -FAR } else { quotient };
    let quotient = if quotient > FAR { FAR } else { quotient };
    let whole = ((quotient + ROUND).to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let sum = whole.wrapping_add(zero);
    let sum = if sum < least { least } else { sum };
    if sum > most { most } else { sum }
}

dispatch! {
    /// The smallest and the largest of the numbers and 0; NaN is passed over.
    pub fn range(cpu: &Cpu, x: &[f32]) -> (f32, f32) {
        let (mut low, mut high) = ([0f32; 16], [0f32; 16]);
        let (groups, rest) = x.as_chunks::<16>();
        for group in groups {
            for ((low, high), x) in low.iter_mut().zip(high.iter_mut()).zip(group) {
                *low = if *x < *low { *x } else { *low };
                *high = if *x > *high { *x } else { *high };
            }
        }
        let (mut least, mut most) = (0f32, 0f32);
        for x in low.iter().chain(&high).chain(rest) {
            least = if *x < least { *x } else { least };
            most = if *x > most { *x } else { most };
        }
        (least, most)
    }

    /// Bytes of numbers, with one scale and zero point; of slices of different lengths the rest is left.
    pub fn quantize(cpu: &Cpu, x: &[f32], scale: f32, zero: u8, to: &mut [u8]) {
        for (to, x) in to.iter_mut().zip(x) {
            *to = quantized(*x, scale, i32::from(zero), 0, 255) as u8;
        }
    }
}
