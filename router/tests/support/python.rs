//! Python programs that play clients with qpid-proton. Without an interpreter that has it, their
//! tests are skipped.

use std::ffi::OsStr;
use std::process::Command;

use serde_json::Value;

use super::peers;

/// An interpreter that has qpid-proton. `SKROUTERD_PYTHON` names it.
pub struct Python(String);

impl Python {
    /// Returns the interpreter, or reports the test as skipped.
    pub fn needed_by(test: &str) -> Option<Self> {
        peers::needs(test, "SKROUTERD_PYTHON").map(Self)
    }

    /// Returns the command that runs a script of `tests/python`.
    pub fn command(&self, script: &str) -> Command {
        let mut command = Command::new(&self.0);
        command.arg(format!("{}/tests/python/{script}", env!("CARGO_MANIFEST_DIR")));
        command
    }

    /// Runs a script, which must succeed, and returns its output as JSON.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: &[impl AsRef<OsStr>]) -> Value {
        let mut command = self.command(script);
        let output = command.args(arguments).output().expect("Python starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {text}{errors}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{command:?}: {error}: {text}"))
    }
}

/// Defines a test that needs qpid-proton for Python.
macro_rules! with_python {
    ($name:ident, $scenario:expr) => {
        #[test]
        fn $name() {
            let test = concat!(module_path!(), "::", stringify!($name));
            if let Some(python) = $crate::support::Python::needed_by(test) {
                ($scenario)(&$crate::support::Lab::new(test), python);
            }
        }
    };
}
