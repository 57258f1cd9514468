//! `skup demo`: two sites, one mutual-TLS link and one service, as real processes on the loopback
//! interface.
//!
//! The routers run this same executable. Their certificates, configurations, admin sockets and logs
//! are in one fresh folder, which the demo removes at its end. The demo waits for answers of the
//! routers, never for a fixed time.

mod configuration;
mod process;

use std::cell::Cell;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use configuration::{Ports, Site};
use hyper::StatusCode;
use jiff::Timestamp;
use process::Process;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::client::{self, ClientError, GetError};
use super::print;
use crate::admin::model::{Link, LinkState, Service};
use crate::http::connections::{self, Answer, Handler, Limits, json};
use crate::tls::AuthorityError;

/// The first argument that makes this executable a router that ends with its demo. Not for a
/// person's command line.
pub(super) const CHILD_COMMAND: &str = "demo-router";

/// The backend's answer.
const HELLO: &str = r#"{"message":"Hello"}"#;

/// Time for each step of the start. A slow machine under load needs seconds.
const STEP_DEADLINE: Duration = Duration::from_secs(20);

/// Pause between two questions to a router that is not ready.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// The reason why the demo failed.
#[derive(Debug, Error)]
enum DemoError {
    #[error("cannot {0}: {1}")]
    System(&'static str, #[source] io::Error),
    #[error(transparent)]
    Certificates(#[from] AuthorityError),
    #[error("the router {name} ended by itself: {status}")]
    Ended { name: &'static str, status: String },
    #[error("waited {} s in vain for {what}{last}", STEP_DEADLINE.as_secs())]
    TimedOut { what: &'static str, last: String },
    #[error(transparent)]
    Ask(#[from] ClientError),
    #[error("the call to {address} failed: {source}")]
    Call { address: SocketAddr, source: GetError },
    #[error(
        "the call to {address} was answered with status {status} and {body:?} instead of {HELLO}"
    )]
    Answer { address: SocketAddr, status: StatusCode, body: String },
    #[error("interrupted before the answer came")]
    Interrupted,
    /// An error with the last log lines of the routers.
    #[error("{error}\n{logs}")]
    WithLogs { error: Box<Self>, logs: String },
}

/// Becomes a router of the demo, which ends with the demo, however that ends.
pub(super) fn child(args: &[OsString]) -> ExitCode {
    let error = process::become_router(args);
    let _ = writeln!(io::stderr(), "skup: cannot start the demo's router: {error}");
    ExitCode::FAILURE
}

/// Runs the demo and returns the exit status.
pub(super) async fn run(once: bool, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let outcome = match std::env::current_exe() {
        Ok(executable) => demonstrate(&executable, Path::new("/tmp"), once, out).await,
        Err(error) => Err(DemoError::System("find this executable", error)),
    };
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(err, "skup: {}", crate::text::lines(error.to_string().trim_end()));
            1
        }
    }
}

/// Sets everything up, shows it, waits if it should stay, and always removes everything again.
///
/// Creates its folder in `place`. That path must be short, since a unix socket has little room.
async fn demonstrate(
    executable: &Path,
    place: &Path,
    once: bool,
    out: &mut dyn Write,
) -> Result<(), DemoError> {
    let system = |what| move |error| DemoError::System(what, error);
    // The signals come first: an interrupt between would leave files and processes behind.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("wait for Ctrl-C"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(system("wait for SIGTERM"))?;
    let temporary = tempfile::Builder::new()
        .prefix("skup-demo-")
        .tempdir_in(place)
        .map_err(system("make a folder for the demo"))?;
    let folder = temporary.path();
    let backend = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(system("open the backend's port"))?;
    let backend_address = backend.local_addr().map_err(system("open the backend's port"))?;
    let ports = free_ports(backend_address).map_err(system("find free ports"))?;
    configuration::write(folder, ports)?;
    let start = |site| Process::start(executable, folder, site).map_err(system("start a router"));
    let mut routers = [start(Site::North)?, start(Site::South)?];

    let shown = Cell::new(false);
    let demo = async {
        show(folder, ports, out).await?;
        shown.set(true);
        if once {
            return Ok(());
        }
        let _ = writeln!(out, "Ctrl-C stops both sites and removes all of it.")
            .and_then(|()| out.flush());
        std::future::pending().await
    };
    let outcome = tokio::select! {
        outcome = demo => outcome,
        ended = process::first_to_end(&mut routers) => Err(ended),
        _ = interrupt.recv() => if shown.get() { Ok(()) } else { Err(DemoError::Interrupted) },
        _ = terminate.recv() => if shown.get() { Ok(()) } else { Err(DemoError::Interrupted) },
        never = connections::run(backend, Limits::default(), Hello) => match never {},
    };
    // Before the routers stop, since their end adds lines to the logs.
    let outcome = outcome.map_err(|error| match error {
        DemoError::Interrupted => error,
        _ => DemoError::WithLogs { error: Box::new(error), logs: last_lines(&routers) },
    });
    process::stop(routers, &mut interrupt).await;
    temporary.close().map_err(system("remove the folder of the demo")).and(outcome)
}

/// Waits until a call can succeed, makes it, and prints the result.
async fn show(folder: &Path, ports: Ports, out: &mut dyn Write) -> Result<(), DemoError> {
    let started = Instant::now();
    let [north, south] = [Site::North, Site::South].map(|site| site.file(folder, "sock"));
    until("the admin sockets of both routers", async || {
        ask::<Value>(&north, "/version").await?;
        ask::<Value>(&south, "/version").await.map(|_| true)
    })
    .await?;
    until("the link from south to north to be active", async || {
        let links: Vec<Link> = ask(&south, "/links").await?;
        Ok(links
            .iter()
            .any(|link| link.name == configuration::LINK && link.state == LinkState::Active))
    })
    .await?;
    until("north to open the port of the service", async || {
        let services: Vec<Service> = ask(&north, "/services").await?;
        Ok(services
            .iter()
            .any(|service| service.listeners.iter().any(|listener| listener.listening)))
    })
    .await?;
    let ready = started.elapsed();
    let address = ports.service();
    let answer = call(address).await?;

    let mut text = String::new();
    let _ = writeln!(
        text,
        "Two sites, north and south, run on this machine, joined by one mutual-TLS link at {}.",
        ports.link()
    );
    let _ = writeln!(
        text,
        "The HTTP server 'hello' runs behind south; north offers it at http://{address}/"
    );
    let _ = writeln!(text, "The network was ready {} ms after its start.\n", ready.as_millis());
    let _ = writeln!(text, "$ curl http://{address}/\n{}\n", crate::text::lines(&answer));
    for socket in [&north, &south] {
        let links: Vec<Link> = ask(socket, "/links").await?;
        let _ = writeln!(text, "$ skup link status --socket {}", socket.display());
        let _ = writeln!(text, "{}", print::link_status(&links, false, Timestamp::now()));
    }
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(())
}

async fn ask<T: DeserializeOwned>(socket: &Path, route: &'static str) -> Result<T, ClientError> {
    client::ask(socket, route).await.map(|(_, answer)| answer)
}

/// Asks repeatedly, until the probe returns true or the deadline passes.
async fn until(
    what: &'static str,
    mut probe: impl AsyncFnMut() -> Result<bool, ClientError>,
) -> Result<(), DemoError> {
    let deadline = Instant::now() + STEP_DEADLINE;
    loop {
        let last = match probe().await {
            Ok(true) => return Ok(()),
            Ok(false) => String::new(),
            Err(error) => format!(" ({error})"),
        };
        if Instant::now() >= deadline {
            return Err(DemoError::TimedOut { what, last });
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Calls the service as any client would.
async fn call(address: SocketAddr) -> Result<String, DemoError> {
    let fail = |source| DemoError::Call { address, source };
    let connecting = tokio::time::timeout(STEP_DEADLINE, TcpStream::connect(address)).await;
    let stream = connecting
        .map_err(|_| fail(GetError::TimedOut))?
        .map_err(|error| fail(GetError::Connect(error)))?;
    let (status, body) = client::get(stream, &address.to_string(), "/").await.map_err(fail)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    if status != StatusCode::OK || body != HELLO {
        return Err(DemoError::Answer { address, status, body });
    }
    Ok(body)
}

/// Returns two distinct ports that were free a moment ago. It holds both until it has the second.
fn free_ports(backend: SocketAddr) -> io::Result<Ports> {
    let link = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(Ports {
        link: link.local_addr()?.port(),
        service: service.local_addr()?.port(),
        backend: backend.port(),
    })
}

fn last_lines(routers: &[Process]) -> String {
    let mut text = String::new();
    for router in routers {
        let _ = writeln!(text, "the last lines of the log of {}:", router.name());
        for line in router.last_lines() {
            let _ = writeln!(text, "  {}", crate::text::line(&line));
        }
    }
    text
}

/// The backend.
struct Hello;

impl Handler for Hello {
    async fn answer(&self, _path: &str) -> Answer {
        json(StatusCode::OK, HELLO)
    }
}

#[cfg(test)]
mod tests;
