//! Certificates that peers show: a chain that is taken for a host's names the host.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| skrouterd::tls::fuzzing::certificates(octets));
