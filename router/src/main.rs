//! The executable with every command. Its own name or its first argument selects the command.

use std::ffi::OsString;
use std::process::ExitCode;

use skrouterd::bin::{skmanage, skstat, skup};

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    let args: Vec<OsString> = args.collect();
    match std::path::Path::new(&name).file_name().and_then(|name| name.to_str()) {
        Some("skup") => return skup::main(args),
        Some("skstat") => return skstat::main(args),
        Some("skmanage") => return skmanage::main(args),
        _ => {}
    }
    let command = args.first().and_then(|first| first.to_str()).map(str::to_owned);
    let rest = |mut args: Vec<OsString>| args.split_off(1);
    match command.as_deref() {
        Some("skup") => skup::main(rest(args)),
        Some("skstat") => skstat::main(rest(args)),
        Some("skmanage") => skmanage::main(rest(args)),
        Some("demo") => skup::main(args),
        _ => skrouterd::app::main(args),
    }
}
