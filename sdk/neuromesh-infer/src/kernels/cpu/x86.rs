//! x86-64: SSE2 always, AVX2 and AVX-512 where the machine has them.

use super::Isa;

/// How often a thread looks again before it sleeps, with the processor's hint to wait each time: some tens of microseconds.
pub(crate) const LOOKS: usize = 4_000;

pub(super) fn detected() -> &'static [Isa] {
    if runs_here(Isa::Avx512) {
        &[Isa::Portable, Isa::Sse2, Isa::Avx2, Isa::Avx512]
    } else if runs_here(Isa::Avx2) {
        &[Isa::Portable, Isa::Sse2, Isa::Avx2]
    } else {
        &[Isa::Portable, Isa::Sse2]
    }
}

#[inline]
pub(super) fn runs_here(isa: Isa) -> bool {
    use std::arch::is_x86_feature_detected as has;
    match isa {
        Isa::Portable | Isa::Sse2 => true,
        Isa::Avx2 => has!("avx2") && has!("fma"),
        Isa::Avx512 => {
            has!("avx512f") && has!("avx512vl") && has!("avx512bw") && has!("avx512dq") && runs_here(Isa::Avx2)
        }
        Isa::Neon | Isa::Simd128 => false,
    }
}

/// Defines functions whose plain Rust bodies are compiled once for each instruction set and chosen by `cpu.isa` at run time.
///
/// ```ignore
/// dispatch! {
///     /// Adds `b` to `a`.
///     pub fn add_assign(cpu: &Cpu, a: &mut [f32], b: &[f32]) {
///         for (a, b) in a.iter_mut().zip(b) {
///             *a += *b;
///         }
///     }
///
///     fn map[F: Fn(f32) -> f32](cpu: &Cpu, x: &mut [f32], f: F) -> usize { ... }
/// }
/// ```
///
/// - The first argument is the `&Cpu`; arguments are plain names (no patterns, no `mut`).
/// - Type parameters stand in square brackets, without `where`.
/// - Helpers that the body calls must be `#[inline(always)]` (closures are inlined as they are), or they are compiled for the
///   smallest machine only.
/// - Calls within the body to other dispatched functions go through their own choice again: keep them out of inner loops.
macro_rules! dispatch {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident $([$($generic:tt)*])? ($cpu:ident : &Cpu $(, $arg:ident : $type:ty)* $(,)?) $(-> $result:ty)?
        $body:block
    )*) => {$(
        $(#[$meta])*
        #[allow(unsafe_code)]
        $vis fn $name $(<$($generic)*>)? ($cpu: &$crate::kernels::cpu::Cpu $(, $arg: $type)*) $(-> $result)? {
            #[allow(clippy::too_many_arguments, unused_variables)]
            #[inline(always)]
            fn body $(<$($generic)*>)? ($cpu: &$crate::kernels::cpu::Cpu $(, $arg: $type)*) $(-> $result)? $body

            {
                #[allow(clippy::too_many_arguments)]
                #[target_feature(enable = "avx2")]
                fn avx2 $(<$($generic)*>)? ($cpu: &$crate::kernels::cpu::Cpu $(, $arg: $type)*) $(-> $result)? {
                    body($cpu $(, $arg)*)
                }
                #[allow(clippy::too_many_arguments)]
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
                fn avx512 $(<$($generic)*>)? ($cpu: &$crate::kernels::cpu::Cpu $(, $arg: $type)*) $(-> $result)? {
                    body($cpu $(, $arg)*)
                }
                match $cpu.isa.usable() {
                    // SAFETY: `usable` gives only what this machine was found to have.
                    $crate::kernels::cpu::Isa::Avx2 => return unsafe { avx2($cpu $(, $arg)*) },
                    // SAFETY: as above.
                    $crate::kernels::cpu::Isa::Avx512 => return unsafe { avx512($cpu $(, $arg)*) },
                    _ => {}
                }
            }
            body($cpu $(, $arg)*)
        }
    )*};
}
pub(crate) use dispatch;
