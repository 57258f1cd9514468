#![no_main]

#[global_allocator]
static COUNTING: skrouterd_fuzz::memory::Counting = skrouterd_fuzz::memory::Counting;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| skrouterd_fuzz::net_connection::run(octets));
