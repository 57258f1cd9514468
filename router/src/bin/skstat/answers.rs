//! A router's responses, as entities with attributes.

use serde_json::{Map, Value as Json};
use skupper_proto::amqp::Value;
use skupper_proto::management::Table;

use crate::bin::tools::json::to_json;

/// Entities of one type.
#[derive(Debug, Default)]
pub(super) struct Entities {
    table: Table,
    /// True for a single document instead of a list.
    single: bool,
}

/// An entity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    names: &'a [String],
    values: &'a [Value],
}

impl From<Table> for Entities {
    fn from(table: Table) -> Self {
        Self { table, single: false }
    }
}

/// The parts of a log line, in order.
const LOG_COLUMNS: [&str; 6] = ["module", "level", "text", "file", "line", "time"];

impl Entities {
    /// Reads the response to GET-LOG: a list of lines, each a list of parts.
    pub(super) fn from_log(body: Value) -> Self {
        let lines = match body {
            Value::List(lines) => lines,
            _ => Vec::new(),
        };
        let results = lines.into_iter().map(|line| match line {
            Value::List(parts) => parts,
            _ => Vec::new(),
        });
        let attribute_names = LOG_COLUMNS.map(str::to_owned).to_vec();
        Self { table: Table { attribute_names, results: results.collect() }, single: false }
    }

    /// Reads the response to GET-SCHEMA: a map.
    pub(super) fn from_schema(body: Value) -> Self {
        Self {
            table: Table { attribute_names: vec!["schema".to_owned()], results: vec![vec![body]] },
            single: true,
        }
    }

    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        self.table.results.iter().map(|values| Row { names: &self.table.attribute_names, values })
    }

    pub(super) fn first(&self) -> Option<Row<'_>> {
        self.rows().next()
    }

    /// Returns true if the router knows this attribute.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.column(name).is_some()
    }

    fn json(&self) -> Json {
        if self.single {
            return self.first().map_or(Json::Null, |row| to_json(row.get("schema")));
        }
        let object = |row: Row<'_>| {
            let known = row
                .names
                .iter()
                .zip(row.values)
                .filter(|(name, value)| !name.is_empty() && **value != Value::Null);
            Json::Object(known.map(|(name, value)| (name.clone(), to_json(value))).collect())
        };
        Json::Array(self.rows().map(object).collect())
    }
}

impl<'a> Row<'a> {
    /// Returns an attribute's value, or null without one. If a router names a column twice, the
    /// last one counts.
    pub(super) fn get(self, name: &str) -> &'a Value {
        let at = self.names.iter().rposition(|column| column == name);
        at.and_then(|at| self.values.get(at)).unwrap_or(&Value::Null)
    }

    /// Returns an attribute's text; empty for other values.
    pub(super) fn text(self, name: &str) -> &'a str {
        self.get(name).as_text().unwrap_or_default()
    }
}

/// The responses to all questions of a view.
#[derive(Debug, Default)]
pub(super) struct Answers(Vec<(&'static str, Entities)>);

impl Answers {
    pub(super) fn add(&mut self, key: &'static str, entities: Entities) {
        self.0.push((key, entities));
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entities> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, entities)| entities)
    }

    /// Returns all responses as members of a JSON object, except the schema.
    pub(super) fn json(&self) -> Map<String, Json> {
        let said = self.0.iter().filter(|(key, _)| *key != "schema");
        said.map(|(key, entities)| ((*key).to_owned(), entities.json())).collect()
    }
}
