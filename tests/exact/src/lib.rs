//! The module that every WebAssembly engine runs: plain exports and no imports, so that a shell without any of the web's
//! interfaces can drive it.
//!
//! The driver asks for memory with [`reserve`], writes a model and its fixtures into it, calls [`digest`], and reads either the
//! hash ([`hash`]) or the reason why there is none ([`reason`], [`reason_length`]).

use std::cell::RefCell;

use neuromesh_infer::{
    conformance,
    kernels::cpu::{Cpu, Numerics},
};

#[derive(Default)]
struct State {
    buffers: Vec<Vec<u8>>,
    hash: u64,
    reason: String,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Room for the next file: the model first, then its fixtures.
#[unsafe(no_mangle)]
#[allow(unsafe_code)] // The name is what the drivers call.
pub extern "C" fn reserve(length: usize) -> *mut u8 {
    STATE.with_borrow_mut(|state| {
        state.buffers.push(vec![0; length]);
        state.buffers.last_mut().map_or(std::ptr::null_mut(), |buffer| buffer.as_mut_ptr())
    })
}

/// Runs the model; 1 if there is a hash.
#[unsafe(no_mangle)]
#[allow(unsafe_code)] // As above.
pub extern "C" fn digest() -> i32 {
    STATE.with_borrow_mut(|state| {
        let mut buffers = std::mem::take(&mut state.buffers).into_iter();
        let (Some(model), Some(fixtures)) = (buffers.next(), buffers.next()) else {
            state.reason = "a model and its fixtures are needed".into();
            return 0;
        };
        match conformance::digest(model.into(), &fixtures, &Cpu::new(Numerics::Exact)) {
            Ok(hash) => {
                state.hash = hash;
                1
            }
            Err(reason) => {
                state.reason = reason;
                0
            }
        }
    })
}

/// The hash of the last run.
#[unsafe(no_mangle)]
#[allow(unsafe_code)] // As above.
pub extern "C" fn hash() -> u64 {
    STATE.with_borrow(|state| state.hash)
}

/// Where the reason lies that the last run failed.
#[unsafe(no_mangle)]
#[allow(unsafe_code)] // As above.
pub extern "C" fn reason() -> *const u8 {
    STATE.with_borrow(|state| state.reason.as_ptr())
}

/// Its length in bytes.
#[unsafe(no_mangle)]
#[allow(unsafe_code)] // As above.
pub extern "C" fn reason_length() -> usize {
    STATE.with_borrow(|state| state.reason.len())
}
