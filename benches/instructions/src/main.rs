//! Counts the instructions that every frame and every stream cost, and compares them with the kept
//! counts.
//!
//! ```text
//! instructions check           count, compare with expected.txt; exit status 1 when one count is
//!                              off by more than the tolerance
//! instructions renew           count, and write expected.txt
//! instructions run NAME TIMES  one scenario, to profile it
//! ```
//!
//! The executable runs itself under valgrind's callgrind, which counts only inside [`measured`].
//! Other work on the machine does not change the counts; another compiler does.

mod codec;
mod core;
mod engine;
mod frames;
mod gate;
mod pair;

use std::process::ExitCode;

/// A task that is made ready, then done a number of times.
struct Scenario {
    name: &'static str,
    run: fn(usize),
    times: usize,
}

/// Does the task that is counted. Callgrind knows it by this function's name.
#[inline(never)]
fn measured(times: usize, what: &mut dyn FnMut(usize)) {
    for n in 0..times {
        what(n);
    }
}

/// Returns all scenarios, in the order of the report.
fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    codec::SCENARIOS.iter().chain(engine::SCENARIOS).chain(core::SCENARIOS)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["check"] => gate::check(),
        ["renew"] => gate::renew(),
        ["run", name, times] => run(name, times),
        _ => Err("usage: instructions check | renew | run NAME TIMES".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, times: &str) -> Result<(), String> {
    let scenario = scenarios().find(|scenario| scenario.name == name);
    let scenario = scenario.ok_or_else(|| {
        let names: Vec<_> = scenarios().map(|scenario| scenario.name).collect();
        format!("there is no scenario {name:?}, but: {}", names.join(", "))
    })?;
    (scenario.run)(times.parse().map_err(|error| format!("{times:?}: {error}"))?);
    Ok(())
}
