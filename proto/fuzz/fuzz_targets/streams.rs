#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| skupper_proto_fuzz::streams(octets));
