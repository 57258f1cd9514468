//! The command line of `skup`, and its help.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use thiserror::Error;

/// A valid command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) command: Command,
    pub(super) json: bool,
    pub(super) socket: Option<PathBuf>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Help(&'static str),
    Status,
    LinkStatus { name: Option<String>, wait: Option<Duration> },
    LinkList,
    ServiceList,
    ServiceStatus { address: Option<String> },
    RouterList,
    ConnectionList,
    AddressList,
    Version,
    Password { user: String },
    Demo { once: bool },
}

/// The fault of a command line, with the usage of the command.
#[derive(Debug, Error)]
#[error("skup: {problem}\n\n{usage}")]
pub(super) struct UsageError {
    problem: String,
    usage: &'static str,
}

const TOP: &str = "\
skup - look into the running routers of this host

usage: skup COMMAND [OPTIONS]

commands:
  status                   the router as a whole: sites linked, services seen, warnings, last errors
  link status [NAME]       whether the site links are active, and if not, why and until when
  link list                the site links in a table
  service list             the services in a table
  service status [ADDRESS] services with their listeners and connectors
  router list              the routers of the network, and the way to each
  connection list          the open connections
  address list             the address table
  version                  what the router runs
  password USER            the line of a password file for a user, whose password is read from standard input
  demo [--once]            two sites, one link and one service on this machine, to look at

options:
  --socket PATH            the admin socket of the router to ask; without it the only one running is asked
  --json                   print the answer as JSON
  -h, --help               print this help, or that of the command

exit status:
  0  the router answered; with 'link status' every link is active, with a NAME or ADDRESS it was found and works
  1  not so, or the router could not be asked
  2  the command line was not understood
";

const LINK: &str = "\
usage: skup link status [NAME] [--wait SECONDS] [--json] [--socket PATH]
       skup link list [--json] [--socket PATH]

'link status' prints for each link configured here 'Link NAME is active', or 'Link NAME not connected' with the reason, since
when, and when it is tried next; then the links that other sites hold to this one. With NAME only that link, in detail.

A link is active when both of its control links are attached and HELLO was heard both ways; an edge router's when it is in use or
stands by for the one that is.

options:
  --wait SECONDS  wait until the links are active, the router's start included, at most that long
  --socket PATH   the admin socket of the router to ask; without it the only one running is asked
  --json          print the answer as JSON, a list of links
  -h, --help      print this help

exit status of 'link status':
  0  every link configured here (with NAME: that one) is active, or there is none
  1  some are not, there is no link NAME, or the router could not be asked
  2  the command line was not understood
";

const SERVICE: &str = "\
usage: skup service list [--json] [--socket PATH]
       skup service status [ADDRESS] [--json] [--socket PATH]

'service list' prints the services in a table, 'service status' with their listeners and connectors, with ADDRESS only that one.

options:
  --socket PATH   the admin socket of the router to ask; without it the only one running is asked
  --json          print the answer as JSON, a list of services
  -h, --help      print this help

exit status:
  0  the router answered; with ADDRESS, some reachable router serves it
  1  nobody serves ADDRESS, it is not known, or the router could not be asked
  2  the command line was not understood
";

const DEMO: &str = "\
usage: skup demo [--once]

Shows the product without any set-up. Makes a certificate authority and certificates in a fresh folder, starts the sites
'north' and 'south' as two router processes joined by one mutual-TLS link on the loopback interface, and an HTTP server 'hello'
behind south. Then calls that server through a port at north, and prints how to call it, its answer, and 'skup link status' of
both sites. Stays until Ctrl-C or SIGTERM, and leaves nothing behind.

options:
  --once      end after the first answer
  -h, --help  print this help

exit status:
  0  the answer came through the network
  1  it did not, or a router ended by itself
  2  the command line was not understood
";

/// Reads the arguments after the program's name.
///
/// # Errors
/// The command line is wrong.
pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Arguments, UsageError> {
    let mut words: Vec<String> = Vec::new();
    let (mut json, mut socket, mut help, mut once, mut wait) = (false, None, false, false, None);
    let mut parser = Parser::from_args(args);
    let mut read = || -> Result<(), lexopt::Error> {
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("json") => json = true,
                Arg::Long("socket") => socket = Some(PathBuf::from(parser.value()?)),
                Arg::Long("wait") => wait = Some(parser.value()?.parse_with(seconds)?),
                Arg::Long("once") => once = true,
                Arg::Short('h') | Arg::Long("help") => help = true,
                Arg::Value(word) => words.push(word.string()?),
                other => return Err(other.unexpected()),
            }
        }
        Ok(())
    };
    let read = read();
    let usage = match words.first().map(String::as_str) {
        Some("link") => LINK,
        Some("service") => SERVICE,
        Some("demo") => DEMO,
        _ => TOP,
    };
    let refuse = |problem: String| UsageError { problem, usage };
    read.map_err(|error| refuse(error.to_string()))?;
    if help {
        return Ok(Arguments { command: Command::Help(usage), json: false, socket: None });
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let command = match words[..] {
        [] => return Err(refuse("a command is missing".to_owned())),
        ["help"] => Command::Help(TOP),
        ["status"] => Command::Status,
        ["link", "status"] => Command::LinkStatus { name: None, wait: wait.take() },
        ["link", "status", name] => {
            Command::LinkStatus { name: Some(name.to_owned()), wait: wait.take() }
        }
        ["link", "list"] => Command::LinkList,
        ["service", "list"] => Command::ServiceList,
        ["service", "status"] => Command::ServiceStatus { address: None },
        ["service", "status", address] => {
            Command::ServiceStatus { address: Some(address.to_owned()) }
        }
        ["router", "list"] => Command::RouterList,
        ["connection", "list"] => Command::ConnectionList,
        ["address", "list"] => Command::AddressList,
        ["version"] => Command::Version,
        ["password", user] => Command::Password { user: user.to_owned() },
        ["demo"] => Command::Demo { once: std::mem::take(&mut once) },
        ["link" | "service" | "router" | "connection" | "address"] => {
            return Err(refuse(format!("'{}' needs to be told what to do", words.join(" "))));
        }
        _ => return Err(refuse(format!("unknown command '{}'", words.join(" ")))),
    };
    // A command has taken its own options, so the rest is misplaced.
    if wait.is_some() {
        return Err(refuse("--wait goes with 'link status' only".to_owned()));
    }
    if once {
        return Err(refuse("--once goes with 'demo' only".to_owned()));
    }
    if matches!(command, Command::Demo { .. }) && (json || socket.is_some()) {
        return Err(refuse("'demo' takes neither --json nor --socket".to_owned()));
    }
    Ok(Arguments { command, json, socket })
}

/// Reads a number of seconds, with fractions, of at most a day. A larger number is probably in
/// another unit.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err("not between 0 and 86400 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn command(line: &str) -> Command {
        read(line).unwrap_or_else(|error| panic!("{line}: {error}")).command
    }

    #[test]
    fn every_command_of_the_help_is_understood() {
        for text in [TOP, LINK, SERVICE, DEMO] {
            let lines = text
                .lines()
                .skip_while(|line| *line != "commands:")
                .skip(1)
                .take_while(|line| !line.is_empty());
            for line in lines {
                let line = line.trim().split("  ").next().unwrap();
                let bare = line.split(" [").next().unwrap();
                assert!(!matches!(command(bare), Command::Help(_)), "{bare}");
                if line.contains("NAME") || line.contains("ADDRESS") {
                    assert!(
                        format!("{:?}", command(&format!("{bare} thing"))).contains("thing"),
                        "{line}"
                    );
                }
            }
            assert!(text.lines().all(|line| line.len() <= 130), "{text}");
        }
    }

    #[test]
    fn options_stand_anywhere() {
        let expected = Arguments {
            command: Command::LinkStatus {
                name: Some("link1".to_owned()),
                wait: Some(Duration::from_millis(1500)),
            },
            json: true,
            socket: Some(PathBuf::from("/x")),
        };
        assert_eq!(read("link status link1 --json --wait 1.5 --socket /x").unwrap(), expected);
        assert_eq!(read("--socket=/x --wait=1.5 link --json status link1").unwrap(), expected);
        assert_eq!(command("demo --once"), Command::Demo { once: true });
        assert_eq!(command("password alice"), Command::Password { user: "alice".to_owned() });
    }

    #[test]
    fn help_is_that_of_the_command() {
        for (line, text) in [
            ("--help", TOP),
            ("help", TOP),
            ("status -h", TOP),
            ("link --help", LINK),
            ("link status -h", LINK),
        ] {
            assert_eq!(command(line), Command::Help(text), "{line}");
        }
        assert_eq!(command("service list --help"), Command::Help(SERVICE));
        assert_eq!(command("demo -h"), Command::Help(DEMO));
    }

    #[test]
    fn what_means_nothing_is_refused_with_the_usage() {
        for (line, problem) in [
            ("", "a command is missing"),
            ("link", "needs to be told"),
            ("link stat", "unknown command 'link stat'"),
            ("status extra", "unknown command"),
            ("status --jsn", "invalid option '--jsn'"),
            ("status --socket", "missing argument for option '--socket'"),
            ("link status --wait soon", "not a number"),
            ("link status --wait -1", "not between"),
            ("link status --wait 1e300", "not between"),
            ("link status --wait NaN", "not between"),
            ("link list --wait 1", "--wait goes with"),
            ("status --once", "--once goes with"),
            ("demo --json", "takes neither"),
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(
                error.contains(problem) && error.contains("\n\nu") | error.contains("\n\nskup - "),
                "{line}: {error}"
            );
        }
    }
}
