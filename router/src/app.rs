//! The composition root: it creates everything in order, and stops it in order.

mod access;
mod arguments;
mod background;
mod directory;
mod entities;
mod facts;
mod figures;
mod flow;
mod footprint;
mod http_port;
mod management;
mod metrics;
mod node;
mod notices;
mod observed;
mod plan;
mod planning;
mod policy;
mod ports;
mod profile;
mod relief;
mod routing_time;
mod running;
mod shutdown;
mod source;
mod start;
mod trouble;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use arguments::{Arguments, Request};

use crate::config::{Config, Reach, launch};
use crate::log;

/// Runs the daemon. `args` follow the program's name.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let arguments = match arguments::read(args) {
        Ok(Request::Run(arguments)) => arguments,
        Ok(Request::Print(text)) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(text) => return fail(&text),
    };
    let outcome = match arguments.daemon {
        true => background::start(&arguments),
        false => {
            if arguments.in_background {
                background::detach();
            }
            load(&arguments).and_then(|(config, reach)| start::run(config, reach, &arguments))
        }
    };
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text),
    };
    log::flush();
    code
}

fn fail(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "skrouterd: {text}");
    ExitCode::FAILURE
}

/// Reads the configuration, and derives from it what changes may reach.
fn load(arguments: &Arguments) -> Result<(Config, Reach), String> {
    let environment = |name: &str| std::env::var(name).ok();
    let launch = match &arguments.config {
        Some(_) => None,
        None => launch::documents(environment).map_err(|error| error.to_string())?,
    };
    let (config, files) = match launch {
        Some(launch) => {
            let mut config = Config::read(&launch.documents, fastrand::u64(..))
                .map_err(|error| error.to_string())?;
            config.warnings.extend(launch.warnings);
            (config, launch.files)
        }
        None => {
            let path = arguments.config.clone().unwrap_or_else(|| arguments::DEFAULT_CONFIG.into());
            (Config::load(&path).map_err(|error| error.to_string())?, vec![path])
        }
    };
    let reach = Reach::new(&config, &files, environment);
    Ok((config, reach))
}
