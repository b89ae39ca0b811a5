//! aarch64: NEON, always there.

use super::Isa;

pub(crate) use super::single::dispatch;

pub(super) fn detected() -> &'static [Isa] {
    &[Isa::Portable, Isa::Neon]
}

#[inline]
pub(super) fn runs_here(isa: Isa) -> bool {
    matches!(isa, Isa::Portable | Isa::Neon)
}
