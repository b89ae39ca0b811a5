//! WebAssembly with SIMD, which is compiled in or not.

use super::Isa;

pub(crate) use super::single::dispatch;

pub(super) fn detected() -> &'static [Isa] {
    &[Isa::Portable, Isa::Simd128]
}

#[inline]
pub(super) fn runs_here(isa: Isa) -> bool {
    matches!(isa, Isa::Portable | Isa::Simd128)
}
