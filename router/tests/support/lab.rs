//! The place of one test: its folder, its certificates, and the evidence after a failure.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::pki::{Authority, Contents, Identity};

/// The folder of a test, and the shared parts of its sites. It stays, and its path is printed, if
/// the test fails or `SKROUTERD_TEST_KEEP` is set.
pub struct Lab {
    folder: Option<tempfile::TempDir>,
    path: PathBuf,
    authority: OnceLock<Authority>,
}

impl Lab {
    /// Creates a folder for `test`.
    pub fn new(test: &str) -> Self {
        let name = test.rsplit("::").take(2).collect::<Vec<_>>().join("-");
        let folder = tempfile::Builder::new()
            .prefix(&format!("skrouterd-{name}-"))
            .tempdir()
            .expect("a folder for the test");
        let path = folder.path().to_owned();
        Self { folder: Some(folder), path, authority: OnceLock::new() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the authority that all sites of this test trust by default.
    pub fn authority(&self) -> &Authority {
        self.authority.get_or_init(|| Authority::new(&self.path, "test-ca"))
    }

    /// Returns the usual certificate of a site: valid, by the shared authority, for `localhost` and
    /// its own name.
    pub fn identity(&self, site: &str) -> Identity {
        self.authority().identity(site)
    }

    /// Returns a certificate by the shared authority that has expired, on 2021-01-01.
    pub fn expired(&self) -> Identity {
        let names = &["localhost", "127.0.0.1"];
        self.authority()
            .issue("expired", &Contents { common_name: "localhost", names, expired: true })
    }

    /// Returns a certificate by another authority, `other-ca`. It trusts the shared one, so that
    /// the other side refuses.
    pub fn stranger(&self) -> Identity {
        Authority::new(&self.path, "other-ca").identity("stranger").trusting(self.authority())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let keep = std::thread::panicking() || std::env::var_os("SKROUTERD_TEST_KEEP").is_some();
        if let Some(folder) = self.folder.take_if(|_| keep) {
            eprintln!("configurations and logs are kept in {}", folder.keep().display());
        }
    }
}
