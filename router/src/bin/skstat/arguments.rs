//! The command line of `skstat`.

use std::ffi::OsString;

use super::Show;
use super::view::View;
use crate::bin::tools::connecting::{CONNECTION, Connecting, EDGE_ROUTER, ROUTER, TARGETS};
use crate::bin::tools::options::{self, Chapter, Command, Opt, Part, UsageError};

/// The option group of the views, which exclude each other.
const VIEWS: u8 = 2;

const fn view(long: &'static str, help: &'static str) -> Opt {
    Opt::flag(long, help).group(VIEWS)
}

const COMMAND: Command = Command {
    name: super::NAME,
    synopsis: "skstat [VIEW] [OPTIONS]",
    about: "\
Shows what a running router knows of itself, its connections and its network, in tables.

exit status: 0 shown, 1 not reached, 2 the command line was not understood",
    chapters: &[
        Chapter {
            title: "views",
            options: &[
                view("general", "The router as a whole (default).").short('g'),
                view("connections", "Its connections.").short('c'),
                view("links", "Its links.").short('l'),
                view("nodes", "The routers of the network.").short('n'),
                view("edge", "Its connections with edge routers.").short('e'),
                view("address", "Its addresses.").short('a'),
                view("memory", "Its memory.").short('m'),
                view("policy", "Its policy and what came of it.").short('p'),
                view("autolinks", "Its auto links."),
                view("vhosts", "Its vhosts."),
                view("vhostgroups", "The user groups of its vhosts."),
                view("vhoststats", "What came of the policy of each vhost."),
                view("log", "The last lines of its log."),
                view("all-entities", "Most of these, one after the other."),
            ],
        },
        Chapter {
            title: "output",
            options: &[
                Opt::flag("verbose", "More columns.").short('v'),
                Opt::value("limit", "N", "At most N rows; 0 for all of them, as without."),
                Opt::flag("csv", "Comma-separated values instead of tables."),
                Opt::flag(
                    "json",
                    "One JSON document, with every attribute as the router gives it.",
                ),
            ],
        },
        Chapter {
            title: "target",
            options: &[
                Opt::flag("all-routers", "Show every router of the network.").group(TARGETS),
                ROUTER.group(TARGETS),
                EDGE_ROUTER.group(TARGETS),
            ],
        },
        CONNECTION,
    ],
};

/// The routers to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The router that answers.
    One,
    /// All routers that it knows.
    All,
}

#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) connecting: Connecting,
    pub(super) show: Show,
    pub(super) target: Target,
}

#[derive(Debug)]
pub(super) enum Wish {
    Print(String),
    Show(Box<Arguments>),
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// The command line is wrong.
pub(super) fn read(args: impl IntoIterator<Item = OsString>) -> Result<Wish, UsageError> {
    let parts = match COMMAND.read(args)? {
        options::Wish::Print(text) => return Ok(Wish::Print(text)),
        options::Wish::Parts(parts) => parts,
    };
    let mut connecting = Connecting::default();
    let mut show =
        Show { view: View::General, verbose: false, limit: None, csv: false, json: false };
    let mut target = Target::One;
    for part in parts {
        let Some(part) = connecting.take(&COMMAND, part)? else { continue };
        let (option, value) = match part {
            Part::Word(word) => {
                return Err(COMMAND.error(format!("unrecognized arguments: {word}")));
            }
            Part::Option(option, value) => (option, value),
        };
        match option.long {
            "verbose" => show.verbose = true,
            "csv" => show.csv = true,
            "json" => show.json = true,
            "limit" => {
                let limit: i64 = COMMAND.number(option, "int", &value)?;
                show.limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
            }
            "all-routers" => target = Target::All,
            "general" => show.view = View::General,
            "connections" => show.view = View::Connections,
            "links" => show.view = View::Links,
            "nodes" => show.view = View::Nodes,
            "edge" => show.view = View::Edges,
            "address" => show.view = View::Addresses,
            "memory" => show.view = View::Memory,
            "policy" => show.view = View::Policy,
            "autolinks" => show.view = View::AutoLinks,
            "vhosts" => show.view = View::Vhosts,
            "vhostgroups" => show.view = View::VhostGroups,
            "vhoststats" => show.view = View::VhostStats,
            "log" => show.view = View::Log,
            "all-entities" => show.view = View::AllEntities,
            _ => {}
        }
    }
    if show.csv && show.json {
        return Err(COMMAND.error("argument --json: not allowed with argument --csv"));
    }
    Ok(Wish::Show(Box::new(Arguments { connecting, show, target })))
}
