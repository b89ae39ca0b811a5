//! What the processor at hand can do, how exact the caller wants its numbers, and how many threads may help.
//!
//! A loop whose iterations are independent is written once, inside [`dispatch!`], and compiled for every instruction set that
//! the target may have; which of them runs is looked up in the [`Cpu`] that every kernel takes as its first argument. The
//! compiler never fuses a multiplication with an addition on its own, so all of them give the same bits.

use super::threads::Threads;

/// Where and how the kernels run.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// The instruction set to use; one that this machine lacks counts as [`Isa::Portable`].
    pub isa: Isa,
    /// Whether the same bits are wanted on every machine.
    pub numerics: Numerics,
    /// Who helps.
    pub threads: Threads,
}

impl Cpu {
    /// The best instruction set of this machine, on the calling thread alone.
    pub fn new(numerics: Numerics) -> Self {
        Cpu { isa: Isa::best(), numerics, threads: Threads::single() }
    }
}

/// An instruction set with vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Plain Rust: correct everywhere, and what the others are tested against.
    Portable,
    /// x86-64: 128 bits, always there.
    Sse2,
    /// x86-64: 256 bits, together with FMA.
    Avx2,
    /// x86-64: 512 bits (F, VL, BW and DQ).
    Avx512,
    /// aarch64: 128 bits, always there.
    Neon,
    /// WebAssembly: 128 bits, always compiled in.
    Simd128,
}

impl Isa {
    /// What this build and this machine can run: the portable one first, the best last.
    pub fn available() -> &'static [Isa] {
        detected()
    }

    /// The last of [`Isa::available`].
    pub fn best() -> Isa {
        *detected().last().unwrap_or(&Isa::Portable)
    }

    /// Itself where it can run, else [`Isa::Portable`]. Calling code that was compiled for this one is sound.
    #[inline]
    pub fn usable(self) -> Isa {
        if runs_here(self) { self } else { Isa::Portable }
    }
}

/// What a caller gives up for speed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Numerics {
    /// The same bits on every machine: products and sums are rounded one by one, in a stated order.
    #[default]
    Exact,
    /// Fused multiply-add where the machine has it.
    Fast,
}

#[cfg(target_arch = "x86_64")]
fn detected() -> &'static [Isa] {
    if runs_here(Isa::Avx512) {
        &[Isa::Portable, Isa::Sse2, Isa::Avx2, Isa::Avx512]
    } else if runs_here(Isa::Avx2) {
        &[Isa::Portable, Isa::Sse2, Isa::Avx2]
    } else {
        &[Isa::Portable, Isa::Sse2]
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn runs_here(isa: Isa) -> bool {
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

#[cfg(not(target_arch = "x86_64"))]
const NATIVE: Option<Isa> = if cfg!(target_arch = "aarch64") {
    Some(Isa::Neon)
} else if cfg!(all(target_arch = "wasm32", target_feature = "simd128")) {
    Some(Isa::Simd128)
} else {
    None
};

#[cfg(not(target_arch = "x86_64"))]
fn detected() -> &'static [Isa] {
    match NATIVE {
        Some(Isa::Neon) => &[Isa::Portable, Isa::Neon],
        Some(_) => &[Isa::Portable, Isa::Simd128],
        None => &[Isa::Portable],
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn runs_here(isa: Isa) -> bool {
    isa == Isa::Portable || Some(isa) == NATIVE
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

            #[cfg(target_arch = "x86_64")]
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
