//! One executable with every command: the name it is called by, or its first argument, says which.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    let mut args: Vec<OsString> = args.collect();
    if std::path::Path::new(&name).file_name().is_some_and(|name| name == "skup") {
        return skrouterd::bin::skup::main(args);
    }
    match args.first().and_then(|first| first.to_str()) {
        Some("skup") => skrouterd::bin::skup::main(args.drain(1..).collect::<Vec<_>>()),
        Some("demo") => skrouterd::bin::skup::main(args),
        _ => skrouterd::app::main(args),
    }
}
