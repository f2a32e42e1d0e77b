#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fusion_fuzz::ot_set_up(data));
