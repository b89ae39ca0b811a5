//! Any other target.

use super::Isa;

pub(crate) use super::single::dispatch;

/// How often a thread looks again before it sleeps, with the processor's hint to wait each time: some tens of microseconds.
pub(crate) const LOOKS: usize = 4_000;

pub(super) fn detected() -> &'static [Isa] {
    &[Isa::Portable]
}

#[inline]
pub(super) fn runs_here(isa: Isa) -> bool {
    isa == Isa::Portable
}
