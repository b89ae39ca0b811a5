//! What the processor at hand can do, how exact the caller wants its numbers, and how many threads may help.
//!
//! A loop whose iterations are independent is written once, inside [`dispatch!`], and compiled for every instruction set that
//! the target may have; which of them runs is looked up in the [`Cpu`] that every kernel takes as its first argument. The
//! compiler never fuses a multiplication with an addition on its own, so all of them give the same bits. What the machine has is
//! told by one of the sibling files `cpu/*.rs`, which differ by target and have the same names.

#[cfg(target_arch = "aarch64")]
#[path = "cpu/neon.rs"]
mod machine;
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
)))]
#[path = "cpu/portable.rs"]
mod machine;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[path = "cpu/wasm.rs"]
mod machine;
#[cfg(target_arch = "x86_64")]
#[path = "cpu/x86.rs"]
mod machine;
#[cfg(not(target_arch = "x86_64"))]
mod single;

use super::threads::Threads;
use machine::{detected, runs_here};

pub(crate) use machine::{LOOKS, dispatch};

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
