//! The files and environment variables that a change of the running router may name.
//!
//! A manager of the router may not read or write every file of the router's user. The operator's
//! start-up configuration is trusted. A path in a request must lead into a folder that this
//! configuration names or implies for files of the same [`Use`]. Links and `..` are resolved before
//! the two are compared.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::Config;
use crate::schema::{Entity, EntityKind, Password, Use, quote};

/// Folders into which Skupper's controllers write certificates and the passwords of proxies.
const SKUPPER: [&str; 3] = [
    "/etc/skupper-router-certs",
    "/etc/skupper-router-proxies",
    "/etc/skupper-router/runtime/certs",
];

/// The variable that names, in Skupper's containers, the folder above the certificates.
const BASE: &str = "SSL_PROFILE_BASE_PATH";

/// The files that Skupper keeps for a profile, in a folder that has the profile's name.
const OF_PROFILE: [&str; 3] = ["ca.crt", "tls.crt", "tls.key"];

/// Shared folders. A file that is named in one implies no other file there.
const SHARED: &[&str] = &[
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/dev/shm",
    "/etc",
    "/etc/pki",
    "/etc/ssl",
    "/etc/ssl/certs",
    "/etc/ssl/private",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/run/secrets",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/local/etc",
    "/usr/sbin",
    "/usr/share",
    "/var",
    "/var/lib",
    "/var/log",
    "/var/run",
    "/var/tmp",
];

/// Log outputs that are no files.
const NO_FILES: [&str; 4] = ["stderr", "stdout", "syslog", "journald"];

/// Why a change is refused: it names a thing out of reach.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is out of reach of changes at run time (in reach: {reach}). {advice}")]
pub struct OutOfReach {
    /// The attribute that names it.
    pub attribute: &'static str,
    what: String,
    reach: String,
    advice: &'static str,
}

/// Files of one use: whole folders, and single files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Places {
    folders: BTreeSet<PathBuf>,
    /// Absolute, as the configuration names them. A link that the operator has made there may lead
    /// anywhere.
    files: BTreeSet<PathBuf>,
}

/// The files and variables that changes at run time may name. The start-up configuration sets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    credentials: Places,
    web: Places,
    logs: Places,
    variables: BTreeSet<String>,
}

/// A thing that an attribute names.
enum Named {
    File(Use, PathBuf),
    Variable(String),
}

impl Reach {
    /// Makes the reach of a configuration, of the files `sources` that held it, and of the
    /// environment.
    pub fn new(
        config: &Config,
        sources: &[PathBuf],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let mut reach = Self::default();
        for folder in SKUPPER
            .map(PathBuf::from)
            .into_iter()
            .chain(environment(BASE).map(|base| Path::new(&base).join("runtime/certs")))
        {
            reach.credentials.add_folder(&folder);
        }
        for source in sources {
            reach.credentials.add_folder_of(source);
        }
        for entity in config.entities.iter().map(|configured| &configured.entity) {
            for (_, named) in names(entity) {
                match named {
                    Named::Variable(name) => _ = reach.variables.insert(name),
                    Named::File(Use::Web, folder) => {
                        reach.web.add_folder(&folder);
                        reach.web.add_file(&folder);
                    }
                    Named::File(purpose, file) => {
                        let places = reach.places_mut(purpose);
                        places.add_file(&file);
                        places.add_folder_of(&file);
                        if let Some(folder) = folder_of_profiles(entity, &file) {
                            reach.credentials.add_folder(folder);
                        }
                    }
                }
            }
        }
        reach
    }

    /// Checks everything that an entity names. Call it before the entity is created or changed.
    ///
    /// # Errors
    /// The first attribute that names something out of reach.
    pub fn check(&self, entity: &Entity) -> Result<(), OutOfReach> {
        for (attribute, named) in names(entity) {
            match named {
                Named::Variable(name) if !self.variables.contains(&name) => {
                    let what = format!("environment variable {}", quote(&name));
                    let advice = "Only variables that the start-up configuration names are";
                    return Err(OutOfReach {
                        attribute,
                        what,
                        reach: listed(self.variables.iter().map(String::as_str)),
                        advice,
                    });
                }
                Named::File(purpose, path) if !self.places(purpose).hold(&path) => {
                    let what = format!("{attribute} {}", quote(&path.to_string_lossy()));
                    let folders = self
                        .places(purpose)
                        .folders
                        .iter()
                        .map(|folder| folder.to_str().unwrap_or_default());
                    let advice =
                        "Name a file of its folder in the start-up configuration to allow it";
                    return Err(OutOfReach { attribute, what, reach: listed(folders), advice });
                }
                Named::Variable(_) | Named::File(..) => {}
            }
        }
        Ok(())
    }

    const fn places(&self, purpose: Use) -> &Places {
        match purpose {
            Use::Credentials => &self.credentials,
            Use::Web => &self.web,
            Use::Log => &self.logs,
        }
    }

    const fn places_mut(&mut self, purpose: Use) -> &mut Places {
        match purpose {
            Use::Credentials => &mut self.credentials,
            Use::Web => &mut self.web,
            Use::Log => &mut self.logs,
        }
    }
}

impl Places {
    fn add_file(&mut self, file: &Path) {
        self.files.extend(std::path::absolute(file));
    }

    /// Adds the folder in which a file is named. The file itself may be a link.
    fn add_folder_of(&mut self, file: &Path) {
        if let Some(folder) = std::path::absolute(file).ok().as_deref().and_then(Path::parent) {
            self.add_folder(folder);
        }
    }

    fn add_folder(&mut self, folder: &Path) {
        let Ok(folder) = resolve(folder) else { return };
        let home = std::env::home_dir().and_then(|home| resolve(&home).ok());
        // Home folders of other users are as private as the router's own.
        let of_user =
            folder.parent() == Some(Path::new("/home")) || home.as_deref() == Some(&folder);
        if !of_user && !SHARED.iter().any(|shared| Path::new(shared) == folder) {
            self.folders.insert(folder);
        }
    }

    fn hold(&self, path: &Path) -> bool {
        std::path::absolute(path).is_ok_and(|path| self.files.contains(&path))
            || resolve(path)
                .is_ok_and(|path| self.folders.iter().any(|folder| path.starts_with(folder)))
    }
}

/// Returns everything that an entity names, by attribute.
fn names(entity: &Entity) -> Vec<(&'static str, Named)> {
    let mut named = Vec::new();
    for (attribute, value) in entity.values() {
        let Some(text) = value.as_str().filter(|text| !text.is_empty()) else { continue };
        if attribute.secret {
            match Password::parse(text) {
                Password::File(path) => {
                    named.push((attribute.name, Named::File(Use::Credentials, path)))
                }
                Password::Environment(name) => named.push((attribute.name, Named::Variable(name))),
                Password::Literal(_) | Password::Plain(_) => {}
            }
        } else if let Some(purpose) = attribute.names_file
            && !(purpose == Use::Log && NO_FILES.contains(&text))
        {
            named.push((attribute.name, Named::File(purpose, text.into())));
        }
    }
    named
}

/// Returns the folder that has a folder for each profile, if this file shows that there is one:
/// `certs` of `certs/NAME/tls.crt`.
fn folder_of_profiles<'a>(entity: &Entity, file: &'a Path) -> Option<&'a Path> {
    let folder = file.parent()?;
    let like = |name: &std::ffi::OsStr, one_of: &[&str]| one_of.iter().any(|known| name == *known);
    let profile = entity.name().filter(|_| entity.kind() == EntityKind::SslProfile)?;
    let named = like(folder.file_name()?, &[profile]) && like(file.file_name()?, &OF_PROFILE);
    folder.parent().filter(|_| named)
}

/// Resolves a path with its links. Its end need not exist.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A dangling link could be made to lead anywhere.
            if path.symlink_metadata().is_ok() {
                return Err(error);
            }
            match (path.components().next_back(), path.parent()) {
                (Some(Component::Normal(name)), Some(folder)) => Ok(resolve(folder)?.join(name)),
                _ => Err(error),
            }
        }
        resolved => resolved,
    }
}

fn listed<'a>(items: impl Iterator<Item = &'a str>) -> String {
    /// Folders that an error names. It is one line, and many profiles make many folders.
    const SHOWN: usize = 10;
    let mut text = String::new();
    let mut more = 0;
    for (at, item) in items.enumerate() {
        if at < SHOWN {
            // Writing to a string does not fail.
            let _ = write!(text, "{}{item}", if at == 0 { "" } else { ", " });
        } else {
            more += 1;
        }
    }
    match (text.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => text,
        (false, more) => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
