//! The small lists of integers that shapes are computed from.

use super::{
    MAX_ELEMENTS, Number, Sketch,
    rules::{Known, Use, one},
    size,
};
use crate::{DataType, Dim, Fault};

pub(super) fn shape_of(at: &Use<'_>) -> Known {
    let Some(shape) = at.shape(0) else {
        return one(Some(DataType::I64), Some(vec![Dim::Unknown]));
    };
    let rank = shape.len() as i64;
    let clamp = |index: i64| (if index < 0 { index + rank } else { index }).clamp(0, rank) as usize;
    let (start, end) = (clamp(at.int("start", 0)?), clamp(at.int("end", rank)?));
    let list = shape.get(start..end).unwrap_or_default().iter().map(Number::from).collect();
    Ok(vec![Sketch::list(DataType::I64, list, false)])
}

pub(super) fn cast(at: &Use<'_>) -> Known {
    let to = at.node.attributes.int("to")?.and_then(|code| i32::try_from(code).ok()).and_then(DataType::from_onnx);
    let mut result = Sketch::new(to, at.shape(0).map(<[Dim]>::to_vec));
    if matches!(to, Some(DataType::I64 | DataType::I32)) && at.data_type(0).is_some_and(DataType::is_integer) {
        result.elements = at.elements(0).map(<[Number]>::to_vec);
    }
    Ok(vec![result])
}

/// Beside the elements of both operands, the result of `each`; a single number goes with each of a list.
fn pairs(a: &[Number], b: &[Number], each: impl Fn(&Number, &Number) -> Option<Number>) -> Option<Vec<Number>> {
    let count = if a.len() == 1 { b.len() } else { a.len() };
    if !(a.len() == count || a.len() == 1) || !(b.len() == count || b.len() == 1) || count > MAX_ELEMENTS {
        return None;
    }
    (0..count).map(|at| each(&a[at % a.len()], &b[at % b.len()])).collect()
}

pub(super) fn arithmetic(at: &Use<'_>, mut results: Vec<Sketch>) -> Known {
    if let (Some(a), Some(b), Some(result)) = (at.elements(0), at.elements(1), results.first_mut())
        && !a.is_empty()
        && !b.is_empty()
        && result.data_type == Some(DataType::I64)
    {
        result.elements = pairs(a, b, |a, b| Some(number(at.op(), a, b)));
    }
    Ok(results)
}

fn number(op: &str, a: &Number, b: &Number) -> Number {
    let unknown = Number::Size(Dim::Unknown);
    let known = |result: Option<i64>| result.map_or(Number::Size(Dim::Unknown), Number::Known);
    match (op, a, b) {
        ("Add", Number::Known(a), Number::Known(b)) => known(a.checked_add(*b)),
        ("Sub", Number::Known(a), Number::Known(b)) => known(a.checked_sub(*b)),
        ("Mul", Number::Known(a), Number::Known(b)) => known(a.checked_mul(*b)),
        ("Div", Number::Known(a), Number::Known(b)) => known(a.checked_div(*b)),
        ("Add" | "Sub", a, Number::Known(0)) | ("Mul" | "Div", a, Number::Known(1)) => a.clone(),
        ("Add", Number::Known(0), b) | ("Mul", Number::Known(1), b) => b.clone(),
        ("Mul", a, b) if a.known().is_none_or(|a| a >= 0) && b.known().is_none_or(|b| b >= 0) => {
            Number::from(&size::product(&[a.dim(), b.dim()]))
        }
        ("Div", a, Number::Known(b)) if *b > 0 => {
            let quotient = size::Term::product(&[a.dim()]).zip(size::Term::product(&[Dim::Fixed(*b as usize)]));
            quotient.and_then(|(a, b)| a.divide(&b)).map_or(unknown, |term| Number::from(&term.dim()))
        }
        _ => unknown,
    }
}

/// What is equal is kept as ones and zeros, for `Where`.
pub(super) fn equal(at: &Use<'_>, mut results: Vec<Sketch>) -> Known {
    if let (Some(a), Some(b), Some(result)) = (at.elements(0), at.elements(1), results.first_mut())
        && !a.is_empty()
        && !b.is_empty()
    {
        result.elements = pairs(a, b, |a, b| match (a, b) {
            (Number::Known(a), Number::Known(b)) => Some(Number::Known(i64::from(a == b))),
            // A size is never negative.
            (Number::Known(a), Number::Size(_)) | (Number::Size(_), Number::Known(a)) if *a < 0 => {
                Some(Number::Known(0))
            }
            _ => None,
        });
    }
    Ok(results)
}

pub(super) fn choose(at: &Use<'_>, mut results: Vec<Sketch>) -> Known {
    if let (Some(chosen), Some(a), Some(b), Some(result)) =
        (at.numbers(0), at.elements(1), at.elements(2), results.first_mut())
        && let Some([Dim::Fixed(count)]) = result.shape.as_deref()
        && [chosen.len(), a.len(), b.len()].iter().all(|length| length == count || *length == 1)
        && (1..=MAX_ELEMENTS).contains(count)
    {
        let pick = |at: usize| {
            let list = if chosen[at % chosen.len()] != 0 { a } else { b };
            list[at % list.len()].clone()
        };
        result.elements = Some((0..*count).map(pick).collect());
    }
    Ok(results)
}

pub(super) fn range(at: &Use<'_>) -> Known {
    let one_of = |operand: usize| at.elements(operand).filter(|list| list.len() == 1).map(|list| list[0].clone());
    let size = match (one_of(0), one_of(1), one_of(2)) {
        (Some(Number::Known(start)), Some(Number::Known(limit)), Some(Number::Known(delta))) if delta != 0 => {
            let count =
                (i128::from(limit) - i128::from(start)).unsigned_abs().div_ceil(i128::from(delta).unsigned_abs());
            let is_empty = (limit > start) != (delta > 0);
            if is_empty { Dim::Fixed(0) } else { usize::try_from(count).map_or(Dim::Unknown, Dim::Fixed) }
        }
        (Some(Number::Known(0)), Some(limit), Some(Number::Known(1))) => limit.dim(),
        _ => Dim::Unknown,
    };
    one(at.data_type(0), Some(vec![size]))
}

/// The elements of a list from `start` on, every `step`-th, `count` of them.
pub(super) fn strided(list: &[Number], start: i64, step: i64, count: usize) -> Result<Vec<Number>, Fault> {
    let at = |index: usize| usize::try_from(start + step * index as i64).ok().and_then(|at| list.get(at)).cloned();
    (0..count).map(at).collect::<Option<_>>().ok_or_else(|| Fault::Value("a slice leaves its list".into()))
}
