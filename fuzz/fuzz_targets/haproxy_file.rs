//! `zdu_foreign::haproxy_file` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    zdu_foreign::haproxy_file(bytes);
});
