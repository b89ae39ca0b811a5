//! Sizes and integers, as numbers, products of names, or unknown.

use crate::Dim;

/// An integer of a list that may become part of a shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Number {
    Known(i64),
    /// A size that is not a number.
    Size(Dim),
}

impl From<&Dim> for Number {
    fn from(dim: &Dim) -> Self {
        match dim {
            Dim::Fixed(size) => i64::try_from(*size).map_or(Number::Size(Dim::Unknown), Number::Known),
            other => Number::Size(other.clone()),
        }
    }
}

impl Number {
    pub fn known(&self) -> Option<i64> {
        match self {
            Number::Known(value) => Some(*value),
            Number::Size(_) => None,
        }
    }

    /// As a size; negative numbers are none.
    pub fn dim(&self) -> Dim {
        match self {
            Number::Known(value) => usize::try_from(*value).map_or(Dim::Unknown, Dim::Fixed),
            Number::Size(dim) => dim.clone(),
        }
    }
}

pub(super) fn known(dim: &Dim) -> Option<usize> {
    match dim {
        Dim::Fixed(size) => Some(*size),
        _ => None,
    }
}

pub(super) fn display(dims: &[Dim]) -> String {
    let list: Vec<String> = dims.iter().map(Dim::to_string).collect();
    format!("[{}]", list.join(", "))
}

/// A product: a number and names, sorted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Term {
    number: usize,
    names: Vec<String>,
}

/// Names in a product that are still followed.
const MAX_NAMES: usize = 8;

impl Term {
    fn of(dim: &Dim) -> Option<Self> {
        match dim {
            Dim::Fixed(number) => Some(Self { number: *number, names: Vec::new() }),
            Dim::Named(name) => {
                let (mut number, mut names) = (1usize, Vec::new());
                for factor in name.split('*') {
                    match factor.parse::<usize>() {
                        Ok(factor) => number = number.checked_mul(factor)?,
                        Err(_) => names.push(factor.to_owned()),
                    }
                }
                names.sort();
                (names.len() <= MAX_NAMES).then_some(Self { number, names })
            }
            Dim::Unknown => None,
        }
    }

    pub fn product(dims: &[Dim]) -> Option<Self> {
        let mut term = Self { number: 1, names: Vec::new() };
        for dim in dims {
            let factor = Self::of(dim)?;
            term.number = term.number.checked_mul(factor.number)?;
            term.names.extend(factor.names);
        }
        term.names.sort();
        (term.names.len() <= MAX_NAMES).then_some(term)
    }

    /// The quotient, if it is a whole product.
    pub fn divide(&self, by: &Self) -> Option<Self> {
        if by.number == 0 || !self.number.is_multiple_of(by.number) {
            return None;
        }
        let mut names = self.names.clone();
        for name in &by.names {
            names.remove(names.iter().position(|own| own == name)?);
        }
        Some(Self { number: self.number / by.number, names })
    }

    pub fn dim(&self) -> Dim {
        if self.names.is_empty() || self.number == 0 {
            return Dim::Fixed(self.number);
        }
        let names = self.names.join("*");
        Dim::Named(if self.number == 1 { names } else { format!("{}*{names}", self.number) })
    }
}

pub(super) fn product(dims: &[Dim]) -> Dim {
    Term::product(dims).map_or(Dim::Unknown, |term| term.dim())
}

/// The sum of two sizes.
pub(super) fn sum(a: &Dim, b: &Dim) -> Dim {
    match (a, b) {
        (Dim::Fixed(a), Dim::Fixed(b)) => a.checked_add(*b).map_or(Dim::Unknown, Dim::Fixed),
        (Dim::Fixed(0), other) | (other, Dim::Fixed(0)) => other.clone(),
        _ => Dim::Unknown,
    }
}

/// The size of an operation between two sizes; `None` if they can never meet.
pub(super) fn broadcast(a: &Dim, b: &Dim) -> Option<Dim> {
    Some(match (a, b) {
        (a, b) if a == b => a.clone(),
        (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => other.clone(),
        (Dim::Fixed(_), Dim::Fixed(_)) => return None,
        // Whatever the other is, it is this or one.
        (Dim::Fixed(size), _) | (_, Dim::Fixed(size)) => Dim::Fixed(*size),
        _ => Dim::Unknown,
    })
}
