//! WebAssembly with SIMD, which is compiled in or not.

use super::Isa;

pub(crate) use super::single::dispatch;

/// How often a thread looks again before it sleeps: some tens of microseconds. There is no hint to wait, so that a look is short.
pub(crate) const LOOKS: usize = 40_000;

pub(super) fn detected() -> &'static [Isa] {
    &[Isa::Portable, Isa::Simd128]
}

#[inline]
pub(super) fn runs_here(isa: Isa) -> bool {
    matches!(isa, Isa::Portable | Isa::Simd128)
}
