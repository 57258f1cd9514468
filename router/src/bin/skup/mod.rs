//! `skup`: asks running routers through their admin sockets, and shows the product with `skup
//! demo`.
//!
//! `arguments` reads the command line, `client` asks, `print` puts answers into words, and `demo`
//! runs two sites. This file joins them and decides the exit status: 0 for yes, 1 for no or a
//! failure, 2 for a wrong command line.

mod arguments;
mod client;
mod demo;
mod print;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use arguments::{Arguments, Command};
use client::ClientError;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use crate::admin::model::{
    Address, Connection, Direction, Link, LinkState, Router, Service, Status, Version,
};
use crate::bin::tools::json;

/// Pause of `--wait` between two questions.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Most bytes read of a password.
const LONGEST_LINE: u64 = 4096;

/// Runs the command. `args` are the arguments after the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some((command, rest)) = args.split_first()
        && command == demo::CHILD_COMMAND
    {
        return demo::child(rest);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "skup: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    ExitCode::from(runtime.block_on(run(args, &mut std::io::stdout(), &mut std::io::stderr())))
}

/// Runs the command with the given outputs, and returns the exit status. A reader that closes the
/// output, such as `head`, is no failure.
async fn run(args: Vec<OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let arguments = match arguments::parse(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = writeln!(err, "{error}");
            return 2;
        }
    };
    let outcome = match arguments.command {
        Command::Help(text) => Ok((text.to_owned(), 0)),
        Command::Password { user } => return password(&user, out, err),
        Command::Demo { once } => return demo::run(once, out, err).await,
        _ => ask(arguments).await,
    };
    match outcome {
        Ok((text, status)) => match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                let _ = writeln!(err, "skup: the answer cannot be written: {error}");
                1
            }
            _ => status,
        },
        Err(error) => {
            let _ = writeln!(err, "skup: {}", crate::text::lines(&error.to_string()));
            1
        }
    }
}

async fn ask(arguments: Arguments) -> Result<(String, u8), ClientError> {
    let Arguments { command, json, socket } = arguments;
    if let Command::LinkStatus { name, wait } = command {
        return link_status(name.as_deref(), wait, socket.as_deref(), json).await;
    }
    let socket = client::find(socket.as_deref())?;
    let show = Show { socket: &socket, json };
    match command {
        Command::Status => show.route("/status", |status: &Status| print::status(status)).await,
        Command::LinkList => show.route("/links", |links: &Vec<Link>| print::links(links)).await,
        Command::ServiceList => {
            show.route("/services", |services: &Vec<Service>| print::services(services)).await
        }
        Command::ServiceStatus { address: None } => {
            show.route("/services", |services: &Vec<Service>| print::service_status(services)).await
        }
        Command::ServiceStatus { address: Some(address) } => {
            let (value, services): (Value, Vec<Service>) = show.get("/services").await?;
            let Some(service) = services.iter().find(|service| service.address == address) else {
                return Err(ClientError::NotFound {
                    what: "service",
                    name: address,
                    known: services.into_iter().map(|service| service.address).collect(),
                });
            };
            let served = !service.routers.is_empty();
            let text = show.text(only(value, "address", &address), || {
                print::service_status(std::slice::from_ref(service))
            });
            Ok((text, u8::from(!served)))
        }
        Command::RouterList => {
            show.route("/routers", |routers: &Vec<Router>| {
                print::routers(routers, Timestamp::now())
            })
            .await
        }
        Command::ConnectionList => {
            show.route("/connections", |connections: &Vec<Connection>| {
                print::connections(connections)
            })
            .await
        }
        Command::AddressList => {
            show.route("/addresses", |addresses: &Vec<Address>| print::addresses(addresses)).await
        }
        Command::Version => {
            show.route("/version", |version: &Version| print::version(version)).await
        }
        Command::LinkStatus { .. }
        | Command::Help(_)
        | Command::Password { .. }
        | Command::Demo { .. } => Ok((String::new(), 0)),
    }
}

/// Runs `skup password USER`, which prints a line for a password file. It reads the password from
/// standard input, which no list of processes shows.
fn password(user: &str, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let mut given = String::new();
    let read = BufReader::new(std::io::stdin().take(LONGEST_LINE))
        .read_line(&mut given)
        .map_err(|error| error.to_string());
    let line = read.and_then(|_| {
        crate::sasl::line(user, given.trim_end_matches(['\r', '\n']))
            .map_err(|error| error.to_string())
    });
    let written = line.and_then(|line| writeln!(out, "{line}").map_err(|error| error.to_string()));
    match written {
        Ok(()) => 0,
        Err(text) => {
            let _ = writeln!(err, "skup: {text}");
            1
        }
    }
}

/// One router's answers, as JSON or in words.
struct Show<'a> {
    socket: &'a Path,
    json: bool,
}

impl Show<'_> {
    /// Returns the answer as received, which keeps fields of a newer daemon, and as its type.
    async fn get<T: DeserializeOwned>(
        &self,
        route: &'static str,
    ) -> Result<(Value, T), ClientError> {
        client::ask(self.socket, route).await
    }

    async fn route<T: DeserializeOwned>(
        &self,
        route: &'static str,
        words: impl FnOnce(&T) -> String,
    ) -> Result<(String, u8), ClientError> {
        let (value, answer) = self.get::<T>(route).await?;
        Ok((self.text(value, || words(&answer)), 0))
    }

    fn text(&self, value: Value, words: impl FnOnce() -> String) -> String {
        if self.json { json::for_terminal(&format!("{value:#}\n")) } else { words() }
    }
}

/// Returns the entries of a list whose `field` is `name`.
fn only(list: Value, field: &str, name: &str) -> Value {
    match list {
        Value::Array(mut entries) => {
            entries.retain(|entry| entry.get(field).and_then(Value::as_str) == Some(name));
            Value::Array(entries)
        }
        other => other,
    }
}

/// Runs `skup link status [NAME] [--wait SECONDS]`.
async fn link_status(
    name: Option<&str>,
    wait: Option<Duration>,
    socket: Option<&Path>,
    json: bool,
) -> Result<(String, u8), ClientError> {
    let deadline = wait.map(|wait| Instant::now() + wait);
    loop {
        let outcome = link_status_now(name, socket, json).await;
        let active = matches!(outcome, Ok((_, 0)));
        if active || deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            return outcome;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

async fn link_status_now(
    name: Option<&str>,
    socket: Option<&Path>,
    json: bool,
) -> Result<(String, u8), ClientError> {
    let socket = client::find(socket)?;
    let show = Show { socket: &socket, json };
    let (mut value, mut links): (Value, Vec<Link>) = show.get("/links").await?;
    if let Some(name) = name {
        if !links.iter().any(|link| link.name == name) {
            return Err(ClientError::NotFound {
                what: "link",
                name: name.to_owned(),
                known: links.into_iter().map(|link| link.name).collect(),
            });
        }
        links.retain(|link| link.name == name);
        value = only(value, "name", name);
    }
    let all_active = links
        .iter()
        .filter(|link| link.direction == Direction::Out)
        .all(|link| link.state == LinkState::Active);
    let text = show.text(value, || print::link_status(&links, name.is_some(), Timestamp::now()));
    Ok((text, u8::from(!all_active)))
}

#[cfg(test)]
mod tests;
