//! What stands around a command: the runtime, the output, the exit status.
//!
//! The exit status is 0 for an answer, 1 for none, 2 for a command line that means nothing. An
//! error is one line on standard output, as scripts that read the C router's tools expect it: a
//! word for its kind, a colon, a text.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use skupper_proto::management::Status;
use thiserror::Error;

use super::options::UsageError;
use crate::client::ClientError;
use crate::socket::DialError;

/// Why a command has no answer.
#[derive(Debug, Error)]
pub(in crate::bin) enum Failure {
    /// The command line.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The router, or the way to it.
    #[error("{kind}: {0}", kind = kind(.0))]
    Client(#[from] ClientError),
    /// An attribute that the schema does not know.
    #[error("ValidationError: {0}")]
    Validation(String),
    /// A value that is none.
    #[error("ValueError: {0}")]
    Value(String),
    /// What should be JSON.
    #[error("JSONDecodeError: {0}")]
    Json(serde_json::Error),
}

/// The word for a kind of error.
const fn kind(error: &ClientError) -> &'static str {
    match error {
        ClientError::Url(_) | ClientError::Option(_) | ClientError::Unexpected { .. } => {
            "ValueError"
        }
        ClientError::Files(_) => "SSLException",
        ClientError::Dial { source: DialError::Name(_), .. } => "gaierror",
        ClientError::Dial { .. } | ClientError::Tls { .. } | ClientError::Disconnected { .. } => {
            "ConnectionException"
        }
        ClientError::TimedOut { .. } => "Timeout",
        ClientError::Detached { .. } => "LinkDetached",
        ClientError::NotAccepted { .. } => "SendException",
        ClientError::Response(_) | ClientError::TooMany(_) | ClientError::NoTable => {
            "ManagementError"
        }
        ClientError::Status { status, .. } => match *status {
            Status::BAD_REQUEST => "BadRequestStatus",
            Status::UNAUTHORIZED => "UnauthorizedStatus",
            Status::FORBIDDEN => "ForbiddenStatus",
            Status::NOT_FOUND => "NotFoundStatus",
            Status::INTERNAL_ERROR => "InternalServerErrorStatus",
            Status::NOT_IMPLEMENTED => "NotImplementedStatus",
            _ => "ManagementError",
        },
    }
}

/// Runs a command, prints its answer or its failure, and says how the process ends. What the
/// command wrote before it failed is printed too.
pub(in crate::bin) fn run(
    name: &str,
    command: impl AsyncFnOnce(&mut String) -> Result<(), Failure>,
) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{name}: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut text = String::new();
    let mut status = match runtime.block_on(command(&mut text)) {
        Ok(()) => 0,
        Err(Failure::Usage(error)) => {
            let _ = writeln!(std::io::stderr(), "{}", crate::text::lines(&error.to_string()));
            2
        }
        Err(error) => {
            text.push_str(&crate::text::line(&error.to_string()));
            text.push('\n');
            1
        }
    };
    let mut out = std::io::stdout();
    // Cells and words are clean already; what was not thought of becomes so here.
    match out.write_all(crate::text::lines(&text).as_bytes()).and_then(|()| out.flush()) {
        // A reader who has enough, `head` say, is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let _ = writeln!(std::io::stderr(), "{name}: the answer cannot be written: {error}");
            status = 1;
        }
        _ => {}
    }
    ExitCode::from(status)
}
