//! The transform itself, in double precision: lengths are split into their prime factors, so that only a large prime is slow.

use std::f64::consts::TAU;

use crate::{Fault, buffer::Buffer, kernels::math::double, memory::Memory};

/// The real and the imaginary part.
pub(super) type Complex = [f64; 2];

/// Everything that transforms of one length need.
pub(super) struct Fourier {
    length: usize,
    factors: Vec<usize>,
    inverse: bool,
    /// The powers of the first root of unity.
    roots: Buffer,
    from: Buffer,
    to: Buffer,
    /// As many numbers as the largest factor says.
    scratch: Buffer,
}

impl Fourier {
    /// For so many transforms, whose work is checked.
    pub fn new(memory: &Memory, length: usize, inverse: bool, count: usize) -> Result<Self, Fault> {
        if length == 0 {
            return Err(Fault::Shape("a signal without length has no frequencies".into()));
        }
        let bytes = length.checked_mul(size_of::<Complex>()).filter(|&bytes| bytes <= isize::MAX as usize / 4);
        let bytes = bytes.ok_or_else(|| Fault::Shape(format!("a signal of length {length} is too long")))?;
        // Finding the factors takes as many steps as the root of the length, at most.
        let factors = factors(length);
        let per_element = factors.iter().fold(1, |sum: usize, &factor| sum.saturating_add(factor));
        memory.check_work(&[count.max(1), length, per_element])?;
        let largest = factors.iter().copied().max().unwrap_or(1);
        let mut roots = memory.buffer(bytes)?;
        let sign = if inverse { 1.0 } else { -1.0 };
        for (index, root) in roots.slice_mut::<Complex>().iter_mut().enumerate() {
            let angle = TAU * (index as f64 / length as f64);
            *root = [double::cos(angle), sign * double::sin(angle)];
        }
        let scratch = memory.buffer(largest * size_of::<Complex>())?;
        Ok(Self { length, factors, inverse, roots, from: memory.buffer(bytes)?, to: memory.buffer(bytes)?, scratch })
    }

    /// The transform of the numbers that `at` gives.
    pub fn transform(&mut self, at: impl Fn(usize) -> Complex) -> &[Complex] {
        let from = self.from.slice_mut::<Complex>();
        from.iter_mut().enumerate().for_each(|(index, number)| *number = at(index));
        let to = self.to.slice_mut::<Complex>();
        let roots = self.roots.slice::<Complex>();
        split(from, 1, to, &self.factors, roots, self.scratch.slice_mut());
        if self.inverse {
            let count = self.length as f64;
            to.iter_mut().for_each(|[real, imaginary]| (*real, *imaginary) = (*real / count, *imaginary / count));
        }
        to
    }
}

/// The transform of every `step`-th number: one of each remainder by the first factor, then all of them put together.
fn split(
    from: &[Complex],
    step: usize,
    to: &mut [Complex],
    factors: &[usize],
    roots: &[Complex],
    scratch: &mut [Complex],
) {
    let Some((&factor, rest)) = factors.split_first() else {
        to[0] = from[0];
        return;
    };
    let part = to.len() / factor;
    for (remainder, to) in to.chunks_exact_mut(part).enumerate() {
        split(&from[remainder * step..], step * factor, to, rest, roots, scratch);
    }
    for column in 0..part {
        let numbers = &mut scratch[..factor];
        numbers.iter_mut().enumerate().for_each(|(at, number)| *number = to[at * part + column]);
        for row in 0..factor {
            // The power of the root: a multiple of this, beyond the length from the start again.
            let turn = (row * part + column) * step;
            let (mut power, mut sum) = (0, [0.0; 2]);
            for &[real, imaginary] in numbers.iter() {
                let [cos, sin] = roots[power];
                sum = [sum[0] + (real * cos - imaginary * sin), sum[1] + (real * sin + imaginary * cos)];
                power += turn;
                if power >= roots.len() {
                    power -= roots.len();
                }
            }
            to[row * part + column] = sum;
        }
    }
}

/// The prime factors, smallest first.
fn factors(mut number: usize) -> Vec<usize> {
    let (mut factors, mut factor) = (Vec::new(), 2usize);
    while factor.saturating_mul(factor) <= number {
        match number.is_multiple_of(factor) {
            true => {
                factors.push(factor);
                number /= factor;
            }
            false => factor += 1,
        }
    }
    if number > 1 {
        factors.push(number);
    }
    factors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[test]
    fn every_length_gives_the_sums_of_the_definition() {
        let memory = Memory::new(&Limits::default(), 0);
        for length in [1, 2, 3, 4, 12, 35, 64, 97] {
            let at = |index: usize| [(index * 7 % 11) as f64 - 5.0, (index * 5 % 13) as f64];
            for inverse in [false, true] {
                let mut fourier = Fourier::new(&memory, length, inverse, 1).unwrap();
                let found = fourier.transform(at).to_vec();
                for (bin, [real, imaginary]) in found.into_iter().enumerate() {
                    let (mut sum, sign) = ([0.0; 2], if inverse { 1.0 } else { -1.0 });
                    for index in 0..length {
                        let angle = sign * TAU * (index * bin % length) as f64 / length as f64;
                        let ([a, b], [cos, sin]) = (at(index), [double::cos(angle), double::sin(angle)]);
                        sum = [sum[0] + a * cos - b * sin, sum[1] + a * sin + b * cos];
                    }
                    let scale = if inverse { length as f64 } else { 1.0 };
                    let error = (real - sum[0] / scale).abs().max((imaginary - sum[1] / scale).abs());
                    assert!(error < 1e-10, "{length}, bin {bin}: off by {error}");
                }
            }
        }
    }
}
