//! Any bytes are a model or an error.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fuzz::load(bytes);
});
