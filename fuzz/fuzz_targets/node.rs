//! `zdu_foreign::node` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    zdu_foreign::node(bytes);
});
