//! `zdu_foreign::inventory` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    zdu_foreign::inventory(bytes);
});
