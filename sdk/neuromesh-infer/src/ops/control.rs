//! The operators with bodies; `run` executes those node by node.

use super::{Kind, MANY, Operator};

/// Which operator with bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    If,
    Loop,
    Scan,
}

pub(super) const TABLE: &[Operator] = &[
    Operator { name: "If", since: 1, inputs: 1..=1, outputs: 1..=MANY, kind: Kind::Control(Control::If) },
    Operator { name: "Loop", since: 1, inputs: 2..=MANY, outputs: 1..=MANY, kind: Kind::Control(Control::Loop) },
    Operator { name: "Scan", since: 8, inputs: 1..=MANY, outputs: 1..=MANY, kind: Kind::Control(Control::Scan) },
];

impl Control {
    /// The attributes that hold its bodies.
    pub fn bodies(self) -> &'static [&'static str] {
        match self {
            Control::If => &["then_branch", "else_branch"],
            Control::Loop | Control::Scan => &["body"],
        }
    }
}
