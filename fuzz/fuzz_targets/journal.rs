//! `zdu_foreign::journal` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    zdu_foreign::journal(bytes);
});
