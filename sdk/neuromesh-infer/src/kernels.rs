//! Loops over slices: the arithmetic behind the operators.
//!
//! `NUMERICS.md` states the order of every sum and the error of every function; all instruction sets give the same bits on the
//! exact path.

pub mod conv;
pub mod cpu;
pub mod elementwise;
pub mod gemm;
pub mod int8;
pub mod math;
pub mod norm;
pub mod pool;
pub mod reduce;
mod simd;
pub mod softmax;
pub mod threads;
