//! A router that an operator watches with `skup`.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use super::{Lab, Router, Spec, peers, wait};

/// A router with an admin socket that the test can find.
pub struct Watched {
    pub router: Router,
    socket: PathBuf,
}

impl Watched {
    pub fn start(lab: &Lab, spec: &Spec) -> Self {
        let router = spec.start(lab);
        let line = router.await_log(&["Admin socket at "]);
        let socket = line.split("Admin socket at ").nth(1).expect("a path").trim().into();
        router.await_log(&["Operational"]);
        Self { router, socket }
    }

    pub fn skup(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(peers::ours());
        command.arg("skup").args(arguments).arg("--socket").arg(&self.socket);
        command.output().expect("skup starts")
    }

    /// Runs the command and returns its output as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.skup(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
    }

    /// Waits until the configured link is not connected for this kind of reason, and returns the
    /// reason's text.
    #[track_caller]
    pub fn await_reason(&self, kind: &str) -> String {
        wait::until(
            &format!("{}: link1 is not connected: {kind}", self.router.id),
            wait::patience(),
            || {
                let links = self.json(&["link", "status"]);
                let link = links.as_array()?.iter().find(|link| link["name"] == "link1")?;
                let told = link["state"] == "not-connected"
                    && link["reason"]["kind"] == kind
                    && link["failures"].as_u64() > Some(0);
                told.then(|| link["reason"]["text"].as_str().unwrap_or_default().to_owned())
            },
        )
    }

    #[track_caller]
    pub fn await_active(&self) -> Value {
        wait::until(&format!("{}: link1 is active", self.router.id), wait::patience(), || {
            let links = self.json(&["link", "status"]);
            links
                .as_array()?
                .iter()
                .find(|link| link["name"] == "link1" && link["state"] == "active")
                .cloned()
        })
    }
}
