//! The `.conf` form.
//!
//! ```text
//! # a comment
//! listener {
//!     host: localhost        # the rest of the line is a comment
//!     ssl-profile: site      # the same as sslProfile
//!     openProperties: {
//!         "key": "value",
//!     }
//! }
//! ```
//!
//! A line begins a section, sets an attribute, begins a map, or ends one of these. Three attributes
//! take `#` literally, and two hold JSON. A value may hold the backslash sequences of JSON strings,
//! so a double quote needs a backslash.

use serde_json::{Map, Value as Json};

use super::{ConfigError, Section, json};
use crate::schema::quote;

/// Attributes whose value is the first word. `#` is no comment in it.
const TAKE_HASH: &[&str] = &["pattern", "bindingKey", "hostname"];
/// Attributes whose map is JSON.
const HOLD_JSON: &[&str] = &["openProperties", "groups"];
/// The deepest map. Vhost groups, the deepest of the schema, need three levels.
const DEEPEST: usize = 16;

/// Reads the sections of `text`.
pub(super) fn sections(file: &str, text: &str) -> Result<Vec<Section>, ConfigError> {
    let mut reader =
        Reader { file, lines: text.trim_start_matches('\u{feff}').split('\n').enumerate() };
    let mut sections = Vec::new();
    while let Some((number, line)) = reader.next_line() {
        let line = without_comment(line);
        let kind = line.strip_suffix('{').map(str::trim_end).filter(|kind| is_name(kind));
        let Some(kind) = kind else {
            let problem = format!(
                "expected the beginning of a section, such as `listener {{`, and found {}",
                quote(line)
            );
            return Err(ConfigError::syntax(file, Some(number), problem));
        };
        let attributes = reader.body(number, kind, 1)?;
        sections.push(Section {
            file: file.to_owned(),
            line: Some(number),
            kind: kind.to_owned(),
            attributes,
        });
    }
    Ok(sections)
}

struct Reader<'a> {
    file: &'a str,
    lines: std::iter::Enumerate<std::str::Split<'a, char>>,
}

impl<'a> Reader<'a> {
    /// Returns the next line that is neither blank nor a comment, trimmed, and its number.
    fn next_line(&mut self) -> Option<(usize, &'a str)> {
        self.lines
            .by_ref()
            .map(|(index, line)| (index + 1, line.trim()))
            .find(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    }

    fn wrong<T>(&self, line: usize, problem: String) -> Result<T, ConfigError> {
        Err(ConfigError::syntax(self.file, Some(line), problem))
    }

    /// Reads the lines after an opening brace up to the one that closes it.
    fn body(
        &mut self,
        opened: usize,
        owner: &str,
        depth: usize,
    ) -> Result<Vec<(String, Json)>, ConfigError> {
        let mut attributes = Vec::new();
        while let Some((number, line)) = self.next_line() {
            if without_comment(line) == "}" {
                return Ok(attributes);
            }
            let Some((name, rest)) =
                line.split_once(':').map(|(name, rest)| (name.trim_end(), rest.trim_start()))
            else {
                let found = quote(without_comment(line));
                return self.wrong(
                    number,
                    format!("expected `name: value` or `}}` in '{owner}', and found {found}"),
                );
            };
            // Keys of maps within a section may begin with `$`. Names of attributes may not.
            if !is_name(if depth > 1 { name.trim_start_matches('$') } else { name }) {
                return self.wrong(number, format!("{} is no name of an attribute", quote(name)));
            }
            let value = if rest.starts_with('{') {
                if depth >= DEEPEST {
                    return self.wrong(number, format!("maps nest more than {DEEPEST} deep"));
                }
                self.map(number, name, rest, depth)?
            } else {
                let value = match TAKE_HASH.contains(&name) {
                    true => rest.split_whitespace().next().unwrap_or_default(),
                    false => without_comment(rest),
                };
                if value.is_empty() {
                    return self.wrong(number, format!("attribute '{name}' has no value"));
                }
                Json::String(self.unescape(number, name, value)?)
            };
            attributes.push((name.to_owned(), value));
        }
        self.wrong(opened, format!("'{owner}' is opened here and never closed"))
    }

    /// Reads the map whose opening brace `rest` begins with.
    fn map(
        &mut self,
        opened: usize,
        name: &str,
        rest: &str,
        depth: usize,
    ) -> Result<Json, ConfigError> {
        if HOLD_JSON.contains(&name) {
            return self.json(opened, name, rest).map(Json::Object);
        }
        if without_comment(rest) != "{" {
            return self.wrong(
                opened,
                format!("nothing may follow the brace that opens the map '{name}'"),
            );
        }
        self.body(opened, name, depth + 1)
            .map(|members| Json::Object(members.into_iter().collect()))
    }

    /// Reads JSON that begins with `first`, up to its closing brace.
    fn json(
        &mut self,
        opened: usize,
        name: &str,
        first: &str,
    ) -> Result<Map<String, Json>, ConfigError> {
        let mut body = String::new();
        let mut scan = Braces::default();
        let mut line = first;
        loop {
            if let Some(end) = scan.end_in(line) {
                let (json, rest) = line.split_at_checked(end).unwrap_or((line, ""));
                body.push_str(json);
                let rest = without_comment(rest.trim_start().trim_start_matches(',').trim_start());
                if !rest.is_empty() {
                    return self.wrong(opened, format!("{} follows the map '{name}'", quote(rest)));
                }
                break;
            }
            body.push_str(line);
            body.push('\n');
            line = match self.lines.next() {
                Some((_, line)) if line.trim_start().starts_with('#') => "",
                Some((_, line)) => line,
                None => {
                    return self.wrong(opened, format!("'{name}' is opened here and never closed"));
                }
            };
        }
        serde_json::from_str(&without_spare_commas(&body)).or_else(|error: serde_json::Error| {
            let line = opened.saturating_add(error.line().saturating_sub(1));
            let reason = match json::reason(&error) {
                reason if reason.starts_with("key must be a string") => {
                    format!("Expecting property name in double quotes: {reason}")
                }
                reason => reason,
            };
            self.wrong(line, format!("attribute '{name}' is not JSON: {reason}"))
        })
    }

    fn unescape(&self, line: usize, name: &str, value: &str) -> Result<String, ConfigError> {
        if !value.contains(['\\', '"']) {
            return Ok(value.to_owned());
        }
        // A tab is the one control character that may stand in a line.
        serde_json::from_str(&format!("\"{}\"", value.replace('\t', "\\t"))).or_else(|_| {
            self.wrong(
                line,
                format!(
                    "the value of '{name}' has a bare `\"` or a backslash that begins no JSON \
                     escape; write `\\\"` and `\\\\`"
                ),
            )
        })
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim_end()
}

/// Finds the brace that closes a JSON map, over several lines.
#[derive(Default)]
struct Braces {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Braces {
    /// Returns where the map ends in `line`, if it does: the place after its brace.
    fn end_in(&mut self, line: &str) -> Option<usize> {
        for (place, byte) in line.bytes().enumerate() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' => self.depth += 1,
                b'}' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(place + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// Removes commas before a closing brace or bracket, with blanks between them or not.
fn without_spare_commas(json: &str) -> String {
    let mut kept = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '}' | ']' if !in_string => {
                let end = kept.trim_end().len();
                if kept.get(..end).is_some_and(|text| text.ends_with(',')) {
                    // Line ends stay, so that errors name the right places.
                    kept.remove(end - 1);
                }
            }
            _ => {}
        }
        kept.push(c);
    }
    kept
}
