//! QUERY, GET-MGMT-NODES and GET-LOG.

use super::columns::{columns, stands_apart};
use super::directory::{Directory, Page, Record, Refusal};
use super::handle::{Outcome, itself, kind};
use super::{describe, value};
use crate::schema::{self, EntityType};
use skupper_proto::amqp::Value;
use skupper_proto::management::{MAX_RESPONSE, Request, Status, Table, property};

/// Most names that a query may ask for: twice the attributes of the whole schema.
const MAX_NAMES: usize = 512;

/// Octets that the rows of an answer may have, by a rough count: half of what a response may have.
const MAX_ROWS: usize = MAX_RESPONSE / 2;

/// Answers a query: entities of a type and of those that extend it, or of all types.
pub(super) fn query(directory: &impl Directory, request: &Request) -> Outcome {
    let requested = match (request.text(property::ENTITY_TYPE), request.text(property::TYPE)) {
        (Some(name), _) => Some(kind(name)?),
        // What stands apart may be named as that which is asked to do something.
        (None, Some(name)) => Some(kind(name)?).filter(|kind| columns(kind).is_some()),
        (None, None) => None,
    };
    let page = page(request);
    let fixed = requested.and_then(columns);
    let names = names(&request.body, requested, fixed)?;
    let mut table = Table { attribute_names: names, results: Vec::new() };
    let mut weight = 0;
    let mut add = |record: &Record| {
        let row: Vec<Value> = table.attribute_names.iter().map(|name| record.get(name).cloned().unwrap_or_default()).collect();
        // A row that says nothing is left out, except where there are columns.
        if fixed.is_none() && row.iter().all(|value| *value == Value::Null) {
            return Ok(false);
        }
        weight += row.iter().map(weigh).sum::<usize>();
        if weight > MAX_ROWS {
            return Err(Refusal::bad(format!(
                "The answer is larger than {} MiB: ask for fewer entities at a time, with offset and count",
                MAX_ROWS / 1024 / 1024
            )));
        }
        table.results.push(row);
        Ok(true)
    };
    if let (Some(requested), Some(_)) = (requested, fixed) {
        for record in directory.entities(requested, page) {
            add(&record)?;
        }
        return Ok((Status::OK, table.into_body()));
    }
    let mut skip = page.offset;
    let mut left = page.count;
    let kinds = schema::entity_types().filter(|kind| !stands_apart(kind));
    for kind in kinds.filter(|kind| requested.is_none_or(|requested| kind.extends(requested))) {
        let records = if kind.name == "management" { vec![itself()] } else { directory.entities(kind, Page::ALL) };
        for record in records {
            if left == 0 {
                return Ok((Status::OK, table.into_body()));
            }
            if skip > 0 {
                skip -= 1;
            } else if add(&record)? {
                left -= 1;
            }
        }
    }
    Ok((Status::OK, table.into_body()))
}

/// The part of the results that is asked for; a count below zero is all.
fn page(request: &Request) -> Page {
    let of = |name| request.integer(name).and_then(|number| usize::try_from(number).ok());
    Page { offset: of(property::OFFSET).unwrap_or_default(), count: of(property::COUNT).unwrap_or(usize::MAX) }
}

/// The names of the columns: those asked for, or all there are.
fn names(
    body: &Value,
    requested: Option<&'static EntityType>,
    fixed: Option<&'static [&'static str]>,
) -> Result<Vec<String>, Refusal> {
    let of_schema = || {
        let kinds = schema::entity_types().filter(|kind| requested.is_none_or(|requested| kind.name == requested.name));
        let mut names: Vec<&str> = Vec::new();
        for attribute in kinds.flat_map(EntityType::attributes) {
            if !names.contains(&attribute.name) {
                names.push(attribute.name);
            }
        }
        names
    };
    let all = || fixed.map_or_else(of_schema, <[_]>::to_vec);
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let no_names = || Refusal::bad(format!("The body of a query is a map, and {} in it is a list of names", Table::NAMES));
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
        return Err(Refusal::bad(format!("{} attributes are asked for, and at most {MAX_NAMES} may be", asked.len())));
    }
    // Columns that a type does not have are null: tools ask for some of other releases.
    if fixed.is_some() {
        return Ok(asked.iter().map(|name| name.as_text().unwrap_or_default().to_owned()).collect());
    }
    let known = all();
    let texts: Vec<&str> = asked.iter().map(|name| name.as_text().unwrap_or_default()).collect();
    let mut unknown: Vec<&str> = Vec::new();
    for name in texts.iter().filter(|name| !known.contains(*name)) {
        if !unknown.contains(name) {
            unknown.push(name);
        }
    }
    if !unknown.is_empty() {
        let of_type = requested.map(|kind| format!(" for type {}", kind.long_name())).unwrap_or_default();
        return Err(Refusal::not_found(format!("Unknown attributes {}{of_type}.", describe::list(&unknown))));
    }
    Ok(owned(texts))
}

/// A rough count of the octets that a value takes, in memory or on the wire.
fn weigh(value: &Value) -> usize {
    let inner = match value {
        Value::String(text) => text.len(),
        Value::List(items) | Value::Array(items) => items.iter().map(weigh).sum(),
        Value::Map(pairs) => pairs.iter().map(|(key, value)| weigh(key) + weigh(value)).sum(),
        _ => 0,
    };
    inner + 16
}

/// The addresses of the management nodes of all routers of the network; none where there is no network.
pub(super) fn nodes(directory: &impl Directory) -> Value {
    let kind = schema::entity_types().find(|kind| kind.name == "router.node");
    let records = kind.map(|kind| directory.entities(kind, Page::ALL)).unwrap_or_default();
    let address = |record: &Record| Value::string(format!("amqp:/_topo/0/{}/$management", record.text("id").unwrap_or_default()));
    Value::List(records.iter().map(address).collect())
}

/// The last lines of the log.
pub(super) fn log(directory: &impl Directory, request: &Request) -> Outcome {
    let limit = match (request.property(property::LIMIT), request.integer(property::LIMIT)) {
        (None | Some(Value::Null), _) => None,
        // None at all would be pointless: it is as good as no limit.
        (_, Some(limit)) => usize::try_from(limit).ok().filter(|limit| *limit > 0),
        (Some(_), None) => return Err(Refusal::bad("The limit is no integer")),
    };
    let row = |line: super::LogLine| {
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
