//! The equation of `Einsum`.

use crate::limits::MAX_RANK;

/// The name of a dimension: a letter, or its place among those that an ellipsis stands for, counted from the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subscript {
    Ellipsis(usize),
    Letter(u8),
}

#[derive(Debug, PartialEq)]
pub(super) struct Equation {
    /// The names of each operand's dimensions.
    pub operands: Vec<Vec<Subscript>>,
    pub result: Vec<Subscript>,
    /// Every name once, in the order in which they come first.
    pub order: Vec<Subscript>,
}

/// One term as it is written.
struct Written {
    letters: Vec<u8>,
    /// How many letters stand before the ellipsis.
    ellipsis: Option<usize>,
}

impl Equation {
    /// Reads an equation for operands of these ranks.
    pub fn parse(text: &str, ranks: &[usize]) -> Result<Self, &'static str> {
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (text, None),
        };
        if left.split(',').count() != ranks.len() {
            return Err("it has another number of terms than there are operands");
        }
        let mut operands = Vec::with_capacity(ranks.len());
        let mut width = 0;
        for (term, &rank) in left.split(',').zip(ranks) {
            let term = Written::parse(term)?;
            let hidden = match rank.checked_sub(term.letters.len()) {
                Some(hidden) if hidden == 0 || term.ellipsis.is_some() => hidden,
                _ => return Err("a term has another number of subscripts than its operand has dimensions"),
            };
            width = width.max(hidden);
            operands.push(term.names(hidden));
        }
        let mut order: Vec<Subscript> = Vec::new();
        for name in operands.iter().flatten() {
            if !order.contains(name) {
                order.push(*name);
            }
        }
        let result = match right {
            Some(right) => Written::parse(right)?.names(width),
            None => implicit(&operands, width),
        };
        if (1..result.len()).any(|index| result[..index].contains(&result[index])) {
            return Err("its result has a subscript twice");
        }
        if result.iter().any(|name| !order.contains(name)) {
            return Err("its result has a subscript that no operand has");
        }
        Ok(Self { operands, result, order })
    }
}

/// The dimensions of the ellipsis, then all letters that stand only once, in alphabetical order.
fn implicit(operands: &[Vec<Subscript>], width: usize) -> Vec<Subscript> {
    let mut letters: Vec<_> = operands.iter().flatten().filter(|name| matches!(name, Subscript::Letter(_))).collect();
    letters.sort_unstable();
    let once = letters.chunk_by(|a, b| a == b).filter(|same| same.len() == 1).map(|same| *same[0]);
    ellipsis(width).chain(once).collect()
}

fn ellipsis(width: usize) -> impl Iterator<Item = Subscript> {
    (0..width).rev().map(Subscript::Ellipsis)
}

impl Written {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut term = Self { letters: Vec::new(), ellipsis: None };
        let mut rest = text.as_bytes();
        loop {
            rest = match rest {
                [] => return Ok(term),
                [b' ', rest @ ..] => rest,
                [b'.', b'.', b'.', rest @ ..] if term.ellipsis.is_none() => {
                    term.ellipsis = Some(term.letters.len());
                    rest
                }
                [letter, rest @ ..] if letter.is_ascii_alphabetic() && term.letters.len() < MAX_RANK => {
                    term.letters.push(*letter);
                    rest
                }
                _ => return Err("it is made of letters, spaces, commas, an arrow and one ellipsis in a term"),
            };
        }
    }

    /// The names, where the ellipsis stands for so many dimensions.
    fn names(&self, width: usize) -> Vec<Subscript> {
        let letters = |part: &[u8]| part.iter().copied().map(Subscript::Letter).collect::<Vec<_>>();
        match self.ellipsis {
            None => letters(&self.letters),
            Some(at) => {
                let (before, behind) = self.letters.split_at(at);
                letters(before).into_iter().chain(ellipsis(width)).chain(letters(behind)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(text: &str, ranks: &[usize]) -> String {
        let equation = Equation::parse(text, ranks).unwrap();
        let letter = |name: &Subscript| match name {
            Subscript::Letter(letter) => char::from(*letter),
            Subscript::Ellipsis(place) => char::from(b'0' + *place as u8),
        };
        equation.result.iter().map(letter).collect()
    }

    #[test]
    fn equations_name_their_results() {
        assert_eq!(result("ij,jk", &[2, 2]), "ik");
        assert_eq!(result("bA , AbC", &[2, 3]), "C");
        assert_eq!(result("b ... a, ...", &[3, 2]), "10ab");
        assert_eq!(result("...ij,...jk->...ik", &[2, 4]), "10ik");
        assert_eq!(result("ii->", &[2]), "");
    }

    #[test]
    fn broken_equations_are_refused() {
        let cases: [(&str, &[usize]); 9] = [
            ("ij", &[2, 2]),
            ("ij,jk", &[2]),
            ("ij->ii", &[2]),
            ("ij->k", &[2]),
            ("ij", &[3]),
            ("i..j", &[2]),
            ("......", &[2]),
            ("i1", &[2]),
            ("aaaaaaaaaaaaaaaaa", &[17]),
        ];
        for (text, ranks) in cases {
            assert!(Equation::parse(text, ranks).is_err(), "{text}");
        }
    }
}
