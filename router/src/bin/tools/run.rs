//! Runs a command: the runtime, the output and the exit status.
//!
//! The exit status is 0 for success, 1 for a failure and 2 for a wrong command line. An error is
//! one line on standard output, as scripts for the C router's tools expect. It has a word for the
//! kind, a colon and a text.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use skupper_proto::management::Status;
use thiserror::Error;

use super::options::UsageError;
use crate::client::ClientError;
use crate::socket::DialError;

/// The reason why a command failed.
#[derive(Debug, Error)]
pub(in crate::bin) enum Failure {
    /// The command line is wrong.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The router refused, or cannot be reached.
    #[error("{kind}: {0}", kind = kind(.0))]
    Client(#[from] ClientError),
    /// The schema does not know an attribute.
    #[error("ValidationError: {0}")]
    Validation(String),
    /// A value is wrong.
    #[error("ValueError: {0}")]
    Value(String),
    /// Text is no JSON.
    #[error("JSONDecodeError: {0}")]
    Json(serde_json::Error),
}

/// Returns the word for a kind of error, as the C router's tools print it.
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

/// Runs a command, prints its output or its failure, and returns the exit status. Also prints the
/// output of a command that failed later.
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
    // Cells and words are escaped already. This escapes any other text.
    match out.write_all(crate::text::lines(&text).as_bytes()).and_then(|()| out.flush()) {
        // A reader that closes the output, such as `head`, is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let _ = writeln!(std::io::stderr(), "{name}: the answer cannot be written: {error}");
            status = 1;
        }
        _ => {}
    }
    ExitCode::from(status)
}
