//! The operators with bodies; `run` executes those node by node.

use std::ops::RangeInclusive;

use super::{Kind, MANY, Operator};

/// Which operator with bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    If,
    Loop,
    Scan,
}

pub(super) const TABLE: &[Operator] = &[
    control("If", 1, 1..=1, Control::If),
    control("Loop", 1, 2..=MANY, Control::Loop),
    control("Scan", 8, 1..=MANY, Control::Scan),
];

const fn control(name: &'static str, since: i64, inputs: RangeInclusive<usize>, control: Control) -> Operator {
    Operator { name, since, inputs, outputs: 1..=MANY, kind: Kind::Control(control), prepare: None }
}

impl Control {
    /// The attributes that hold its bodies.
    pub fn bodies(self) -> &'static [&'static str] {
        match self {
            Control::If => &["then_branch", "else_branch"],
            Control::Loop | Control::Scan => &["body"],
        }
    }
}
