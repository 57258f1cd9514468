//! The router itself, its network, its site and its log.

use super::management::configuration;
use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{choice, flag, number, path, text};
use crate::schema::entity_type::EntityType;
use crate::schema::{Distribution, Effect, LogModule, Mode, Operation, Use};

pub(super) static ROUTER: EntityType = EntityType {
    singleton: true,
    own_attributes: &[
        text("id", "The router's name in the network, and its AMQP container name. No two routers of a network may share one.")
            .unset("the mode and random text, so that every start has another")
            .example("north")
            .create()
            .works(),
        text("vanId", "Former name of the network's tenantId.").example("tenant-1").create(),
        choice(
            "mode",
            Mode::WORDS,
            "How the router takes part in a network: standalone serves clients and services of its own only, interior connects to \
             other routers and routes for them, edge is a leaf with one uplink to an interior router.",
        )
        .default(Text("standalone"))
        .create()
        .works(),
        text("area", "The area of the network; there is only one.").default(Text("0")),
        text("version", "The version of this router."),
        text("hostName", "The name of the host the router runs on."),
        number("helloIntervalSeconds", "How often the router greets its neighbors at the least.")
            .seconds()
            .range(1, 3600)
            .default(Number(1))
            .create()
            .works(),
        number(
            "helloMaxAgeSeconds",
            "After this long without a greeting a neighbor counts as lost. Raise it where links stall for seconds.",
        )
        .seconds()
        .range(1, 86400)
        .default(Number(3))
        .create()
        .works(),
        number("raIntervalSeconds", "How often the router advertises its state at the least while the network is quiet.")
            .seconds()
            .range(1, 86400)
            .default(Number(30))
            .create()
            .works(),
        number("raIntervalFluxSeconds", "How often the router advertises its state at the least while the network changes.")
            .seconds()
            .range(1, 86400)
            .default(Number(4))
            .create()
            .works(),
        number("remoteLsMaxAgeSeconds", "After this long without an advertisement what a router said of its links is forgotten.")
            .seconds()
            .range(1, 86400)
            .default(Number(60))
            .create()
            .works(),
        number(
            "unreachableHoldoffSeconds",
            "How long the addresses of a router that became unreachable are kept, in case it comes back at once.",
        )
        .seconds()
        .range(0, 86400)
        .default(Number(1))
        .create()
        .works(),
        number("workerThreads", "How many threads carry connections. One per core of the machine is a good number.")
            .range(1, 1024)
            .default(Number(4))
            .create()
            .works(),
        path("debugDumpFile", "A file for what the C router finds leaked when it stops. This router writes none.")
            .example("/tmp/dump.txt")
            .create(),
        path("saslConfigDir", "The folder of the file that says where passwords for SASL PLAIN are.")
            .unset("/etc/sasl2")
            .example("/etc/sasl2")
            .create()
            .works(),
        text(
            "saslConfigName",
            "The name of that file, without `.conf`. In it a line `password_file: PATH` names a file with a line `NAME:HASH` for each \
             user, which `skup password USER` makes; `sasldb_path: PATH` names a database of Cyrus SASL.",
        )
        .default(Text("skrouterd"))
        .create()
        .works(),
        flag("timestampsInUTC", "Log times in UTC and not in local time.").implied(Flag(false)).create().works(),
        text(
            "timestampFormat",
            "How times look in the log: a strftime pattern in which `%%06lu` or the like stands for microseconds.",
        )
        .unset("date, time with microseconds, and offset")
        .example("%Y-%m-%d %H:%M:%S.%%06lu %z")
        .create()
        .works(),
        choice(
            "defaultDistribution",
            Distribution::WORDS,
            "The distribution of addresses that no address entity speaks of. With unavailable, only those addresses exist that \
             are configured.",
        )
        .default(Text("balanced"))
        .create()
        .works(),
        text("metadata", "Text for tools that show or manage the router; it changes nothing in the router.")
            .example("for those who look")
            .create()
            .works(),
        text(
            "dataConnectionCount",
            "How many connections to each neighbor carry services, beside the one for control: a number, or auto, which is half \
             of workerThreads, rounded up.",
        )
        .default(Text("auto"))
        .create()
        .works(),
        flag("dropTcpConnections", "When a tcpListener or tcpConnector is deleted, end its service connections too.")
            .default(Flag(true))
            .create()
            .works(),
    ],
    ..configuration("The router itself. Give it an id and a mode; the rest is right for most networks.")
};

pub(super) static NETWORK: EntityType = EntityType {
    singleton: true,
    effect: Effect::Accepted,
    own_operations: &[Operation::Update],
    own_attributes: &[
        text("networkId", "The name of this network, where several are joined.")
            .example("net-1")
            .create()
            .update(),
        text(
            "tenantId",
            "Set before the address of every service, so that tenants of one network keep apart.",
        )
        .example("tenant-1")
        .create(),
    ],
    ..configuration("The network this router belongs to, where several networks or tenants meet.")
};

pub(super) static SITE: EntityType = EntityType {
    own_attributes: &[
        text("location", "Where the site is.").example("Basel").create().works(),
        text("provider", "Who runs the place.").example("example-cloud").create().works(),
        text("version", "The version of the software that manages the site.")
            .example("2.1.0")
            .create()
            .works(),
        text("platform", "What the site runs on.").example("linux").create().works(),
        text("namespace", "The namespace the site lives in.").example("default").create().works(),
    ],
    ..configuration("The site this router belongs to, as consoles show it. There is at most one.")
};

pub(super) static LOG: EntityType = EntityType {
    own_operations: &[Operation::Update],
    own_attributes: &[
        choice(
            "module",
            LogModule::WORDS,
            "Which part of the router this is about; DEFAULT is all that have no log entity of theirs.",
        )
        .example("DEFAULT")
        .required()
        .works(),
        text(
            "enable",
            "The levels that are written: none, debug, info, warning, error, critical, separated by commas; a level with a plus \
             stands for itself and all graver ones.",
        )
        .unset("what DEFAULT has, which begins as info+")
        .example("info+")
        .update()
        .works(),
        flag("includeTimestamp", "Begin each line with the time.")
            .unset("what DEFAULT has, which begins as yes")
            .example("yes")
            .update()
            .works(),
        flag("includeSource", "End each line with the place in the source that wrote it.")
            .unset("what DEFAULT has, which begins as no")
            .example("no")
            .update()
            .works(),
        text("outputFile", "Where lines go: stderr, stdout, syslog, journald, or a file that is appended to.")
            .unset("what DEFAULT has, which begins as stderr")
            .example("stderr")
            .names_file(Use::Log)
            .update()
            .works(),
    ],
    ..configuration("What a part of the router logs, and where to.")
};
