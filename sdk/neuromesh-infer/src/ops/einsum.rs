//! `Einsum`: sums of products along named dimensions.
//!
//! More than two operands are multiplied one after the other, from the left; a subscript that neither a later operand nor
//! the result has is summed up as soon as it can be. Each sum begins at zero and goes through its subscripts in the order
//! in which the equation first names them, the last one fastest.

mod equation;

use super::{
    MANY, Operator,
    call::{self, Call, Outputs},
    movement::{self, Steps},
    number::Number,
    op,
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    shape::{self, Shape},
    value::{Value, by_type},
};
use equation::{Equation, Subscript};

pub(super) const TABLE: &[Operator] = &[op("Einsum", 12, 1..=MANY, einsum)];

/// A tensor and the names of its dimensions.
struct Term {
    value: Value,
    names: Vec<Subscript>,
}

fn einsum(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let text = call.attributes().text("equation")?.ok_or_else(|| wrong("equation", "it is missing"))?;
    if let found @ DataType::Bool = call.same_type()? {
        return Err(Fault::Type { input: 0, found });
    }
    let ranks = (0..call.inputs.len()).map(|input| Ok(call.peek(input)?.rank())).collect::<Result<Vec<_>, _>>()?;
    let equation = Equation::parse(text, &ranks).map_err(|reason| wrong("equation", reason))?;
    let mut terms = Vec::with_capacity(ranks.len());
    for (input, names) in equation.operands.iter().enumerate() {
        terms.push(Term { value: call.take(input)?, names: names.clone() });
    }
    check_sizes(&terms)?;
    let mut rest = terms.into_iter();
    let mut result = rest.next().ok_or(Fault::Missing(0))?;
    let mut pending = rest.len();
    while pending > 1 {
        let next = rest.next().ok_or(Fault::Missing(1))?;
        pending -= 1;
        let later = |name: &Subscript| rest.as_slice().iter().any(|term| term.names.contains(name));
        let kept = equation.order.iter().copied();
        let kept = kept.filter(|name| result.names.contains(name) || next.names.contains(name));
        let kept: Vec<_> = kept.filter(|name| later(name) || equation.result.contains(name)).collect();
        result = Term { value: product(call, &result, Some(&next), &kept, &equation)?, names: kept };
    }
    call::one(product(call, &result, rest.next().as_ref(), &equation.result, &equation)?)
}

/// Checks that each name has one size; a size of 1 is repeated.
fn check_sizes(terms: &[Term]) -> Result<(), Fault> {
    let mut sizes: std::collections::BTreeMap<Subscript, usize> = Default::default();
    for term in terms {
        for (&name, &size) in term.names.iter().zip(term.value.shape()) {
            match *sizes.entry(name).or_insert(size) {
                known if known == size || size == 1 => {}
                1 => {
                    sizes.insert(name, size);
                }
                known => return Err(Fault::Shape(format!("a subscript stands for sizes of {known} and of {size}"))),
            }
        }
    }
    Ok(())
}

/// One loop: its length, and how far each operand goes on in a turn.
#[derive(Clone, Copy)]
struct Loop {
    length: usize,
    steps: [isize; 2],
}

/// The product of one or two terms, summed up to these names.
fn product(
    call: &Call<'_>,
    a: &Term,
    b: Option<&Term>,
    kept: &[Subscript],
    equation: &Equation,
) -> Result<Value, Fault> {
    let line = |name: Subscript| {
        let mut line = Loop { length: 1, steps: [0; 2] };
        for (term, step) in [Some(a), b].into_iter().flatten().zip(0..) {
            let strides = shape::strides(term.value.shape());
            for ((&own, &size), &stride) in term.names.iter().zip(term.value.shape()).zip(&strides) {
                // A name that an operand has twice goes along its diagonal.
                if own == name && size != 1 {
                    line.length = size;
                    line.steps[step] += stride;
                }
            }
        }
        line
    };
    let summed = equation.order.iter().copied().filter(|name| !kept.contains(name));
    let summed: Vec<Loop> = summed.map(line).filter(|line| line.length != 1).collect();
    let outer: Vec<Loop> = kept.iter().copied().map(line).collect();
    let target: Shape = outer.iter().map(|line| line.length).collect();
    if b.is_none() && summed.is_empty() {
        let steps: Steps = outer.iter().map(|line| line.steps[0]).collect();
        return movement::strided(call.memory, &a.value, 0, &steps, target);
    }
    let mut result = call.make(a.value.data_type(), target)?;
    let turns = match summed.iter().any(|line| line.length == 0) {
        true => 0,
        false => summed.iter().fold(1usize, |turns, line| turns.saturating_mul(line.length)),
    };
    call.memory.check_work(&[result.len(), turns])?;
    if turns == 0 {
        result.fill(0.0);
        return Ok(result);
    }
    by_type!(a.value.data_type(), T => {
        let one = [T::ONE];
        let b = b.map_or(&one[..], |term| term.value.raw::<T>());
        run(a.value.raw::<T>(), b, &outer, &summed, result.raw_mut());
    });
    Ok(result)
}

/// The loops, one row of the result at a time.
fn run<T: Number>(a: &[T], b: &[T], outer: &[Loop], summed: &[Loop], to: &mut [T]) {
    to.fill(T::zeroed());
    if to.is_empty() {
        return;
    }
    let single = Loop { length: 1, steps: [0; 2] };
    let (row, outer) = outer.split_last().map_or((single, outer), |(last, outer)| (*last, outer));
    let (last, summed) = summed.split_last().map_or((single, summed), |(last, summed)| (*last, summed));
    let mut rows = to.chunks_exact_mut(row.length);
    each(outer, [0; 2], &mut |start| {
        let Some(to) = rows.next() else {
            return;
        };
        each(summed, start, &mut |mut at| {
            for _ in 0..last.length {
                add_products(a, b, at, row.steps, to);
                at = [at[0] + last.steps[0], at[1] + last.steps[1]];
            }
        });
    });
}

/// Adds the products of two rows.
fn add_products<T: Number>(a: &[T], b: &[T], at: [isize; 2], steps: [isize; 2], to: &mut [T]) {
    let length = to.len();
    let from = at.map(|at| at as usize);
    match steps {
        [0, 1] => {
            let (a, b) = (a[from[0]], &b[from[1]..][..length]);
            to.iter_mut().zip(b).for_each(|(to, &b)| *to = to.plus(a.times(b)));
        }
        [1, 0] => {
            let (a, b) = (&a[from[0]..][..length], b[from[1]]);
            to.iter_mut().zip(a).for_each(|(to, &a)| *to = to.plus(a.times(b)));
        }
        _ => {
            for (index, to) in to.iter_mut().enumerate() {
                let place = |side: usize| (at[side] + index as isize * steps[side]) as usize;
                *to = to.plus(a[place(0)].times(b[place(1)]));
            }
        }
    }
}

/// Calls `visit` with the two offsets of each turn of these loops, the last one fastest.
fn each(loops: &[Loop], start: [isize; 2], visit: &mut impl FnMut([isize; 2])) {
    let lengths: Shape = loops.iter().map(|line| line.length).collect();
    let first: Steps = loops.iter().map(|line| line.steps[0]).collect();
    let second: Steps = loops.iter().map(|line| line.steps[1]).collect();
    movement::walk(&lengths, &first, start[0], |index, at| {
        let other: isize = index.iter().zip(&second).map(|(&index, &step)| index as isize * step).sum();
        visit([at, start[1] + other]);
    });
}
