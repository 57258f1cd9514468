//! The `skrouterd` executable.
fn main() {}
