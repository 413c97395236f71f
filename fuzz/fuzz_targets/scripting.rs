#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| resurgam_sources::scripting::fuzz_scripting(data));
