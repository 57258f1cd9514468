//! Certificates of peers: a chain that is accepted for a host names that host.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| skrouterd::tls::fuzzing::certificates(octets));
