#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| resurgam_store::verify::fuzz_proved(data));
