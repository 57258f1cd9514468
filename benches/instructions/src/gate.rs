//! Counts, kept counts, and the comparison of both.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use super::{Scenario, scenarios};

/// The tolerance of a count, in hundredths, when the compiler is the one of the kept counts. The
/// same executable counts the same to 0.1. But the compiler inlines otherwise when code elsewhere
/// changes, which has moved the smallest scenarios by 13.
const TOLERANCE: u64 = 15;

/// The tolerance for another compiler, which makes other code of the same source.
const OTHER_COMPILER: u64 = 25;

fn kept_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("expected.txt")
}

fn compiler() -> Result<String, String> {
    let output = Command::new("rustc")
        .arg("--version")
        .output()
        .map_err(|error| format!("rustc: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Returns the instructions of one repetition.
fn count(scenario: &Scenario) -> Result<u64, String> {
    let name = scenario.name;
    let executable = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=instructions::measured*",
        ])
        .arg(executable)
        .args(["run", name, &scenario.times.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{name} under valgrind: {}\n{said}", output.status));
    }
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .map(|(_, count)| count.trim());
    let collected: Option<u64> =
        collected.and_then(|count| count.parse().ok()).filter(|count| *count > 0);
    let collected =
        collected.ok_or_else(|| format!("{name}: no count in what valgrind said:\n{said}"))?;
    Ok(collected / scenario.times as u64)
}

/// Counts everything, and keeps the counts.
pub(crate) fn renew() -> Result<(), String> {
    let mut text = format!(
        "# Instructions of one repetition. `instructions renew` writes this file.\n{}\n",
        compiler()?
    );
    for scenario in scenarios() {
        let count = count(scenario)?;
        println!("{:24} {count:>9}", scenario.name);
        let _ = writeln!(text, "{} {count}", scenario.name);
    }
    std::fs::write(kept_path(), text).map_err(|error| format!("{}: {error}", kept_path().display()))
}

/// Counts everything, and compares.
pub(crate) fn check() -> Result<(), String> {
    let text = std::fs::read_to_string(kept_path())
        .map_err(|error| format!("{}: {error}", kept_path().display()))?;
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let (with, now) = (lines.next().unwrap_or_default(), compiler()?);
    let kept: BTreeMap<&str, u64> = lines
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, count)| Some((name, count.parse().ok()?)))
        .collect();
    let tolerance = if with == now { TOLERANCE } else { OTHER_COMPILER };
    if with != now {
        println!("kept counts are of {with:?}, this is {now:?}: {tolerance} % are allowed");
    }
    let mut off = Vec::new();
    for scenario in scenarios() {
        let count = count(scenario)?;
        let Some(&expected) = kept.get(scenario.name) else {
            off.push(format!("{}: no count is kept", scenario.name));
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
        let change = (count as f64 / expected as f64 - 1.0) * 100.0;
        println!("{:24} {count:>9}  kept {expected:>9}  {change:+.1} %", scenario.name);
        if count.abs_diff(expected) * 100 > expected * tolerance {
            off.push(format!("{}: {count}, kept is {expected} ({change:+.1} %)", scenario.name));
        }
    }
    if off.is_empty() {
        return Ok(());
    }
    // Fewer fail as well: a gain lasts only if it is kept.
    Err(format!(
        "off by more than {tolerance} %:\n  {}\n\
         if it is meant, run `instructions renew`, and say in the commit why",
        off.join("\n  ")
    ))
}
