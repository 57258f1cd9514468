//! The views of connections, links, addresses and auto links.

use skupper_proto::amqp::Value;

use super::{line, number};
use crate::bin::skstat::answers::{Answers, Row};
use crate::bin::skstat::cell;
use crate::bin::skstat::table::{Block, Form, Table, column};
use crate::bin::skstat::view::{ADDRESSES, AUTO_LINKS, CONNECTIONS, LINKS};

pub(super) fn connections(answers: &Answers) -> Vec<Block> {
    let Some(connections) = answers.get(CONNECTIONS) else { return Vec::new() };
    let mut columns: Vec<_> =
        ["id", "host", "container", "role", "proto", "dir", "security", "authentication", "meshId"]
            .map(column)
            .into();
    // Older routers lack some of these attributes.
    let times = [("last dlv", "lastDlvSeconds"), ("uptime", "uptimeSeconds")]
        .map(|(title, name)| (title, name, connections.has(name)));
    columns.extend(times.iter().filter(|(_, _, known)| *known).map(|(title, _, _)| column(title)));
    let mut table = Table::new("Connections", columns);
    for connection in connections.rows() {
        let mut row: Vec<_> = ["identity", "host", "container", "role", "protocol", "dir"]
            .map(|name| connection.get(name).clone())
            .into();
        row.extend([
            security(connection),
            authentication(connection),
            connection.get("meshId").clone(),
        ]);
        for (_, name, known) in &times {
            if *known {
                row.push(Value::String(cell::long_time(connection.get(name))));
            }
        }
        table.push(row);
    }
    vec![Block::Table(table)]
}

pub(super) fn edges(answers: &Answers) -> Vec<Block> {
    let Some(connections) =
        answers.get(CONNECTIONS).filter(|connections| connections.first().is_some())
    else {
        return line("No Edge Router Connections");
    };
    let mut columns: Vec<_> =
        ["id", "host", "container", "dir", "security", "authentication"].map(column).into();
    let has_active = connections.has("active");
    if has_active {
        columns.push(column("active"));
    }
    let mut table = Table::new("Connections", columns);
    let mut any = false;
    for connection in connections.rows().filter(|connection| connection.text("role") == "edge") {
        let mut row: Vec<_> = ["identity", "host", "container", "dir"]
            .map(|name| connection.get(name).clone())
            .into();
        row.extend([security(connection), authentication(connection)]);
        if has_active {
            row.push(Value::string(if cell::is_true(connection.get("active")) {
                "yes"
            } else {
                "no"
            }));
        }
        table.push(row);
        any = true;
    }
    if any { vec![Block::Table(table)] } else { Vec::new() }
}

fn security(connection: Row<'_>) -> Value {
    Value::String(if !cell::is_true(connection.get("isEncrypted")) {
        "no-security".to_owned()
    } else if connection.text("sasl") == "GSSAPI" {
        "Kerberos".to_owned()
    } else {
        format!(
            "{}({})",
            cell::plain(connection.get("sslProto")),
            cell::plain(connection.get("sslCipher"))
        )
    })
}

/// Returns the peer's user, and the mechanism that proved it.
fn authentication(connection: Row<'_>) -> Value {
    if !cell::is_true(connection.get("isAuthenticated")) {
        return Value::string("no-auth");
    }
    let mechanism = match connection.text("sasl") {
        "ANONYMOUS" => return Value::string("anonymous-user"),
        "GSSAPI" => "Kerberos",
        "EXTERNAL" => "x.509",
        other => other,
    };
    match connection.text("user") {
        "" => Value::string(mechanism),
        user => Value::String(format!("{user}({mechanism})")),
    }
}

/// Returns the class of an address, from the first letter of its key.
fn class(key: &str) -> String {
    match key.chars().next() {
        None => String::new(),
        Some('M') => "mobile".to_owned(),
        Some('N') => "network".to_owned(),
        Some('R') => "router".to_owned(),
        Some('A') => "area".to_owned(),
        Some('L') => "local".to_owned(),
        Some('T') => "topo".to_owned(),
        Some('H') => "edge".to_owned(),
        Some(other) => format!("unknown: {other}"),
    }
}

/// Returns class and text of the address with this key.
fn address(key: &str) -> [Value; 2] {
    let mut text = key.chars();
    text.next();
    [Value::String(class(key)), Value::string(text.as_str())]
}

pub(super) fn links(answers: &Answers, verbose: bool) -> Vec<Block> {
    let Some(links) = answers.get(LINKS) else { return Vec::new() };
    let count = |title| column(title).of(Form::Number);
    let mut columns: Vec<_> = ["type", "dir", "conn id", "id", "class", "addr"].map(column).into();
    columns.push(count("cap"));
    // Titles and attributes. Older routers lack some of these attributes.
    let counts: Vec<_> = [
        ("pri", "priority"),
        ("undel", "undeliveredCount"),
        ("unsett", "unsettledCount"),
        ("deliv", "deliveryCount"),
        ("presett", "presettledCount"),
        ("psdrop", "droppedPresettledCount"),
        ("acc", "acceptedCount"),
        ("rej", "rejectedCount"),
        ("rel", "releasedCount"),
        ("mod", "modifiedCount"),
        ("delay", "deliveriesDelayed1Sec"),
        ("rate", "settleRate"),
        ("stuck", "deliveriesStuck"),
        ("cred", "creditAvailable"),
    ]
    .into_iter()
    .filter(|(_, name)| links.has(name))
    .collect();
    columns.extend(counts.iter().map(|(title, _)| count(title)));
    let has_credit = links.has("creditAvailable");
    if has_credit {
        columns.push(column("blkd"));
    }
    if verbose {
        columns.extend(["admin", "oper", "name"].map(column));
    }
    let mut table = Table::new("Router Links", columns);
    for link in links.rows() {
        let mut row: Vec<_> = ["linkType", "linkDir", "connectionId", "identity"]
            .map(|name| link.get(name).clone())
            .into();
        row.extend(address(link.text("owningAddr")));
        row.push(link.get("capacity").clone());
        for (_, name) in &counts {
            row.push(match *name {
                "deliveriesDelayed1Sec" => {
                    let delayed =
                        [name, "deliveriesDelayed10Sec"].map(|name| link.get(name).as_u64());
                    match delayed {
                        [Some(one), Some(ten)] => Value::Ulong(one.saturating_add(ten)),
                        _ => Value::Null,
                    }
                }
                name => link.get(name).clone(),
            });
        }
        if has_credit {
            row.push(Value::String(cell::short_time(link.get("zeroCreditSeconds"))));
        }
        if verbose {
            row.extend(
                ["adminStatus", "operStatus", "linkName"].map(|name| link.get(name).clone()),
            );
        }
        table.push(row);
    }
    vec![Block::Table(table)]
}

pub(super) fn addresses(answers: &Answers, verbose: bool) -> Vec<Block> {
    let Some(addresses) = answers.get(ADDRESSES) else { return Vec::new() };
    let count = |title| column(title).of(Form::Commas);
    let has_priority = addresses.has("priority");
    let mut columns: Vec<_> = ["class", "addr", "distrib"].map(column).into();
    if has_priority {
        columns.push(column("pri"));
    }
    if verbose {
        columns.push(count("in-proc"));
    }
    columns.extend(["local", "remote", "in", "out", "thru"].map(count));
    if verbose {
        columns.extend(["to-proc", "from-proc", "watch"].map(count));
    }
    let mut table = Table::new("Router Addresses", columns);
    for entry in addresses.rows() {
        let mut row = Vec::from(address(entry.text("name")));
        row.push(entry.get("distribution").clone());
        if has_priority {
            let priority = entry.get("priority");
            row.push(if priority.as_i64().is_some_and(|priority| priority >= 0) {
                number(priority)
            } else {
                Value::string("-")
            });
        }
        let mut counts =
            |names: &[&str]| row.extend(names.iter().map(|name| number(entry.get(name))));
        if verbose {
            counts(&["inProcess"]);
        }
        counts(&[
            "subscriberCount",
            "remoteCount",
            "deliveriesIngress",
            "deliveriesEgress",
            "deliveriesTransit",
        ]);
        if verbose {
            counts(&["deliveriesToContainer", "deliveriesFromContainer"]);
            row.push(Value::string(if cell::is_true(entry.get("watch")) { "Y" } else { "" }));
        }
        table.push(row);
    }
    table.sort("addr");
    vec![Block::Table(table)]
}

pub(super) fn auto_links(answers: &Answers) -> Vec<Block> {
    let Some(links) = answers.get(AUTO_LINKS).filter(|links| links.first().is_some()) else {
        return line("AutoLinks\nNo AutoLinks found");
    };
    let mut table = Table::new(
        "AutoLinks",
        ["addr", "dir", "extAddr", "link", "status", "lastErr"].map(column).into(),
    );
    for link in links.rows() {
        let names =
            ["address", "direction", "externalAddress", "linkRef", "operStatus", "lastError"];
        table.push(names.map(|name| link.get(name).clone()).into());
    }
    table.sort("addr");
    vec![Block::Table(table)]
}
