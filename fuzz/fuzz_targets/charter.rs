#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| resurgam_jobs::capsule::fuzz_capsule(data));
