//! Warnings about a configuration: settings without effect, and passwords in the open.

use super::Located;
use crate::schema::{Attribute, Effect, EntityKind, Password, Value};

/// Returns a line for each type or attribute that is set and has no effect, and for each password
/// in the open.
pub(super) fn of(all: &[Located]) -> Vec<String> {
    let mut idle = Idle::default();
    let mut others = Vec::new();
    for located in all {
        let Located { file, label, entity } = located;
        let kind = entity.kind();
        let mut set =
            entity.values().filter(|(attribute, value)| differs(attribute, value)).peekable();
        if kind.effect() == Effect::Accepted {
            // The router makes missing singletons itself, so a plain one deserves no warning.
            if !kind.is_singleton() || set.peek().is_some() {
                idle.add(
                    format!("{} has no effect yet", kind.section()),
                    format!("{file}: {label}"),
                );
            }
            continue;
        }
        for (attribute, value) in set {
            if let Some(problem) = no_effect(attribute, value) {
                idle.add(problem, format!("{file}: {label}"));
            }
        }
        let open = match kind {
            EntityKind::SslProfile => entity
                .text("password")
                .filter(|text| Password::parse(text).is_plain())
                .map(|_| "password"),
            EntityKind::Connector => entity
                .text("saslPassword")
                .filter(|text| Password::parse_sasl(text).is_plain())
                .map(|_| "saslPassword"),
            _ => None,
        };
        if let Some(attribute) = open {
            others.push(format!(
                "{file}: {label}: attribute '{attribute}' is a password in the open; keep it in \
                 a file (file:PATH) or in the environment (env:NAME)"
            ));
        }
    }
    let mut warnings = idle.lines();
    warnings.append(&mut others);
    warnings
}

fn no_effect(attribute: &Attribute, value: &Value) -> Option<String> {
    let name = attribute.name;
    match value.as_str().filter(|word| attribute.pending.contains(word)) {
        Some(word) => Some(format!("attribute '{name}': '{word}' has no effect yet")),
        None if !attribute.configurable() => {
            Some(format!("attribute '{name}' is for the router to set; it is ignored"))
        }
        None if attribute.effect == Effect::Accepted => {
            Some(format!("attribute '{name}' has no effect yet"))
        }
        None => None,
    }
}

/// Returns whether the value says anything: it is not the default, not the implied value, and not
/// empty.
fn differs(attribute: &Attribute, value: &Value) -> bool {
    let usual = [attribute.default, attribute.implied]
        .into_iter()
        .flatten()
        .any(|usual| usual.value() == *value);
    let nothing = match value {
        Value::String(text) => text.is_empty(),
        Value::Integer(0) => attribute.zero_is_unset,
        Value::Map(map) => map.is_empty(),
        Value::List(list) => list.is_empty(),
        _ => false,
    };
    !usual && !nothing && !matches!(attribute.name, "name" | "identity" | "type")
}

/// Problems with the places that have them, in the order of the first.
#[derive(Default)]
struct Idle(Vec<(String, Vec<String>)>);

impl Idle {
    fn add(&mut self, problem: String, place: String) {
        match self.0.iter_mut().find(|(other, _)| *other == problem) {
            Some((_, places)) => places.push(place),
            None => self.0.push((problem, vec![place])),
        }
    }

    fn lines(self) -> Vec<String> {
        let line = |(problem, places): (String, Vec<String>)| {
            let first = places.first().map(String::as_str).unwrap_or_default();
            match places.len() {
                0 | 1 => format!("{first}: {problem}"),
                2 => format!("{first}: {problem} (nor in another place)"),
                more => format!("{first}: {problem} (nor in {} other places)", more - 1),
            }
        };
        self.0.into_iter().map(line).collect()
    }
}
