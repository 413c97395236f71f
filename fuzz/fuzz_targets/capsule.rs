#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| resurgam_store::capsule::fuzz_capsule(data));
