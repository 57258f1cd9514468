//! The launch contract of the router's container image, without a shell. `QDROUTERD_CONF` holds the
//! configuration or names its files. `QDROUTERD_CONF_TYPE` says their form. Variables in the text
//! are replaced.
//!
//! The contract holds if the variable is set and the command line names no file. A file on the
//! command line is read as it stands.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::document::{self, Document, Format, LARGEST};

/// The variable that holds or names the configuration.
pub const CONFIGURATION: &str = "QDROUTERD_CONF";
/// The variable that tells the form: `json` or `conf`. Without it the form is `conf`.
pub const TYPE: &str = "QDROUTERD_CONF_TYPE";

/// Variables of the image's launch scripts that have no effect here.
const NOT_SUPPORTED: &[&str] =
    &["QDROUTERD_AUTO_MESH_DISCOVERY", "QDROUTERD_AUTO_CREATE_SASLDB_SOURCE"];

/// The configuration that the environment gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The texts, with variables replaced.
    pub documents: Vec<Document>,
    /// The files of the texts.
    pub files: Vec<PathBuf>,
    /// Warnings for the operator, one line each.
    pub warnings: Vec<String>,
}

/// Why the environment's configuration cannot be used.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LaunchError {
    #[error("{TYPE} is '{given}', which is neither json nor conf")]
    UnknownType { given: String },
    #[error("{CONFIGURATION}: {} cannot be read: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("{CONFIGURATION} names nothing that exists: {entries}")]
    Nothing { entries: String },
    #[error("{CONFIGURATION} names more than {} MiB of configuration", LARGEST / 1024 / 1024)]
    TooLarge,
}

/// Finds the configuration in `environment`. Returns `None` if it names none.
pub fn documents(
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<Launch>, LaunchError> {
    let Some(given) = environment(CONFIGURATION).filter(|given| !given.is_empty()) else {
        return Ok(None);
    };
    let format = match environment(TYPE).as_deref() {
        None | Some("" | "conf") => Format::Conf,
        Some("json") => Format::Json,
        Some(other) => {
            return Err(LaunchError::UnknownType { given: other.escape_debug().to_string() });
        }
    };
    let mut warnings: Vec<_> = NOT_SUPPORTED
        .iter()
        .filter(|name| environment(name).is_some_and(|value| !value.is_empty()))
        .map(|name| format!("{name} is set, which this router does not act on"))
        .collect();
    let (mut documents, files) = if holds_configuration(&given) {
        (vec![Document { name: CONFIGURATION.to_owned(), text: given, format }], Vec::new())
    } else {
        let documents = named_files(&given, format, &mut warnings)?;
        let files = documents.iter().map(|document| PathBuf::from(&document.name)).collect();
        (documents, files)
    };
    if format == Format::Conf {
        documents = joined(documents);
    }
    let pod_id =
        environment("HOSTNAME").map(|host| host.rsplit('-').next().unwrap_or_default().to_owned());
    let variable = |name: &str| if name == "POD_ID" { pod_id.clone() } else { environment(name) };
    for document in &mut documents {
        document.text = expand(&document.text, variable);
    }
    Ok(Some(Launch { documents, files, warnings }))
}

/// Returns whether the variable holds the text itself: an opening brace, and a closing one after
/// it.
fn holds_configuration(given: &str) -> bool {
    given.find('{').zip(given.rfind('}')).is_some_and(|(open, close)| open < close)
}

/// Reads the files of a list. A folder stands for its files that end in `.conf`, by name.
fn named_files(
    list: &str,
    format: Format,
    warnings: &mut Vec<String>,
) -> Result<Vec<Document>, LaunchError> {
    let mut documents = Vec::new();
    let mut left = LARGEST;
    let mut add = |path: &Path| -> Result<(), LaunchError> {
        let text = document::read(path, left)
            .map_err(|cause| LaunchError::Unreadable { path: path.to_owned(), cause })?;
        left = left.checked_sub(text.len() as u64).ok_or(LaunchError::TooLarge)?;
        documents.push(Document { name: path.display().to_string(), text, format });
        Ok(())
    };
    for entry in list.split([':', ',']).filter(|entry| !entry.is_empty()) {
        let path = Path::new(entry);
        if path.is_dir() {
            let unreadable = |cause| LaunchError::Unreadable { path: path.to_owned(), cause };
            let mut files = Vec::new();
            for file in path.read_dir().map_err(unreadable)? {
                files.push(file.map_err(unreadable)?.path());
            }
            files.retain(|file| {
                file.extension().is_some_and(|extension| extension == "conf") && !is_hidden(file)
            });
            files.sort();
            files.iter().try_for_each(|file| add(file))?;
        } else if path.exists() {
            add(path)?;
        } else {
            warnings
                .push(format!("{CONFIGURATION}: no such file or folder: {}", entry.escape_debug()));
        }
    }
    match documents.is_empty() {
        true => Err(LaunchError::Nothing { entries: list.escape_debug().to_string() }),
        false => Ok(documents),
    }
}

fn is_hidden(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Joins `.conf` files as they are, because a section may begin in one and end in the next.
fn joined(documents: Vec<Document>) -> Vec<Document> {
    match <[Document; 1]>::try_from(documents) {
        Ok(one) => one.into(),
        Err(several) => {
            let text = several.iter().map(|document| document.text.as_str()).collect();
            vec![Document { name: CONFIGURATION.to_owned(), text, format: Format::Conf }]
        }
    }
}

/// Replaces `$NAME` and `${NAME}` by their values, line by line. Lines that begin with `#` stay as
/// they are. So do variables that are not set.
pub fn expand(text: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let expanded = |line| match str::starts_with(line, '#') {
        true => Cow::Borrowed(line),
        false => expand_line(line, &variable),
    };
    text.split_inclusive('\n').map(expanded).collect()
}

fn expand_line<'a>(line: &'a str, variable: &impl Fn(&str) -> Option<String>) -> Cow<'a, str> {
    if !line.contains('$') {
        return Cow::Borrowed(line);
    }
    let mut done = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('$') {
        done.push_str(before);
        // `whole` is the length of the text behind the dollar sign.
        let (name, whole) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, _)) => (name, name.len() + 2),
            None => {
                let name = after
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .next()
                    .unwrap_or_default();
                (name, name.len())
            }
        };
        let (reference, following) = after.split_at_checked(whole).unwrap_or((after, ""));
        match Some(name).filter(|name| !name.is_empty()).and_then(variable) {
            Some(value) => done.push_str(&value),
            None => {
                done.push('$');
                done.push_str(reference);
            }
        }
        rest = following;
    }
    done.push_str(rest);
    Cow::Owned(done)
}
