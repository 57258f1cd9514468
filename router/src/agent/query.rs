//! QUERY, GET-MGMT-NODES and GET-LOG.

use std::collections::VecDeque;

use skupper_proto::amqp::Value;
use skupper_proto::management::{MAX_RESPONSE, Request, Status, Table, property};

use super::columns::{columns, stands_apart};
use super::directory::{Directory, Entities, LogLine, Page, Record, Refusal};
use super::outcome::{Outcome, itself, kind};
use super::{describe, value};
use crate::schema::{Attribute, EntityKind};

/// Names that a query may ask for, at most: twice the attributes of the whole schema.
const MAX_NAMES: usize = 512;

/// Bytes that the rows of an answer may have, by a rough count: half of a response.
const MAX_ROWS: usize = MAX_RESPONSE / 2;

/// A query in progress.
pub(super) struct Query<'a, D> {
    directory: &'a D,
    table: Table,
    /// The columns are those of the one type that is asked for.
    fixed: bool,
    /// A rough count of the bytes of the rows.
    weight: usize,
    skip: usize,
    left: usize,
    /// The types that are left.
    kinds: VecDeque<EntityKind>,
    /// The entities of the present type that are left.
    entities: Entities<'a>,
}

/// Begins a query for entities of a type and of those that extend it, or of all types.
pub(super) fn query<'a, D: Directory>(
    directory: &'a D,
    request: &Request,
) -> Result<Query<'a, D>, Refusal> {
    let requested = match (request.text(property::ENTITY_TYPE), request.text(property::TYPE)) {
        (Some(name), _) => Some(kind(name)?),
        // A request may name a type that stands apart as its target.
        (None, Some(name)) => Some(kind(name)?).filter(|kind| columns(*kind).is_some()),
        (None, None) => None,
    };
    let page = page(request);
    let fixed = requested.and_then(columns);
    let names = names(&request.body, requested, fixed)?;
    let table = Table { attribute_names: names, results: Vec::new() };
    let query = |entities, kinds, page: Page| Query {
        directory,
        table,
        fixed: fixed.is_some(),
        weight: 0,
        skip: page.offset,
        left: page.count,
        kinds,
        entities,
    };
    Ok(match (requested, fixed) {
        (Some(requested), Some(_)) => {
            query(directory.entities(requested, page), VecDeque::new(), Page::ALL)
        }
        _ => {
            let kinds = EntityKind::all().filter(|kind| !stands_apart(*kind));
            let kinds =
                kinds.filter(|kind| requested.is_none_or(|requested| kind.extends(requested)));
            query(Box::new(std::iter::empty()), kinds.collect(), page)
        }
    })
}

impl<D: Directory> Query<'_, D> {
    /// Looks at entities until none is left, or until `enough` says so behind one. Then it returns
    /// `None`.
    pub(super) fn step(&mut self, mut enough: impl FnMut() -> bool) -> Option<Outcome> {
        while self.left > 0 {
            let Some(record) = self.entities.next() else {
                let Some(kind) = self.kinds.pop_front() else { break };
                self.entities = match kind {
                    EntityKind::Management => Box::new(std::iter::once(itself())),
                    _ => self.directory.entities(kind, Page::ALL),
                };
                continue;
            };
            if self.skip > 0 {
                self.skip -= 1;
            } else {
                match self.add(&record) {
                    Ok(added) => self.left -= usize::from(added),
                    Err(refusal) => return Some(Err(refusal)),
                }
            }
            if enough() {
                return None;
            }
        }
        Some(Ok((Status::OK, std::mem::take(&mut self.table).into_body())))
    }

    fn add(&mut self, record: &Record) -> Result<bool, Refusal> {
        let names = &self.table.attribute_names;
        let row: Vec<Value> =
            names.iter().map(|name| record.get(name).cloned().unwrap_or_default()).collect();
        // A row of nulls is left out, except where there are columns.
        if !self.fixed && row.iter().all(|value| *value == Value::Null) {
            return Ok(false);
        }
        self.weight += row.iter().map(weigh).sum::<usize>();
        if self.weight > MAX_ROWS {
            return Err(Refusal::bad(format!(
                "The answer is larger than {} MiB: ask for fewer entities at a time, with offset \
                 and count",
                MAX_ROWS / 1024 / 1024
            )));
        }
        self.table.results.push(row);
        Ok(true)
    }
}

/// Returns the part of the results that is asked for. A count below zero is all.
fn page(request: &Request) -> Page {
    let of = |name| request.integer(name).and_then(|number| usize::try_from(number).ok());
    Page {
        offset: of(property::OFFSET).unwrap_or_default(),
        count: of(property::COUNT).unwrap_or(usize::MAX),
    }
}

/// Returns the names of the columns: those of the request, or all.
fn names(
    body: &Value,
    requested: Option<EntityKind>,
    fixed: Option<&'static [&'static str]>,
) -> Result<Vec<String>, Refusal> {
    let kinds =
        || EntityKind::all().filter(|kind| requested.is_none_or(|requested| *kind == requested));
    let of_schema = || distinct(kinds().flat_map(EntityKind::common_attributes));
    let all = || fixed.map_or_else(of_schema, <[_]>::to_vec);
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let no_names = || {
        Refusal::bad(format!(
            "The body of a query is a map, and {} in it is a list of names",
            Table::NAMES
        ))
    };
    let asked = match (body, body.get(Table::NAMES)) {
        (Value::Null, _) | (Value::Map(_), None | Some(Value::Null)) => return Ok(owned(all())),
        (Value::Map(_), Some(asked)) => match asked.as_list() {
            Some(asked) => asked,
            None if fixed.is_some() => return Ok(owned(all())),
            None => return Err(no_names()),
        },
        _ => return Err(no_names()),
    };
    if asked.is_empty() {
        return Ok(owned(all()));
    }
    if asked.len() > MAX_NAMES {
        return Err(Refusal::bad(format!(
            "{} attributes are asked for, and at most {MAX_NAMES} may be",
            asked.len()
        )));
    }
    // Columns that a type does not have are null, because tools ask for some of other releases.
    if fixed.is_some() {
        return Ok(asked
            .iter()
            .map(|name| name.as_text().unwrap_or_default().to_owned())
            .collect());
    }
    let known = distinct(kinds().flat_map(EntityKind::attributes));
    let texts: Vec<&str> = asked.iter().map(|name| name.as_text().unwrap_or_default()).collect();
    let mut unknown: Vec<&str> = Vec::new();
    for name in texts.iter().filter(|name| !known.contains(*name)) {
        if !unknown.contains(name) {
            unknown.push(name);
        }
    }
    if !unknown.is_empty() {
        let of_type =
            requested.map(|kind| format!(" for type {}", kind.long_name())).unwrap_or_default();
        return Err(Refusal::not_found(format!(
            "Unknown attributes {}{of_type}.",
            describe::list(&unknown)
        )));
    }
    Ok(owned(texts))
}

/// Returns the names of attributes, each once.
fn distinct(attributes: impl Iterator<Item = &'static Attribute>) -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for attribute in attributes {
        if !names.contains(&attribute.name) {
            names.push(attribute.name);
        }
    }
    names
}

/// Returns a rough count of the bytes that a value takes, in memory or on the wire.
fn weigh(value: &Value) -> usize {
    let inner = match value {
        Value::String(text) => text.len(),
        Value::List(items) | Value::Array(items) => items.iter().map(weigh).sum(),
        Value::Map(pairs) => pairs.iter().map(|(key, value)| weigh(key) + weigh(value)).sum(),
        _ => 0,
    };
    inner + 16
}

/// Returns the addresses of the management nodes of all routers. Without a network there are none.
pub(super) fn nodes(directory: &impl Directory) -> Value {
    let records = directory.entities(EntityKind::Node, Page::ALL);
    let address = |record: &Record| {
        Value::string(format!(
            "amqp:/_topo/0/{}/$management",
            record.text("id").unwrap_or_default()
        ))
    };
    Value::List(records.map(|record| address(&record)).collect())
}

/// Returns the last lines of the log.
pub(super) fn log(directory: &impl Directory, request: &Request) -> Outcome {
    let limit = match (request.property(property::LIMIT), request.integer(property::LIMIT)) {
        (None | Some(Value::Null), _) => None,
        // A limit of zero is no limit, because an answer without lines would be pointless.
        (_, Some(limit)) => usize::try_from(limit).ok().filter(|limit| *limit > 0),
        (Some(_), None) => return Err(Refusal::bad("The limit is no integer")),
    };
    let row = |line: LogLine| {
        let source = |value: Option<Value>| value.unwrap_or_default();
        Value::List(vec![
            Value::string(line.module),
            Value::string(line.level),
            Value::string(line.text),
            source(line.source.map(|(file, _)| Value::string(file))),
            source(line.source.map(|(_, line)| value::integer(line.into()))),
            value::integer(line.seconds),
        ])
    };
    Ok((Status::OK, Value::List(directory.log(limit).into_iter().map(row).collect())))
}
