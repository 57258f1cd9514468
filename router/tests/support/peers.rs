//! Which executables the routers of a test are, and what is skipped when one is not there.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// Whose router a site runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The router under test.
    Ours,
    /// An independent implementation, named by `SKROUTERD_PEER`.
    Peer,
}

impl Kind {
    /// The command that runs a router of this kind, without its configuration.
    pub fn command(self) -> Command {
        match self {
            Self::Ours => Command::new(ours()),
            Self::Peer => {
                let mut command = Command::new(
                    std::env::var_os("SKROUTERD_PEER").expect("SKROUTERD_PEER was checked"),
                );
                command.args(
                    std::env::var("SKROUTERD_PEER_ARGS")
                        .unwrap_or_default()
                        .split_ascii_whitespace(),
                );
                command
            }
        }
    }

    /// Whether what only our router does can be asked of this one.
    pub fn is_ours(self) -> bool {
        self == Self::Ours && !oracle()
    }
}

/// The executable of the router under test.
pub fn ours() -> PathBuf {
    std::env::var_os("SKROUTERD_UNDER_TEST")
        .map_or_else(|| env!("CARGO_BIN_EXE_skrouterd").into(), PathBuf::from)
}

/// Whether another implementation stands in for ours, to check the tests themselves. What it is
/// known to do otherwise is then not asked of it.
pub fn oracle() -> bool {
    std::env::var_os("SKROUTERD_UNDER_TEST").is_some()
}

/// Whether the routers of these kinds can be run here. If not, the test is skipped, counted and
/// named.
pub fn available(test: &str, kinds: &[Kind]) -> bool {
    !kinds.contains(&Kind::Peer) || needs(test, "SKROUTERD_PEER").is_some()
}

/// An environment variable that a test cannot do without.
pub fn needs(test: &str, variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        skipped(test, &format!("{variable} not set"));
    }
    value
}

/// A command that a test cannot do without.
pub fn needs_command(test: &str, command: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(command))
        .find(|file| file.is_file());
    if found.is_none() {
        skipped(test, &format!("no command {command}"));
    }
    found
}

/// Says in one line, past the test runner's capture, that a test did not run and why: `skipped:
/// TEST: REASON`.
pub fn skipped(test: &str, reason: &str) {
    let test = test.split_once("::").map_or(test, |(_crate, name)| name);
    let line = format!("skipped: {test}: {reason}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Defines one test for every way to place a router of the other kind next to ours at the two ends
/// of a pair.
macro_rules! mixed_pairs {
    ($name:ident, $scenario:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            placed!(ours_peer, $scenario, [Kind::Ours, Kind::Peer]);
            placed!(peer_ours, $scenario, [Kind::Peer, Kind::Ours]);
        }
    };
}

/// Defines one test that runs a scenario with routers of the given kinds.
macro_rules! placed {
    ($name:ident, $scenario:expr, $kinds:expr) => {
        #[test]
        fn $name() {
            let test = concat!(module_path!(), "::", stringify!($name));
            let kinds = $kinds;
            if $crate::support::peers::available(test, &kinds) {
                let lab = $crate::support::Lab::new(test);
                ($scenario)(&lab, kinds);
            }
        }
    };
}
