//! Any other target.

use super::Isa;

pub(crate) use super::single::dispatch;

pub(super) fn detected() -> &'static [Isa] {
    &[Isa::Portable]
}

#[inline]
pub(super) fn runs_here(isa: Isa) -> bool {
    isa == Isa::Portable
}
