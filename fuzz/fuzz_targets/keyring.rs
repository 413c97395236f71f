#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| resurgam_jobs::home::fuzz_keyring(data));
