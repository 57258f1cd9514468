//! The daemon's command line.

use std::ffi::OsString;
use std::path::PathBuf;

/// The configuration file when the command line and the environment name none.
pub(super) const DEFAULT_CONFIG: &str = "/etc/skrouterd/skrouterd.json";

/// The request of the command line.
pub(super) enum Request {
    /// Run a router.
    Run(Arguments),
    /// Print this text and end.
    Print(String),
}

/// How to run.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) config: Option<PathBuf>,
    pub(super) admin_socket: Option<PathBuf>,
    /// Start in the background, and end.
    pub(super) daemon: bool,
    /// With `daemon`: the file for the process id.
    pub(super) pid_file: Option<PathBuf>,
    /// With `daemon`: the user to run as.
    pub(super) user: Option<String>,
    /// This process is the one in the background.
    pub(super) in_background: bool,
}

const USAGE: &str = "\
Usage: skrouterd [OPTIONS]
       skrouterd demo [--once]        show a service across two sites
       skrouterd skup COMMAND         ask a running router (also as `skup`)
       skrouterd skstat [VIEW]        show a router by its management (also as `skstat`)
       skrouterd skmanage OPERATION   change a router by its management (also as `skmanage`)

  -c, --config PATH            configuration, JSON if its name ends in .json
                               (default: $QDROUTERD_CONF, else /etc/skrouterd/skrouterd.json)
      --admin-socket PATH      the admin socket (default: in $XDG_RUNTIME_DIR, else in /tmp)
      --print-reference-config every configuration attribute, explained
  -d, --daemon                 start in the background, and end when the router is ready
  -P, --pidfile PATH           with -d: write the process id to this file
  -U, --user NAME              with -d: run as this user
  -I, --include PATH           accepted and ignored
  -T, --test-hooks             accepted and ignored
  -v, --version                print the version
  -h, --help                   print this
";

/// Reads the arguments behind the program's name.
pub(super) fn read(args: Vec<OsString>) -> Result<Request, String> {
    use lexopt::prelude::{Long, Short, Value};
    let mut arguments = Arguments::default();
    let mut parser = lexopt::Parser::from_args(args);
    let text = |error: lexopt::Error| format!("{error}\n\n{USAGE}");
    while let Some(argument) = parser.next().map_err(text)? {
        match argument {
            Short('c') | Long("config") => {
                arguments.config = Some(parser.value().map_err(text)?.into())
            }
            Long("admin-socket") => {
                arguments.admin_socket = Some(parser.value().map_err(text)?.into())
            }
            Long("print-reference-config") => {
                return Ok(Request::Print(crate::schema::reference::render()));
            }
            Short('I') | Long("include") => drop(parser.value().map_err(text)?),
            Short('T') | Long("test-hooks") => {}
            Short('v') | Long("version") => {
                return Ok(Request::Print(format!("{}\n", env!("CARGO_PKG_VERSION"))));
            }
            Short('h') | Long("help") => return Ok(Request::Print(USAGE.to_owned())),
            Short('d') | Long("daemon") => arguments.daemon = true,
            Short('P') | Long("pidfile") => {
                arguments.pid_file = Some(parser.value().map_err(text)?.into())
            }
            Short('U') | Long("user") => {
                arguments.user = Some(parser.value().map_err(text)?.to_string_lossy().into_owned());
            }
            // A router that goes to the background starts itself with this option.
            Long("in-background") => arguments.in_background = true,
            Value(value) => {
                let rest = parser
                    .raw_args()
                    .map_err(text)?
                    .map(|value| value.to_string_lossy().into_owned());
                let all: Vec<_> =
                    std::iter::once(value.to_string_lossy().into_owned()).chain(rest).collect();
                return Err(format!("Unexpected arguments: {}\n\n{USAGE}", all.join(" ")));
            }
            other => return Err(text(other.unexpected())),
        }
    }
    Ok(Request::Run(arguments))
}
