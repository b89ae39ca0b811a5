//! Reductions of several axes at once.

use super::{Reduction, reduce};
use crate::kernels::cpu::Cpu;
use crate::kernels::elementwise::{for_chunks, rows_at_a_time};

/// Reduces the axes of `x` that are marked in `reduced` into `out`, the other axes in their order.
///
/// Axes that lie next to each other (apart from those of size 1) are [`reduce`]d as one. Otherwise the elements of each output
/// are gathered in the order of the tensor and reduced as a row; that takes one row of memory for each thread at work.
///
/// # Panics
/// When `reduced` has another rank than `shape`, or `x` or `out` has another size.
pub fn reduce_axes(cpu: &Cpu, op: Reduction, x: &[f32], shape: &[usize], reduced: &[bool], out: &mut [f32]) {
    assert_eq!(shape.len(), reduced.len(), "a reduction needs one mark for each axis");
    assert_eq!(x.len(), shape.iter().product::<usize>(), "a reduction of a tensor of another size");
    let kept = shape.iter().zip(reduced).filter(|(_, reduced)| !**reduced).map(|(size, _)| size);
    assert_eq!(out.len(), kept.product::<usize>(), "a reduction into a tensor of another size");
    if let Some(dimensions) = neighbours(shape, reduced) {
        return reduce(cpu, op, x, dimensions, out);
    }

    let (mut outputs, mut elements, mut stride) = (Vec::new(), Vec::new(), 1);
    for (&size, &reduced) in shape.iter().zip(reduced).rev() {
        if reduced { &mut elements } else { &mut outputs }.push((size, stride));
        stride *= size;
    }
    let size: usize = elements.iter().map(|(size, _)| size).product();
    let at_a_time = rows_at_a_time(size);
    let alone = Cpu { threads: Default::default(), ..cpu.clone() };
    for_chunks(&cpu.threads, out, at_a_time, |index, out| {
        let mut row = vec![0.0; size];
        for (number, out) in out.iter_mut().enumerate() {
            let base = offset(&outputs, index * at_a_time + number);
            for (number, element) in row.iter_mut().enumerate() {
                *element = x[base + offset(&elements, number)];
            }
            reduce(&alone, op, &row, [1, size, 1], std::slice::from_mut(out));
        }
    });
}

/// `[outer, size, inner]`, if the reduced axes lie next to each other.
fn neighbours(shape: &[usize], reduced: &[bool]) -> Option<[usize; 3]> {
    let mut dimensions = [1; 3];
    let mut part = 0;
    for (&size, &reduced) in shape.iter().zip(reduced).filter(|(size, _)| **size != 1) {
        part = match (part, reduced) {
            (0, false) => 0,
            (0 | 1, true) => 1,
            (1 | 2, false) => 2,
            _ => return None,
        };
        dimensions[part] *= size;
    }
    Some(dimensions)
}

/// Where the element of this number lies; dimensions as (size, stride), the innermost first.
fn offset(dimensions: &[(usize, usize)], number: usize) -> usize {
    let place = |(rest, offset), &(size, stride): &(usize, usize)| (rest / size, offset + rest % size * stride);
    dimensions.iter().fold((number, 0), place).1
}
