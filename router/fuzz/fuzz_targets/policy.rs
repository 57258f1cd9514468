//! Policy against classification: policy judges the address that the core reads, in every spelling.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| skrouterd::policy::fuzzing::policy(octets));
