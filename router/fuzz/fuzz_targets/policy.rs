//! Policy against classification: what policy allows is what the core reads, whatever a client
//! writes.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| skrouterd::policy::fuzzing::policy(octets));
