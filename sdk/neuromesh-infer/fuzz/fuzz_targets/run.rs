//! Models whose fields were exchanged: loaded, then run.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|bytes: &[u8]| {
    if let Some(model) = fuzz::load(bytes) {
        fuzz::run(&model, 1 + bytes.len() % 4);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    // Now and then libFuzzer's own way, which also damages the encoding.
    if seed % 8 != 0
        && let Some(mutant) = fuzz::mutate(&data[..size], seed, max_size)
    {
        data[..mutant.len()].copy_from_slice(&mutant);
        return mutant.len();
    }
    fuzzer_mutate(data, size, max_size)
});
