//! The measures of the house: how long lines, functions and files may be, and how many fields a
//! type may have. `CONTRIBUTING.md` says why.
//!
//! The test reads the tracked sources of all crates. It relies on `rustfmt`: an item that begins at
//! some indentation ends at the first brace at the same indentation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The longest line, in characters.
const COLUMNS: usize = 100;
/// The longest file, in lines.
const FILE_LINES: usize = 800;
/// The longest function, in lines.
const FUNCTION_LINES: usize = 80;
/// The most fields of a struct.
const FIELDS: usize = 25;

/// Files with lines that cannot be broken.
const LONG_LINES: &[(&str, &str)] = &[
    ("benches/src/cli/help.rs", "the text of the help, as users see it"),
    ("proto/src/management/tests.rs", "messages as captured"),
    ("proto/src/routing/tests/messages.rs", "messages as captured"),
    ("router/src/bin/skup/arguments.rs", "the text of the help, as users see it"),
    ("router/src/bin/skup/print/tests.rs", "tables as the command prints them"),
];

/// Files that may be longer.
const LONG_FILES: &[(&str, &str)] = &[];

/// Functions that may be longer.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[
    ("proto/src/engine/tests/violations.rs", "broken_rules_are_named", "a table"),
    ("proto/src/routing/tests/messages.rs", "vectors", "a table"),
    ("router/fuzz/src/net_connection/frames.rs", "frame", "an arm for each frame"),
    ("router/fuzz/src/net_connection/world.rs", "step", "an arm for each step"),
    ("router/src/admin/reason.rs", "fmt", "a text for each reason"),
    ("router/src/bin/skstat/view.rs", "questions", "a table"),
    ("router/src/bin/skup/print/tests.rs", "link_status_of_each_state", "a table"),
    ("router/src/client/tests.rs", "play", "an arm for each event of the other end"),
    ("router/src/http/metrics.rs", "labeled", "a table"),
    ("router/src/tls/tests/keys.rs", "every_form_of_key_is_read", "a table"),
    ("router/src/tls/tests/keys.rs", "errors_name_profile_attribute_and_file", "a table"),
    ("router/tests/daemon/commands.rs", "bad_requests_are_refused_and_change_nothing", "a table"),
    ("router/tests/daemon/hostile/cases.rs", "all", "a table"),
    ("router/tests/daemon/operator.rs", "bad_configurations", "a table"),
];

/// Types that may have more fields.
const WIDE_TYPES: &[(&str, &str, &str)] = &[];

/// A tracked file, by its path from the root of the repository.
struct Source {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the tracked files with this extension. Without git, as in an archive of the sources, it
/// returns those below the folders of the crates.
fn tracked(extension: &str) -> Vec<Source> {
    let list = Command::new("git").arg("-C").arg(root()).args(["ls-files", "-z"]).output();
    let listed = list.ok().filter(|list| list.status.success());
    let paths: Vec<String> = match listed {
        Some(list) => {
            String::from_utf8_lossy(&list.stdout).split('\0').map(str::to_owned).collect()
        }
        None => below(&root(), &["proto", "router", "benches"]),
    };
    let wanted = |path: &&String| Path::new(path).extension().is_some_and(|is| is == extension);
    paths
        .iter()
        .filter(wanted)
        // A file that is deleted and not yet committed is listed.
        .filter_map(|path| {
            let text = fs::read_to_string(root().join(path)).ok()?;
            Some(Source { path: path.clone(), text })
        })
        .collect()
}

fn below(root: &Path, folders: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(root.join(&folder)).into_iter().flatten().flatten() {
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() && entry.file_name() != "target" {
                open.push(path);
            } else {
                found.extend(path.to_str().map(str::to_owned));
            }
        }
    }
    found
}

/// An item of a source: its name, and the lines from its head to its closing brace.
#[derive(Debug, PartialEq, Eq)]
struct Item<'a> {
    name: &'a str,
    body: Vec<&'a str>,
}

/// Returns the items of a kind (`fn` or `struct`) that have a body in braces.
fn items<'a>(text: &'a str, kind: &str) -> Vec<Item<'a>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = head(line, kind) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let ends = |line: &&str| {
            line.strip_prefix(indent).is_some_and(|rest| rest.starts_with(['}', ')']))
                || line.len() == indent.len() + line.trim_start().len() && line.ends_with(';')
        };
        let single = line.ends_with(['}', ';']);
        let mut length = 1;
        // The parameters of a long head close at its indentation too, before the body opens.
        while !single && at + length < lines.len() {
            let last = lines[at + length];
            length += 1;
            if ends(&last) && !last.ends_with(['{', ',']) && !last.trim_end().ends_with("where") {
                break;
            }
        }
        found.push(Item { name, body: lines[at..at + length].to_vec() });
    }
    found
}

/// Returns the name of the item that begins in this line, if it is of this kind.
fn head<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    let mut rest = line.trim_start();
    if rest.starts_with("//") {
        return None;
    }
    loop {
        let (word, after) = rest.split_once(' ')?;
        if word == kind {
            let end = after.find(|next: char| !(next.is_alphanumeric() || next == '_'))?;
            return Some(&after[..end]).filter(|name| !name.is_empty());
        }
        let is_modifier = word.starts_with("pub")
            || ["async", "const", "unsafe", "extern", "\"C\"", "crate::"].contains(&word);
        if !is_modifier {
            return None;
        }
        rest = after;
    }
}

/// Counts the fields of a struct: the lines one level below its head that name one.
fn fields(item: &Item<'_>) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let inner = item.body.first().map_or(0, |head| indent(head)) + 4;
    let is_field = |line: &&&str| {
        let text = line.trim_start();
        indent(line) == inner && !text.starts_with(['/', '#', '}', ')']) && text.contains(": ")
    };
    item.body.iter().skip(1).filter(is_field).count()
}

fn assert_none(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}

#[test]
fn no_line_is_too_long() {
    let mut wrong = Vec::new();
    for source in tracked("rs").iter().chain(&tracked("md")) {
        if LONG_LINES.iter().any(|(path, _)| *path == source.path) {
            continue;
        }
        for (number, line) in (1..).zip(source.text.lines()) {
            let columns = line.chars().count();
            // A link cannot be broken.
            let is_link = line.contains("](") && source.path.ends_with(".md");
            if columns > COLUMNS && !is_link {
                wrong.push(format!("{}:{number}: {columns} columns", source.path));
            }
        }
    }
    assert_none("lines", &wrong);
}

#[test]
fn no_file_is_too_long() {
    let mut wrong = Vec::new();
    for source in tracked("rs") {
        let lines = source.text.lines().count();
        if lines > FILE_LINES && !LONG_FILES.iter().any(|(path, _)| *path == source.path) {
            wrong.push(format!("{}: {lines} lines", source.path));
        }
    }
    assert_none("files", &wrong);
}

#[test]
fn no_function_is_too_long() {
    let mut wrong = Vec::new();
    for source in tracked("rs") {
        for item in items(&source.text, "fn") {
            let may = LONG_FUNCTIONS
                .iter()
                .any(|(path, name, _)| *path == source.path && *name == item.name);
            if item.body.len() > FUNCTION_LINES && !may {
                wrong.push(format!("{}: {}: {} lines", source.path, item.name, item.body.len()));
            }
        }
    }
    assert_none("functions", &wrong);
}

#[test]
fn no_type_has_too_many_fields() {
    let mut wrong = Vec::new();
    for source in tracked("rs") {
        for item in items(&source.text, "struct") {
            let may =
                WIDE_TYPES.iter().any(|(path, name, _)| *path == source.path && *name == item.name);
            let fields = fields(&item);
            if fields > FIELDS && !may {
                wrong.push(format!("{}: {}: {fields} fields", source.path, item.name));
            }
        }
    }
    assert_none("types", &wrong);
}

/// An exception that is no longer needed leaves the list.
#[test]
fn exceptions_name_what_is_there() {
    let sources = tracked("rs");
    let known: BTreeSet<&str> = sources.iter().map(|source| source.path.as_str()).collect();
    let files = LONG_LINES.iter().chain(LONG_FILES).map(|(path, _)| *path);
    let named = LONG_FUNCTIONS.iter().chain(WIDE_TYPES).map(|(path, ..)| *path);
    for path in files.chain(named) {
        assert!(known.contains(path), "{path}");
    }
    for (path, name, _) in LONG_FUNCTIONS {
        let source = sources.iter().find(|source| source.path == *path).unwrap();
        let is_long = |item: &Item<'_>| item.name == *name && item.body.len() > FUNCTION_LINES;
        assert!(items(&source.text, "fn").iter().any(is_long), "{path}: {name}");
    }
    for (path, _) in LONG_LINES {
        let source = sources.iter().find(|source| source.path == *path).unwrap();
        assert!(source.text.lines().any(|line| line.chars().count() > COLUMNS), "{path}");
    }
}

#[test]
fn the_reader_finds_items_and_fields() {
    let text = "\
pub(crate) async fn one(
    parameter: u8,
) -> u8 {
    fn inner() {}
    parameter
}

impl A {
    const fn two(&self) -> u8 {
        2
    }
}

struct Three {
    /// Doc.
    first: u8,
    #[allow(unused)]
    pub(crate) second: Vec<
        u8,
    >,
}

struct Four(u8);
// fn none() {
";
    let functions: Vec<_> =
        items(text, "fn").iter().map(|item| (item.name, item.body.len())).collect();
    assert_eq!(functions, [("one", 6), ("inner", 1), ("two", 3)]);
    let structs: Vec<_> =
        items(text, "struct").iter().map(|item| (item.name, fields(item))).collect();
    assert_eq!(structs, [("Three", 2), ("Four", 0)]);
}
