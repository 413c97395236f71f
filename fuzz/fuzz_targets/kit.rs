#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| resurgam_rebuild::kit::fuzz_kit(data));
