//! The reference configuration, which explains every attribute that a configuration file may set.
//!
//! `config/reference.conf` is this text, and a test compares the two. After a change of the table
//! make the file anew: `skrouterd --print-reference-config > config/reference.conf`.

use std::fmt::Write;

use super::{Attribute, Effect, EntityKind, Fixed, ValueType};

/// The longest line of an explanation, in characters.
const WIDTH: usize = 110;

const HEAD: &str = "\
skrouterd reference configuration

This file explains every entity and every attribute that a configuration file may hold. It is \
made from the router's own schema by `skrouterd --print-reference-config`, and can be loaded as \
it stands: a router on its own, with a port for clients on localhost.

A `#` with a blank after it begins an explanation; a `#` with no blank after it stands before a \
setting or a section that is not in force: take it away to use it. What is shown after an \
attribute is its default, or an example where it has none.

The same can be written in JSON, in a file whose name ends in .json: \
[[\"router\", {\"id\": \"north\"}], [\"listener\", {}]].
Names may be written with dashes or underscores (ssl-profile is sslProfile). Entities may stand \
in any order.";

/// The sections of the file that are in force, and their settings.
const IN_FORCE: &[(EntityKind, &[(&str, &str)])] = &[
    (EntityKind::Router, &[]),
    (EntityKind::Listener, &[("host", "localhost"), ("port", "amqp")]),
    (EntityKind::Log, &[("module", "DEFAULT"), ("enable", "info+")]),
    (EntityKind::ConfigAddress, &[("prefix", "mc"), ("distribution", "multicast")]),
];

/// Returns the text of the reference configuration.
pub fn render() -> String {
    let mut text = String::new();
    explain(&mut text, "", HEAD);
    let configuration = || EntityKind::all().filter(|kind| kind.is_configuration());
    for kind in configuration().filter(|kind| kind.effect() != Effect::Accepted) {
        section(&mut text, kind);
    }
    text.push('\n');
    explain(&mut text, "", &"=".repeat(WIDTH - 2));
    explain(&mut text, "", "The entities below are known and checked, but have no effect yet.");
    for kind in configuration().filter(|kind| kind.effect() == Effect::Accepted) {
        section(&mut text, kind);
    }
    text
}

fn section(text: &mut String, kind: EntityKind) {
    let settings = IN_FORCE.iter().find(|(known, _)| *known == kind).map(|(_, settings)| *settings);
    let hash = if settings.is_some() { "" } else { "#" };
    text.push('\n');
    explain(text, "", &"-".repeat(WIDTH - 2));
    explain(text, "", kind.section());
    explain(text, "", &format!("\n{}", kind.description()));
    line(text, &format!("{hash}{} {{", kind.section()));
    let name =
        kind.attribute("name").filter(|_| !matches!(kind, EntityKind::Router | EntityKind::Log));
    let all = name.into_iter().chain(kind.own_attributes()).chain(kind.further_attributes());
    for attribute in all.filter(|attribute| attribute.configurable()) {
        explain(text, "    ", attribute.description);
        explain(text, "    ", &facts(kind, attribute));
        if kind.further_attributes().iter().any(|further| further.name == attribute.name) {
            explain(text, "    ", "A C router does not know it.");
        }
        let in_force = settings.into_iter().flatten().find(|(name, _)| *name == attribute.name);
        let hash = if in_force.is_some() { "" } else { "#" };
        let value = in_force.map_or_else(|| shown(attribute), |(_, value)| (*value).to_owned());
        match attribute.kind {
            ValueType::Map | ValueType::Properties => {
                line(text, &format!("    {hash}{}: {{", attribute.name));
                value.lines().for_each(|member| line(text, &format!("    {hash}{member}")));
                line(text, &format!("    {hash}}}"));
            }
            _ => line(text, &format!("    {hash}{}: {value}", attribute.name)),
        }
        text.push('\n');
    }
    // Removes the blank line after the last attribute.
    text.truncate(text.trim_end().len());
    text.push('\n');
    line(text, &format!("{hash}}}"));
}

/// Returns type, range, default and effect, in one sentence each.
fn facts(kind: EntityKind, attribute: &Attribute) -> String {
    let mut facts = match attribute.kind {
        ValueType::Enum(words) => format!("One of {}", words.join(", ")),
        ValueType::Boolean => "Boolean, yes or no".to_owned(),
        ValueType::Properties => "Map with ASCII keys".to_owned(),
        other => {
            let name = other.name();
            let (first, rest) = name.split_at_checked(1).unwrap_or((name, ""));
            format!("{}{rest}", first.to_ascii_uppercase())
        }
    };
    if !attribute.unit.is_empty() {
        _ = write!(facts, ", in {}", attribute.unit);
    }
    match attribute.range {
        Some((least, i64::MAX)) => _ = write!(facts, ", {least} or more"),
        Some((least, most)) => _ = write!(facts, ", {least} to {most}"),
        None => {}
    }
    if attribute.zero_is_unset {
        facts.push_str("; 0 is the same as not set");
    }
    match (attribute.required, attribute.implied.or(attribute.default), attribute.unset) {
        (true, ..) => facts.push_str(". Required"),
        (_, Some(default), _) => _ = write!(facts, ". Default: {}", written(default)),
        (_, None, "") => facts.push_str(". No default"),
        (_, None, unset) => _ = write!(facts, ". Default: {unset}"),
    }
    match attribute.effect {
        _ if kind.effect() == Effect::Accepted => {}
        Effect::Accepted => facts.push_str(". Has no effect yet"),
        Effect::Works | Effect::Guards if !attribute.pending.is_empty() => {
            _ = write!(
                facts,
                ". Works, except these words, which have no effect yet: {}",
                attribute.pending.join(", ")
            );
        }
        Effect::Works | Effect::Guards => facts.push_str(". Works"),
    }
    if attribute.update {
        facts.push_str(". Can be changed while the router runs");
    }
    facts.push('.');
    facts
}

fn written(value: Fixed) -> String {
    match value {
        Fixed::Text("") => "empty".to_owned(),
        Fixed::Text(text) => text.to_owned(),
        Fixed::Number(number) => number.to_string(),
        Fixed::Flag(true) => "yes".to_owned(),
        Fixed::Flag(false) => "no".to_owned(),
    }
}

/// Returns the value after the attribute's name: its default if that can be written, else an
/// example.
fn shown(attribute: &Attribute) -> String {
    match (attribute.default.or(attribute.implied), attribute.example) {
        (None | Some(Fixed::Text("")), Some(example)) => example.to_owned(),
        (Some(default), _) => written(default),
        (None, None) => String::new(),
    }
}

/// Writes `what` as comments, broken at blanks. Line ends in it stay.
fn explain(text: &mut String, indent: &str, what: &str) {
    for paragraph in what.lines() {
        let mut row = format!("{indent}#");
        for word in paragraph.split_whitespace() {
            if row.chars().count() + 1 + word.chars().count() > WIDTH {
                line(text, &row);
                row = format!("{indent}#");
            }
            row.push(' ');
            row.push_str(word);
        }
        line(text, &row);
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}
