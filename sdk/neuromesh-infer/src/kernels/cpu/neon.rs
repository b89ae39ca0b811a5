//! aarch64: NEON, always there.

use super::Isa;

pub(crate) use super::single::dispatch;

/// How often a thread looks again before it sleeps, with the processor's hint to wait each time: some tens of microseconds.
pub(crate) const LOOKS: usize = 4_000;

pub(super) fn detected() -> &'static [Isa] {
    &[Isa::Portable, Isa::Neon]
}

#[inline]
pub(super) fn runs_here(isa: Isa) -> bool {
    matches!(isa, Isa::Portable | Isa::Neon)
}
