//! `skstat` and `skmanage` of this build, as operators call them.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::peers;

/// One of our commands, by its name.
pub struct Tool {
    pub name: &'static str,
    pub bus: Vec<String>,
}

impl Tool {
    /// Returns a command that asks the router with this port for clients.
    pub fn at(name: &'static str, port: u16) -> Self {
        Self { name, bus: vec!["--bus".to_owned(), format!("127.0.0.1:{port}")] }
    }

    pub fn command(&self, line: &str) -> Command {
        // The tools are always of this build, also if the router under test is another.
        let mut command = Command::new(env!("CARGO_BIN_EXE_skrouterd"));
        command
            .arg(self.name)
            .args(&self.bus)
            .args(line.split(' ').filter(|word| !word.is_empty()));
        command
    }

    pub fn run(&self, line: &str) -> Output {
        self.command(line).stdin(Stdio::null()).output().expect("the command runs")
    }

    /// Runs the command, which must succeed, and returns its output.
    #[track_caller]
    pub fn text(&self, line: &str) -> String {
        let output = self.run(line);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(
            output.status.success(),
            "{} {line}: {text}{}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// Runs the command and returns its output as JSON.
    #[track_caller]
    pub fn json(&self, line: &str) -> Value {
        let text = self.text(line);
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{} {line}: {error}: {text}", self.name))
    }

    /// Runs the command, which must fail, and returns its error line.
    #[track_caller]
    pub fn failure(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(1), "{} {line}", self.name);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(text.lines().count(), 1, "{text}");
        text.trim_end().to_owned()
    }
}

/// Returns the line of a password file for a user.
pub fn password_line(user: &str, password: &str) -> String {
    let mut command = Command::new(peers::ours());
    let mut child = command
        .args(["skup", "password", user])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("skup starts");
    writeln!(child.stdin.take().expect("a pipe"), "{password}").expect("written");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}
