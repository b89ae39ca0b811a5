//! A machine without registers that we know.

use super::{IntKernel, Kernel, portable};
use crate::kernels::cpu::Isa;

pub fn run<K: Kernel>(_: Isa, _: bool, kernel: K) -> K::Output {
    kernel.run::<portable::Floats>()
}

pub fn run_int<K: IntKernel>(_: Isa, kernel: K) -> K::Output {
    kernel.run::<portable::Ints>()
}
