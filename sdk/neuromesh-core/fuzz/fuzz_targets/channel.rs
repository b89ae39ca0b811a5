//! Whatever comes on a data channel, in whatever order, its stream keeps to its bounds; and two such streams lose nothing.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fuzz::decoded(bytes);
    fuzz::one_channel(bytes);
    fuzz::two_channels(bytes);
});
