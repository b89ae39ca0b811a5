//! A decision in plain English.

use std::fmt::Write;

use super::Ranked;
use crate::{Options, Tier, request::Estimate};

/// Candidates named besides the chosen one.
const NAMED: usize = 2;

/// Which rule decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Least,
    Keep,
    Explore,
}

/// `edge node …abc123 predicted 14 ms (round trip 2 + ship 1 + run 11); this device 180 ms`. The chosen one comes first.
pub(super) fn sentence(ranked: &[Ranked<'_>], usable: usize, why: Why, options: &Options) -> String {
    let chosen = &ranked[0];
    let mut text =
        format!("{} predicted {} ms ({})", who(&chosen.estimate), chosen.estimate.total_ms, terms(&chosen.estimate));
    for other in ranked[1..usable].iter().take(NAMED) {
        let _ = write!(text, "; {} {} ms", who(&other.estimate), other.estimate.total_ms);
        if other.class.0 {
            text.push_str(" but failed just now");
        }
    }
    match usable - 1 {
        0 => text.push_str("; no other candidate"),
        more if more > NAMED => {
            let _ = write!(text, "; {} more", more - NAMED);
        }
        _ => {}
    }
    match why {
        Why::Least => {}
        Why::Keep => text.push_str("; kept, as none is clearly better"),
        Why::Explore => text.push_str("; tried to learn its speed"),
    }
    if let Some(tier) = options.prefer
        && !chosen.class.2
    {
        let _ = write!(text, "; {tier} is preferred");
    }
    text
}

fn who(estimate: &Estimate) -> String {
    match estimate.tier {
        Tier::Device => "this device".to_owned(),
        Tier::Peer => format!("peer …{}", estimate.peer.short()),
        tier => format!("{tier} node …{}", estimate.peer.short()),
    }
}

fn terms(estimate: &Estimate) -> String {
    let terms = [
        ("round trip", estimate.rtt_ms),
        ("ship", estimate.ship_ms),
        ("queue", estimate.queue_ms),
        ("load", estimate.load_ms),
    ];
    let mut parts: Vec<String> =
        terms.iter().filter(|(_, ms)| *ms > 0).map(|(name, ms)| format!("{name} {ms}")).collect();
    parts.push(format!("run {}", estimate.service_ms));
    parts.join(" + ")
}
