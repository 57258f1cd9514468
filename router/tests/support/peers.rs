//! The executables of a test's routers. A test without its executable is skipped.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// The implementation that a site runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The router under test.
    Ours,
    /// An independent implementation, which `SKROUTERD_PEER` names.
    Peer,
}

impl Kind {
    /// Returns the command that runs a router of this kind, without its configuration.
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

    /// Returns true if this router must do the things that only our router does.
    pub fn is_ours(self) -> bool {
        self == Self::Ours && !oracle()
    }
}

/// Returns the executable of the router under test.
pub fn ours() -> PathBuf {
    std::env::var_os("SKROUTERD_UNDER_TEST")
        .map_or_else(|| env!("CARGO_BIN_EXE_skrouterd").into(), PathBuf::from)
}

/// Returns true if another implementation stands in for ours, to check the tests themselves. Tests
/// then skip the demands that it is known to miss.
pub fn oracle() -> bool {
    std::env::var_os("SKROUTERD_UNDER_TEST").is_some()
}

/// Returns true if routers of these kinds can run here. Otherwise it reports the test as skipped.
pub fn available(test: &str, kinds: &[Kind]) -> bool {
    !kinds.contains(&Kind::Peer) || needs(test, "SKROUTERD_PEER").is_some()
}

/// Returns an environment variable that a test needs, or reports the test as skipped.
pub fn needs(test: &str, variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        skipped(test, &format!("{variable} not set"));
    }
    value
}

/// Returns the path of a command that a test needs, or reports the test as skipped.
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

/// Prints in one line, past the test runner's capture, why a test did not run: `skipped: TEST:
/// REASON`.
pub fn skipped(test: &str, reason: &str) {
    let test = test.split_once("::").map_or(test, |(_crate, name)| name);
    let line = format!("skipped: {test}: {reason}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Defines a test for each placement of a router of the other kind beside ours, at the two ends of
/// a pair. The scenario gets the further arguments of the macro, too.
macro_rules! mixed_pairs {
    ($name:ident, $scenario:expr $(, $more:expr)*) => {
        mod $name {
            #[allow(clippy::allow_attributes, unused_imports)]
            use super::*;
            placed!(ours_peer, $scenario, [Kind::Ours, Kind::Peer] $(, $more)*);
            placed!(peer_ours, $scenario, [Kind::Peer, Kind::Ours] $(, $more)*);
        }
    };
}

/// Defines one test that runs a scenario with routers of the given kinds. The scenario gets the
/// further arguments of the macro, too.
macro_rules! placed {
    ($name:ident, $scenario:expr, $kinds:expr $(, $more:expr)*) => {
        #[test]
        fn $name() {
            let test = concat!(module_path!(), "::", stringify!($name));
            let kinds = $kinds;
            if $crate::support::peers::available(test, &kinds) {
                let lab = $crate::support::Lab::new(test);
                ($scenario)(&lab, kinds $(, $more)*);
            }
        }
    };
}
