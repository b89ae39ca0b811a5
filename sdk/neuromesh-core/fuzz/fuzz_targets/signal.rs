//! Whatever the other side signals, a negotiation ends once and keeps to its bounds.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fuzz::signals(bytes);
    fuzz::negotiation(bytes);
});
