//! The JSON form: `[["router", {"id": "north"}], ...]`, with lines of comments that begin with `#`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::{ConfigError, Section};

/// Reads the sections of `text`. The JSON reader limits the depth of values.
pub(super) fn sections(file: &str, text: &str) -> Result<Vec<Section>, ConfigError> {
    let text = without_comments(text.trim_start_matches('\u{feff}'), |line| {
        line.trim_start().starts_with('#')
    });
    let pairs: Vec<Pair> = serde_json::from_str(&text).map_err(|error| {
        let what = if error.is_data() { "not a configuration" } else { "not JSON" };
        ConfigError::syntax(
            file,
            Some(error.line()),
            format!("column {}: {what}: {}", error.column(), reason(&error)),
        )
    })?;
    Ok(pairs
        .into_iter()
        .map(|Pair { kind, attributes }| Section {
            file: file.to_owned(),
            line: None,
            kind,
            attributes: attributes.0,
        })
        .collect())
}

/// Returns the reason for an error in one short line, without its place.
pub(super) fn reason(error: &serde_json::Error) -> String {
    const SHOWN: usize = 160;
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    reason.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

/// Empties lines of comments. Their ends stay, so that errors name the right places.
pub(super) fn without_comments(text: &str, is_comment: impl Fn(&str) -> bool) -> Cow<'_, str> {
    if !text.lines().any(&is_comment) {
        return Cow::Borrowed(text);
    }
    let kept: Vec<_> =
        text.split('\n').map(|line| if is_comment(line) { "" } else { line }).collect();
    Cow::Owned(kept.join("\n"))
}

struct Pair {
    kind: String,
    attributes: Attributes,
}

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairVisitor;

        impl<'de> Visitor<'de> for PairVisitor {
            type Value = Pair;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of the type of an entity and its attributes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Pair, A::Error> {
                let kind =
                    pair.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let attributes =
                    pair.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
                match pair.next_element::<serde::de::IgnoredAny>()? {
                    None => Ok(Pair { kind, attributes }),
                    Some(_) => Err(A::Error::invalid_length(3, &self)),
                }
            }
        }

        deserializer.deserialize_seq(PairVisitor)
    }
}

/// Attributes in the order of the text. One may occur twice.
struct Attributes(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AttributesVisitor;

        impl<'de> Visitor<'de> for AttributesVisitor {
            type Value = Attributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
                let mut attributes = Vec::new();
                while let Some(attribute) = map.next_entry()? {
                    attributes.push(attribute);
                }
                Ok(Attributes(attributes))
            }
        }

        deserializer.deserialize_map(AttributesVisitor)
    }
}
