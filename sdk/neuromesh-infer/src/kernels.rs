//! Loops over slices: the arithmetic behind the operators.
//!
//! `NUMERICS.md` states the order of every sum and the error of every function; all instruction sets give the same bits on the
//! exact path.

pub mod cpu;
mod simd;
pub mod threads;
