//! `skmanage`: reads and changes a running router with management requests.
//!
//! `arguments` reads the command line, `attributes` gives its values their types, and this file
//! sends the requests and prints the responses.

mod arguments;
mod attributes;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::Read;
use std::process::ExitCode;

use arguments::{Arguments, Entity, Operation, Work};
use serde_json::{Map, Value as Json};
use skupper_proto::amqp::Value;
use skupper_proto::management::{Request, Status, property};

use super::tools::json;
use super::tools::run::{Failure, run};
use crate::client::Node;

const NAME: &str = "skmanage";

/// The type of the management node itself.
const NODE_TYPE: &str = "org.amqp.management";

/// Most bytes read from standard input.
const INPUT_LIMIT: u64 = 64 * 1024 * 1024;

/// Runs the command. `args` are the arguments after the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    run(NAME, async |out| {
        let Work { arguments, operation } = match arguments::read(args)? {
            arguments::Wish::Print(text) => {
                out.push_str(&text);
                return Ok(());
            }
            arguments::Wish::Work(work) => *work,
        };
        let Arguments { connecting, indent } = arguments;
        // Before the connection: a wrong command line fails whatever the router would answer.
        let operation = prepare(operation)?;
        let (options, address) = connecting.options(NAME)?;
        let mut node = Node::connect(&options, &address).await?;
        let answer = perform(&mut node, operation).await;
        node.close().await;
        match answer? {
            Answer::Nothing => {}
            Answer::Text(text) => {
                out.push_str(&text);
                out.push('\n');
            }
            Answer::Json(answer) => {
                out.push_str(&json::for_terminal(&json::text(&answer, indent)));
                out.push('\n');
            }
        }
        Ok(())
    })
}

/// The requests to send, one after the other, and the use of their responses.
enum Prepared {
    /// A query for these attributes of a type.
    Query(Option<String>, Vec<String>),
    /// One request that must have this status.
    One(Request, Status, Show),
    /// Requests whose responses form a list.
    List(Vec<Request>, Status),
}

/// The form in which a response is printed.
enum Show {
    Nothing,
    Json,
    /// Text as it is, JSON otherwise, and an empty body not at all.
    Result,
}

/// The printed result.
enum Answer {
    Nothing,
    Text(String),
    Json(Json),
}

fn prepare(operation: Operation) -> Result<Prepared, Failure> {
    let node = |operation: &str, entity_type: Option<String>| {
        let request =
            Request::new(operation).with(property::TYPE, NODE_TYPE).with(property::NAME, "self");
        match entity_type {
            Some(entity_type) => request.with(property::ENTITY_TYPE, entity_type),
            None => request,
        }
    };
    Ok(match operation {
        Operation::Query { entity_type, attributes } => Prepared::Query(entity_type, attributes),
        Operation::Create { entity, attributes } => {
            bulk(&entity, attributes, Status::CREATED, create)?
        }
        Operation::Update { entity, attributes } => bulk(&entity, attributes, Status::OK, update)?,
        Operation::Read(entity) => Prepared::One(entity.request("READ"), Status::OK, Show::Json),
        Operation::Delete(entity) => {
            Prepared::One(entity.request("DELETE"), Status::NO_CONTENT, Show::Nothing)
        }
        Operation::Types { operation, entity_type } => {
            Prepared::One(node(operation, entity_type), Status::OK, Show::Json)
        }
        Operation::Other { operation, entity, properties, body } => {
            let mut request = entity.request(&operation);
            for (name, value) in properties {
                if request.property(&name).is_none() && !value.is_null() {
                    request = request.with(name, json::from_json(&value));
                }
            }
            let body =
                body.filter(|body| !attributes::is_empty(body)).map(|body| json::from_json(&body));
            Prepared::One(request.with_body(body.unwrap_or(Value::Null)), Status::OK, Show::Result)
        }
    })
}

/// Prepares a request from the attributes of the command line, or one for each map on standard
/// input.
fn bulk(
    entity: &Entity,
    given: Option<Map<String, Json>>,
    expected: Status,
    request: fn(&Entity, Map<String, Json>) -> Request,
) -> Result<Prepared, Failure> {
    let Some(attributes) = given else {
        let mut text = Vec::new();
        let read = std::io::stdin().lock().take(INPUT_LIMIT).read_to_end(&mut text);
        read.map_err(|error| Failure::Value(format!("stdin cannot be read: {error}")))?;
        let none = || Failure::Value("stdin is not a JSON map or list".to_owned());
        return match serde_json::from_slice(&text).map_err(Failure::Json)? {
            Json::Object(attributes) => {
                Ok(Prepared::One(request(entity, attributes), expected, Show::Json))
            }
            Json::Array(items) => {
                let requests = items.into_iter().map(|item| match item {
                    Json::Object(attributes) => Ok(request(entity, attributes)),
                    _ => Err(none()),
                });
                Ok(Prepared::List(requests.collect::<Result<_, _>>()?, expected))
            }
            _ => Err(none()),
        };
    };
    Ok(Prepared::One(request(entity, attributes), expected, Show::Json))
}

fn create(entity: &Entity, mut attributes: Map<String, Json>) -> Request {
    attributes::lengthen_type(&mut attributes);
    let entity = Entity { identity: None, ..entity.or(&attributes) };
    entity.request("CREATE").with_body(json::map(&attributes))
}

fn update(entity: &Entity, mut attributes: Map<String, Json>) -> Request {
    attributes::lengthen_type(&mut attributes);
    let request = entity.or(&attributes).request("UPDATE");
    attributes::words_to_flags(&mut attributes);
    request.with_body(json::map(&attributes))
}

async fn perform(node: &mut Node, prepared: Prepared) -> Result<Answer, Failure> {
    match prepared {
        Prepared::Query(entity_type, names) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let table = node.query(entity_type.as_deref(), &names, None).await?;
            let entity = |row: Vec<Value>| {
                let pairs = table
                    .attribute_names
                    .iter()
                    .zip(row)
                    .filter(|(_, value)| *value != Value::Null);
                Json::Object(
                    pairs.map(|(name, value)| (name.clone(), json::to_json(&value))).collect(),
                )
            };
            Ok(Answer::Json(Json::Array(table.results.into_iter().map(entity).collect())))
        }
        Prepared::One(request, expected, show) => {
            let body = json::to_json(&node.call(request, expected).await?);
            Ok(match (show, body) {
                (Show::Nothing, _) => Answer::Nothing,
                (Show::Result, body) if attributes::is_empty(&body) => Answer::Nothing,
                (Show::Result, Json::String(text)) => Answer::Text(text),
                (_, body) => Answer::Json(body),
            })
        }
        Prepared::List(requests, expected) => {
            let mut answers = Vec::with_capacity(requests.len());
            for request in requests {
                answers.push(json::to_json(&node.call(request, expected).await?));
            }
            Ok(Answer::Json(Json::Array(answers)))
        }
    }
}
