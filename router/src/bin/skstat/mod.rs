//! `skstat`: shows the state of a running router, or of every router of a network.
//!
//! * `arguments` reads the command line.
//! * `view` lists the questions of each view, and `answers` holds the responses.
//! * `render` makes tables of them. `table` and `cell` print these byte for byte as the C router's
//!   tool does.
//!
//! This file asks the routers and joins the parts.

mod answers;
mod arguments;
mod cell;
mod render;
mod table;
#[cfg(test)]
mod tests;
mod view;

use std::ffi::OsString;
use std::fmt::Write;
use std::process::ExitCode;

use answers::{Answers, Entities};
use arguments::{Arguments, Target};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value as Json, json};
use skupper_proto::amqp::Value;
use skupper_proto::management::{Request, Status, property};
use view::{Question, View};

use super::tools::json;
use super::tools::run::{Failure, run};
use crate::client::{ClientError, Node};

const NAME: &str = "skstat";

/// Runs the command. `args` are the arguments after the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    run(NAME, async |out| {
        let arguments = match arguments::read(args)? {
            arguments::Wish::Print(text) => {
                out.push_str(&text);
                return Ok(());
            }
            arguments::Wish::Show(arguments) => *arguments,
        };
        let Arguments { connecting, show, target } = arguments;
        let (options, address) = connecting.options(NAME)?;
        let mut node = Node::connect(&options, &address).await?;
        let shown = display(&mut node, &show, target, out).await;
        node.close().await;
        shown
    })
}

/// The view of each router, and its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Show {
    view: View,
    verbose: bool,
    limit: Option<usize>,
    csv: bool,
    json: bool,
}

/// Asks the routers, and appends the result to `out`.
async fn display(
    node: &mut Node,
    show: &Show,
    target: Target,
    out: &mut String,
) -> Result<(), Failure> {
    let addresses = match target {
        Target::One => Vec::new(),
        Target::All => management_nodes(node).await?,
    };
    let mut routers = Vec::new();
    if addresses.len() < 2 {
        let answers = ask_all(node, show).await?;
        let id = match show.view.has_head() || show.json {
            true => Some(router_id(node).await?),
            false => None,
        };
        if show.json {
            routers.push(of_router(id, &answers));
        } else {
            if let Some(id) = id {
                let _ = writeln!(out, "{}\n{id}\n", now());
            }
            out.push_str(&text(show, &answers, &TimeZone::system()));
        }
    } else {
        if !show.json {
            let _ = writeln!(out, "{}", now());
        }
        for address in addresses {
            let id = address.split('/').nth(3).unwrap_or_default().to_owned();
            node.turn_to(address.strip_prefix("amqp:/").unwrap_or(&address)).await?;
            let answers = ask_all(node, show).await?;
            if show.json {
                routers.push(of_router(Some(id), &answers));
            } else {
                let _ =
                    writeln!(out, "Router  {id}\n\n{}", text(show, &answers, &TimeZone::system()));
            }
        }
    }
    if show.json {
        let document = json!({ "time": Timestamp::now().to_string(), "routers": routers });
        let _ = writeln!(out, "{}", json::for_terminal(&json::text(&document, Some(2))));
    }
    Ok(())
}

/// Returns one view, or all of them with an empty line between. The log's times are in `zone`.
fn text(show: &Show, answers: &Answers, zone: &TimeZone) -> String {
    let views = show.view.parts();
    let mut text = String::new();
    for view in views {
        for block in render::render(*view, answers, show.verbose, zone) {
            block.print(show.csv, &mut text);
        }
        if show.view == View::AllEntities {
            text.push('\n');
        }
    }
    text
}

fn of_router(id: Option<String>, answers: &Answers) -> Json {
    let mut members = Map::new();
    members.insert("id".to_owned(), id.into());
    members.extend(answers.json());
    Json::Object(members)
}

/// Returns the current time in the form of the first line.
fn now() -> String {
    Timestamp::now().to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S.%6f+00:00 UTC").to_string()
}

async fn ask_all(node: &mut Node, show: &Show) -> Result<Answers, ClientError> {
    let mut answers = Answers::default();
    for view in show.view.parts() {
        for question in view.questions() {
            if !answers.has(question.key()) {
                let answer = ask(node, question, show.limit).await?;
                answers.add(question.key(), answer);
            }
        }
    }
    Ok(answers)
}

async fn ask(
    node: &mut Node,
    question: &Question,
    limit: Option<usize>,
) -> Result<Entities, ClientError> {
    match question {
        Question::Query { entity_type, attributes, limited, optional, .. } => {
            let rows = limit.filter(|_| *limited);
            match node.query(Some(entity_type), attributes, rows).await {
                Ok(table) => Ok(Entities::from(table)),
                // An older router does not know this type.
                Err(ClientError::Status { .. }) if *optional => Ok(Entities::default()),
                Err(error) => Err(error),
            }
        }
        Question::Log => {
            let request = node_request("GET-LOG");
            let request = match limit.and_then(|limit| i64::try_from(limit).ok()) {
                Some(limit) => request.with(property::LIMIT, limit),
                None => request,
            };
            Ok(Entities::from_log(node.call(request, Status::OK).await?))
        }
        Question::Schema => {
            Ok(Entities::from_schema(node.call(node_request("GET-SCHEMA"), Status::OK).await?))
        }
    }
}

fn node_request(operation: &str) -> Request {
    Request::new(operation).with(property::TYPE, "org.amqp.management").with(property::NAME, "self")
}

async fn management_nodes(node: &mut Node) -> Result<Vec<String>, ClientError> {
    let body = node.call(node_request("GET-MGMT-NODES"), Status::OK).await?;
    Ok(body
        .as_list()
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_text)
        .map(str::to_owned)
        .collect())
}

async fn router_id(node: &mut Node) -> Result<String, ClientError> {
    let table = node.query(Some("io.skupper.router.routerMetrics"), &[], None).await?;
    Ok(Entities::from(table).rows().next().map(|row| cell::text(row.get("id"))).unwrap_or_default())
}
