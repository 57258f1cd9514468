//! Checks which room names which. `ARCHITECTURE.md` draws the rooms, and this table is the rule.
//!
//! The test reads paths from the sources of both crates, without comments, texts and tests. It
//! takes paths that begin with `crate::`, or with as many `super::` as lead to the root of the
//! crate.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `router/src`, lowest first, each with the rooms that it may name. Rooms on one
/// level do not know each other.
const ROOMS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("text", &[]),
    ("files", &[]),
    ("lock", &[]),
    ("log", &["lock", "text", "files"]),
    ("schema", &["log"]),
    ("core", &["lock"]),
    ("sasl", &[]),
    ("policy", &["lock"]),
    ("config", &["schema", "log"]),
    ("socket", &["clock", "lock", "log"]),
    ("tls", &["schema", "socket", "lock", "log"]),
    ("websocket", &["tls"]),
    ("client", &["clock", "socket", "tls", "log"]),
    ("node", &["clock", "core", "sasl", "policy", "socket", "tls", "schema", "lock", "log"]),
    ("net", BELOW_NET),
    ("tcp", BELOW_NET),
    ("http", BELOW_NET),
    ("agent", BELOW_ADMIN),
    ("admin", BELOW_ADMIN),
    ("flow", BELOW_ADMIN),
];
const BELOW_NET: &[&str] = &[
    "sasl",
    "policy",
    "node",
    "socket",
    "websocket",
    "tls",
    "core",
    "config",
    "schema",
    "lock",
    "log",
];
const BELOW_ADMIN: &[&str] =
    &["net", "tcp", "http", "node", "socket", "tls", "core", "config", "schema", "lock", "log"];

/// The code above the rooms, which puts them together. It may name every room, and no room may name
/// it.
const ABOVE: &[&str] = &["app", "bin", "lib", "main"];

/// Packages that only one room may name, so that their work stays in one place.
const KEPT: &[(&str, &str)] = &[
    ("rustls", "tls"),
    ("tokio_rustls", "tls"),
    ("rustls_pki_types", "tls"),
    ("tungstenite", "websocket"),
    ("socket2", "socket"),
    ("hickory_resolver", "socket"),
];

/// Names that pure code must not contain. It takes bytes, events and the time as arguments.
const IMPURE: &[&str] = &[
    "tokio",
    "mio",
    "rustix",
    "libc",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "thread_local",
    "Instant::now",
    "SystemTime",
    "println",
    "eprintln",
    "skrouterd",
];

/// A source file, reduced to the code of the product.
struct Source {
    path: PathBuf,
    /// The modules from the root of the crate to this file.
    modules: Vec<String>,
    code: String,
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let mut found = Vec::new();
    collect(&root, &mut Vec::new(), &mut found);
    assert!(found.len() > 5, "no sources in {}", root.display());
    found
}

fn collect(folder: &Path, modules: &mut Vec<String>, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap().to_owned();
        if name == "tests" {
            continue;
        }
        modules.push(name);
        if path.is_dir() {
            collect(&path, modules, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let mut modules = modules.clone();
            if modules.last().is_some_and(|last| last == "mod") {
                modules.pop();
            }
            let code = without_tests(&without_texts(&fs::read_to_string(&path).unwrap()));
            found.push(Source { path, modules, code });
        }
        modules.pop();
    }
}

/// Blanks comments, strings and characters.
fn without_texts(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let word_before = code.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            quoted(rest)
        } else if !word_before && let Some(length) = raw_string(rest) {
            length
        } else if first == '\''
            && let Some(length) = character(rest)
        {
            length
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[length..];
    }
    code
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Returns the length of `r"..."`, `r#"..."#` or such a byte string at the beginning of `text`.
fn raw_string(text: &str) -> Option<usize> {
    let body = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = body.bytes().take_while(|octet| *octet == b'#').count();
    let inner = body[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let before = text.len() - inner.len();
    Some(inner.find(&end).map_or(text.len(), |at| before + at + end.len()))
}

/// Returns the length of a character literal; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    let (_, first) = characters.next()?;
    if first == '\\' {
        characters.next()?;
        return characters.find(|(_, character)| *character == '\'').map(|(at, _)| at + 1);
    }
    characters.next().filter(|(_, character)| *character == '\'').map(|(at, _)| at + 1)
}

/// Blanks the item after each `#[cfg(test)]`, up to its semicolon or its closing brace.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        kept.push_str(&rest[..at]);
        let item = &rest[at + MARK.len()..];
        let mut depth = 0_usize;
        let end = item.char_indices().find(|(_, character)| match character {
            '{' => {
                depth += 1;
                false
            }
            '}' => {
                depth = depth.saturating_sub(1);
                depth == 0
            }
            ';' => depth == 0,
            _ => false,
        });
        rest = end.map_or("", |(at, _)| &item[at + 1..]);
    }
    kept.push_str(rest);
    kept
}

/// Returns words, `::`, and single characters.
fn tokens(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|next: char| !(next.is_alphanumeric() || next == '_')).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        if !token.trim().is_empty() {
            found.push(token);
        }
        rest = after;
    }
    found
}

/// Returns the rooms that a file names.
fn named(source: &Source) -> BTreeSet<String> {
    let tokens = tokens(&source.code);
    let mut rooms = BTreeSet::new();
    for at in 0..tokens.len() {
        let mut next = at;
        match tokens[at] {
            "crate" if at == 0 || tokens[at - 1] != "$" => next += 1,
            "super" if at == 0 || tokens[at - 1] != "::" => {
                let mut climbed = 1;
                while tokens.get(next + 1..next + 3) == Some(&["::", "super"]) {
                    climbed += 1;
                    next += 2;
                }
                if climbed != source.modules.len() {
                    continue;
                }
                next += 1;
            }
            _ => continue,
        }
        if tokens.get(next) != Some(&"::") {
            continue;
        }
        match tokens.get(next + 1) {
            Some(&"{") => {
                // The heads of the group's members.
                let mut depth = 0_usize;
                let mut head = false;
                for token in &tokens[next + 1..] {
                    match *token {
                        "{" => {
                            depth += 1;
                            head = depth == 1;
                        }
                        "}" => {
                            depth -= 1;
                            if depth == 0 {
                                break;
                            }
                        }
                        "," => head = depth == 1,
                        word if head => {
                            rooms.insert(word.to_owned());
                            head = false;
                        }
                        _ => {}
                    }
                }
            }
            Some(word) => {
                rooms.insert((*word).to_owned());
            }
            None => {}
        }
    }
    rooms
}

fn is_room(name: &str) -> bool {
    ROOMS.iter().any(|(room, _)| *room == name)
}

#[test]
fn imports_point_one_way() {
    let mut wrong = Vec::new();
    for source in sources("router/src") {
        let room = source.modules.first().map_or("", String::as_str);
        if ABOVE.contains(&room) {
            continue;
        }
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!(
                "{}: a room that the table of this test does not have",
                source.path.display()
            ));
            continue;
        };
        for other in named(&source) {
            // A macro or another item at the root has a name that no room has.
            let known = is_room(&other) || ABOVE.contains(&other.as_str());
            if known && other != room && !allowed.contains(&other.as_str()) {
                wrong.push(format!("{}: {room} must not name {other}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn packages_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for source in sources("router/src") {
        let room = source.modules.first().map_or("", String::as_str);
        let words: BTreeSet<&str> = tokens(&source.code).into_iter().collect();
        for (package, owner) in KEPT {
            if room != *owner && !ABOVE.contains(&room) && words.contains(package) {
                wrong.push(format!(
                    "{}: {package} is the business of {owner}",
                    source.path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_code_names_nothing_of_the_world() {
    let core = sources("router/src")
        .into_iter()
        .filter(|source| source.modules.first().is_some_and(|room| room == "core"));
    let mut wrong = Vec::new();
    for source in core.chain(sources("proto/src")) {
        let joined = tokens(&source.code).join(" ").replace(" :: ", "::");
        let words: Vec<&str> = joined.split(' ').collect();
        for impure in IMPURE {
            let parts: Vec<&str> = impure.split("::").collect();
            let is_named = words.iter().any(|word| {
                word.split("::")
                    .collect::<Vec<_>>()
                    .windows(parts.len())
                    .any(|window| window == parts)
            });
            if is_named {
                wrong.push(format!("{}: {impure}", source.path.display()));
            }
        }
        // The free functions of this package use a generator that the system seeds.
        if words.iter().any(|word| {
            word.strip_prefix("fastrand::").is_some_and(|name| name.starts_with(char::is_lowercase))
        }) {
            wrong.push(format!("{}: a random number without a given seed", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One room has the mutex of the standard library. So every mutex has a rank and none poisons.
#[test]
fn mutexes_are_those_of_lock() {
    let mut wrong = Vec::new();
    for source in sources("router/src") {
        if source.modules == ["lock"] {
            continue;
        }
        // What follows `std::sync::` up to the end of the path or of its group.
        let named = source.code.split("std::sync::").skip(1).any(|rest| {
            let end = if rest.starts_with('{') { rest.find('}') } else { rest.find([';', '<']) };
            let names = tokens(&rest[..end.unwrap_or(rest.len())]);
            names.iter().any(|name| ["Mutex", "RwLock", "Condvar", "PoisonError"].contains(name))
        });
        if named {
            wrong.push(format!("{}: a lock without a rank", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The table itself points one way: a room names only rooms above it in the list.
#[test]
fn the_table_has_no_circle() {
    for (at, (room, allowed)) in ROOMS.iter().enumerate() {
        for other in *allowed {
            assert!(ROOMS[..at].iter().any(|(name, _)| name == other), "{room} -> {other}");
        }
    }
}

#[test]
fn the_reader_finds_what_it_should() {
    let read = |modules: &[&str], text: &str| {
        let code = without_tests(&without_texts(text));
        let modules = modules.iter().map(|module| (*module).to_owned()).collect();
        named(&Source { path: PathBuf::new(), modules, code })
            .into_iter()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        read(
            &["net"],
            "use crate::tls::Profile; fn f() { crate::log!(Server, Info, \"crate::admin\") }"
        ),
        "log tls"
    );
    assert_eq!(
        read(&["net"], "use crate::{admin::{self, model}, http, core::{a, b}};"),
        "admin core http"
    );
    assert_eq!(
        read(
            &["net", "trunk"],
            "use super::super::tcp; use super::tls; use super::super::super::x;"
        ),
        "tcp"
    );
    assert_eq!(
        read(
            &["net"],
            "// crate::a\n/* /* crate::b */ crate::c */ r#\"crate::d\"# '\"' crate::e '\\'' \
             crate::g"
        ),
        "e g"
    );
    assert_eq!(
        read(
            &["net"],
            "#[cfg(test)] mod tests { fn f() { crate::a } } #[cfg(test)] use crate::b; use \
             crate::c;"
        ),
        "c"
    );
    assert_eq!(read(&["net"], "fn f<'a>(x: &'a str) { pub(crate) y; $crate::z; crate::w }"), "w");
}
