//! A configuration text, its name and its format.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::{ConfigError, Section, conf, json};

/// The largest file, in bytes. The largest configurations of Skupper, with thousands of services,
/// are a few MiB.
pub(super) const LARGEST: u64 = 16 * 1024 * 1024;

/// The form of a configuration text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON array of pairs of type and attributes.
    Json,
    /// Sections of `name: value` lines.
    Conf,
}

impl Format {
    /// Returns JSON if the name ends in `.json`, else `.conf`.
    pub fn of(name: &str) -> Self {
        if name.ends_with(".json") { Self::Json } else { Self::Conf }
    }
}

/// A configuration text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The name in errors: that of the file, or of the variable that holds the text.
    pub name: String,
    /// The text.
    pub text: String,
    /// The form of the text.
    pub format: Format,
}

impl Document {
    /// Reads the file at `path`. Its name tells the form.
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = read(path, LARGEST)
            .map_err(|cause| ConfigError::Unreadable { file: name.clone(), cause })?;
        Ok(Self { format: Format::of(&name), name, text })
    }

    /// Returns the sections of the text.
    pub(super) fn sections(&self) -> Result<Vec<Section>, ConfigError> {
        if self.text.len() as u64 > LARGEST {
            return Err(ConfigError::syntax(&self.name, None, too_large(LARGEST)));
        }
        if self.text.trim().is_empty() {
            return Err(ConfigError::syntax(&self.name, None, "the file is empty"));
        }
        match self.format {
            Format::Json => json::sections(&self.name, &self.text),
            Format::Conf => conf::sections(&self.name, &self.text),
        }
    }
}

fn too_large(largest: u64) -> String {
    format!("larger than {} MiB", largest / 1024 / 1024)
}

/// Reads a text file of at most `largest` bytes.
pub(super) fn read(path: &Path, largest: u64) -> io::Result<String> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    let mut text = String::new();
    file.take(largest.saturating_add(1)).read_to_string(&mut text)?;
    if text.len() as u64 > largest {
        return Err(io::Error::other(too_large(largest)));
    }
    Ok(text)
}
