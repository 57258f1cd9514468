//! Puts a router's answers into words and tables. Pure: from the model to text.
//!
//! Peers gave many of the names in the model. Every text for a terminal passes [`word`] first.

use std::fmt::Write;

use jiff::{Timestamp, Unit};

use crate::admin::model::{
    Address, Connection, Direction, Link, LinkState, Notice, Router, Service, ServiceConnector,
    ServiceListener, Status, Tls, Version,
};

/// Returns text on one line, escaped for a terminal.
fn word(text: &str) -> String {
    crate::text::line(text).into_owned()
}

/// Returns the output of `skup status`.
pub(super) fn status(status: &Status) -> String {
    let mut text = String::new();
    let Status { router_id, mode, version, pid, .. } = status;
    let _ = writeln!(
        text,
        "Router {} ({}), release {}, process {pid}, {} for {}",
        word(router_id),
        word(mode),
        word(version),
        if status.draining { "stopping after running" } else { "running" },
        span(status.uptime_seconds)
    );
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<14}{value}");
    };
    if let Some(site) = &status.site {
        line("site:", word(site));
    }
    line("links:", format!("{} of {} active", status.links_active, status.links_configured));
    line("sites linked:", status.sites_linked.to_string());
    line("routers:", format!("{} reachable", status.routers_reachable));
    line("services:", format!("{} seen", status.services_seen));
    line(
        "connections:",
        format!("{} AMQP, {} of services", status.amqp_connections, status.service_connections),
    );
    for (name, notices) in [("warnings:", &status.warnings), ("last errors:", &status.errors)] {
        if !notices.is_empty() {
            let _ = writeln!(text, "  {name}");
            for notice in notices {
                let _ = writeln!(text, "    {}", noticed(notice));
            }
        }
    }
    text
}

fn noticed(notice: &Notice) -> String {
    let times = if notice.count > 1 { format!(" ({} times)", notice.count) } else { String::new() };
    format!("{} {}{times}", second(notice.at), word(&notice.text))
}

/// Returns the output of `skup link status`, with all details of each link if `detail`.
pub(super) fn link_status(links: &[Link], detail: bool, now: Timestamp) -> String {
    let mut text = String::new();
    for link in links {
        let name = word(&link.name);
        let active = link.state == LinkState::Active;
        let verdict = if active { "is active" } else { "not connected" };
        let _ = match (link.direction, &link.peer) {
            (Direction::Out, _) => writeln!(text, "Link {name} {verdict}"),
            (Direction::In, Some(peer)) => {
                writeln!(text, "Incoming link from {} {verdict}", word(&peer.router_id))
            }
            (Direction::In, None) => {
                writeln!(text, "Incoming link from {} {verdict}", endpoint(link))
            }
        };
        if let Some(reason) = &link.reason {
            let _ = writeln!(
                text,
                "  {:<10}{}",
                if active { "but:" } else { "reason:" },
                word(&reason.to_string())
            );
        }
        if !active || detail {
            let failures = match link.failures {
                0 => String::new(),
                1 => ", 1 attempt failed".to_owned(),
                failures => format!(", {failures} attempts failed"),
            };
            let _ = writeln!(
                text,
                "  {:<10}{} ({}){failures}",
                "since:",
                second(link.since),
                span(link.since_seconds)
            );
        }
        if !active && let Some(next) = link.next_try {
            let _ = writeln!(text, "  {:<10}{}", "next try:", until(next, now));
        }
        if detail {
            detailed(&mut text, link);
        }
    }
    if links.is_empty() {
        text.push_str("No link is configured here, and no other site is linked to this one\n");
    }
    text
}

fn detailed(text: &mut String, link: &Link) {
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<10}{value}");
    };
    let way = if link.direction == Direction::Out { "to:" } else { "from:" };
    line(way, format!("{} ({}, cost {})", endpoint(link), word(&link.role), link.cost));
    if let Some(peer) = &link.peer {
        let release = peer.version.as_deref().map(|version| format!(", release {}", word(version)));
        line("peer:", format!("router {}{}", word(&peer.router_id), release.unwrap_or_default()));
    }
    line("TLS:", link.tls.as_ref().map_or_else(|| "none".to_owned(), secured));
    line(
        "carries:",
        format!(
            "{} of 2 control links, {} of {} data connections, HELLO {}",
            link.control_links,
            link.data_connections,
            link.data_connections_wanted,
            if link.hello { "heard both ways" } else { "not heard both ways" }
        ),
    );
    line("octets:", format!("{} in, {} out", octets(link.octets_in), octets(link.octets_out)));
}

fn secured(tls: &Tls) -> String {
    let peer = match (&tls.peer_subject, tls.peer_not_after) {
        (Some(subject), Some(end)) => format!(", peer {} until {}", word(subject), day(end)),
        (Some(subject), None) => format!(", peer {}", word(subject)),
        (None, _) => ", peer without certificate".to_owned(),
    };
    format!("{}, {}{peer}", word(&tls.version), word(&tls.cipher))
}

/// Returns the output of `skup link list`.
pub(super) fn links(links: &[Link]) -> String {
    let rows = links.iter().map(|link| {
        let peer = link.peer.as_ref();
        vec![
            link.name.clone(),
            match link.direction {
                Direction::Out => "out",
                Direction::In => "in",
            }
            .to_owned(),
            link.role.clone(),
            endpoint(link),
            match link.state {
                LinkState::Active => "active",
                LinkState::Connecting => "connecting",
                LinkState::NotConnected => "not connected",
                LinkState::Stopped => "stopped",
            }
            .to_owned(),
            peer.map_or_else(none, |peer| peer.router_id.clone()),
            peer.and_then(|peer| peer.version.clone()).unwrap_or_else(none),
            link.cost.to_string(),
            link.tls.as_ref().map_or_else(none, |tls| tls.version.clone()),
            link.tls.as_ref().and_then(|tls| tls.peer_not_after).map_or_else(none, day),
            octets(link.octets_in),
            octets(link.octets_out),
        ]
    });
    let head = [
        "NAME",
        "WAY",
        "ROLE",
        "HOST",
        "STATE",
        "PEER",
        "RELEASE",
        "COST",
        "TLS",
        "CERTIFICATE UNTIL",
        "IN",
        "OUT",
    ];
    table(&head, rows, "No link is configured here, and no other site is linked to this one")
}

/// Returns the output of `skup service list`.
pub(super) fn services(services: &[Service]) -> String {
    let rows = services.iter().map(|service| {
        let open = sum(
            service,
            |listener| listener.connections_open,
            |connector| connector.connections_open,
        );
        let total = sum(
            service,
            |listener| listener.connections_total,
            |connector| connector.connections_total,
        );
        vec![
            service.address.clone(),
            service.protocol.clone(),
            joined(
                service.listeners.iter().map(|listener| host_port(&listener.host, &listener.port)),
            ),
            joined(
                service
                    .connectors
                    .iter()
                    .map(|connector| host_port(&connector.host, &connector.port)),
            ),
            joined(service.routers.iter().cloned()),
            open.to_string(),
            total.to_string(),
        ]
    });
    let head = ["ADDRESS", "PROTOCOL", "LISTENERS", "CONNECTORS", "SERVED BY", "OPEN", "TOTAL"];
    table(&head, rows, "No service is known")
}

fn sum(
    service: &Service,
    listener: fn(&ServiceListener) -> u64,
    connector: fn(&ServiceConnector) -> u64,
) -> u64 {
    service
        .listeners
        .iter()
        .map(listener)
        .chain(service.connectors.iter().map(connector))
        .fold(0, u64::saturating_add)
}

/// Returns the output of `skup service status`.
pub(super) fn service_status(services: &[Service]) -> String {
    let mut text = String::new();
    for service in services {
        let (address, protocol) = (word(&service.address), word(&service.protocol));
        let _ = match service.routers[..] {
            [] => writeln!(text, "Service {address} ({protocol}) is served by no reachable router"),
            _ => writeln!(
                text,
                "Service {address} ({protocol}) is served by {}",
                joined(service.routers.iter().map(|id| word(id)))
            ),
        };
        for listener in &service.listeners {
            let state = match &listener.error {
                Some(error) if !listener.listening => format!("not listening: {}", noticed(error)),
                _ if listener.listening => "listening".to_owned(),
                _ => "not listening while nobody serves the address".to_owned(),
            };
            let _ = writeln!(
                text,
                "  listener {} at {}: {state}",
                word(&listener.name),
                host_port(&listener.host, &listener.port)
            );
            let (open, total) = (listener.connections_open, listener.connections_total);
            carried(&mut text, open, total, listener.octets_in, listener.octets_out);
        }
        for connector in &service.connectors {
            let _ = writeln!(
                text,
                "  connector {} to {}",
                word(&connector.name),
                host_port(&connector.host, &connector.port)
            );
            let (open, total) = (connector.connections_open, connector.connections_total);
            carried(&mut text, open, total, connector.octets_in, connector.octets_out);
            if connector.failed_dials > 0 {
                let last = connector
                    .error
                    .as_ref()
                    .map(|error| format!(", last: {} {}", second(error.at), word(&error.text)));
                let _ = writeln!(
                    text,
                    "    {} failed dials{}",
                    connector.failed_dials,
                    last.unwrap_or_default()
                );
            }
        }
    }
    if services.is_empty() {
        text.push_str("No service is known\n");
    }
    text
}

fn carried(text: &mut String, open: u64, total: u64, from: u64, to: u64) {
    let _ = writeln!(
        text,
        "    {open} connections open, {total} since start, {} in, {} out",
        octets(from),
        octets(to)
    );
}

/// Returns the output of `skup router list`.
pub(super) fn routers(routers: &[Router], now: Timestamp) -> String {
    let rows = routers.iter().map(|router| {
        let (next, cost) = match (router.local, &router.next_hop, router.cost) {
            (true, ..) => ("(this router)".to_owned(), none()),
            (false, Some(next), Some(cost)) => (next.clone(), cost.to_string()),
            _ => ("(unreachable)".to_owned(), none()),
        };
        let heard = router
            .last_heard
            .map_or_else(none, |heard| format!("{} ago", span(between(heard, now))));
        vec![router.id.clone(), next, cost, joined(router.neighbors.iter().cloned()), heard]
    });
    table(&["ROUTER", "NEXT HOP", "COST", "NEIGHBORS", "LAST HEARD"], rows, "No router is known")
}

/// Returns the output of `skup connection list`.
pub(super) fn connections(connections: &[Connection]) -> String {
    let rows = connections.iter().map(|connection| {
        vec![
            connection.id.to_string(),
            connection.protocol.clone(),
            connection.role.clone(),
            match connection.direction {
                Direction::Out => "out",
                Direction::In => "in",
            }
            .to_owned(),
            connection.host.clone(),
            connection.entity.clone(),
            connection
                .container
                .clone()
                .or_else(|| connection.address.clone())
                .unwrap_or_else(none),
            connection.tls.as_ref().map_or_else(none, |tls| tls.version.clone()),
            span(connection.uptime_seconds),
            octets(connection.octets_in),
            octets(connection.octets_out),
        ]
    });
    let head = [
        "ID",
        "PROTOCOL",
        "ROLE",
        "WAY",
        "HOST",
        "ENTITY",
        "CONTAINER OR ADDRESS",
        "TLS",
        "OPEN FOR",
        "IN",
        "OUT",
    ];
    table(&head, rows, "No connection is open")
}

/// Returns the output of `skup address list`.
pub(super) fn addresses(addresses: &[Address]) -> String {
    let rows = addresses.iter().map(|address| {
        vec![
            address.key.clone(),
            address.class.clone(),
            address.treatment.clone(),
            address.local_consumers.to_string(),
            address.in_process.to_string(),
            joined(address.remote_routers.iter().cloned()),
        ]
    });
    table(
        &["KEY", "CLASS", "TREATMENT", "LOCAL", "IN PROCESS", "REMOTE ROUTERS"],
        rows,
        "The address table is empty",
    )
}

/// Returns the output of `skup version`.
pub(super) fn version(version: &Version) -> String {
    let Version { name, version, protocol, router_id } = version;
    format!(
        "{} {}, inter-router protocol {protocol}, router {}\n",
        word(name),
        word(version),
        word(router_id)
    )
}

/// Returns a table with columns as wide as their widest cell and two blanks between them. Lines
/// have no blanks at the end. Without rows it returns `empty`.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>, empty: &str) -> String {
    let mut lines: Vec<Vec<String>> = vec![head.iter().map(|&name| name.to_owned()).collect()];
    lines.extend(rows.map(|row| row.iter().map(|cell| word(cell)).collect()));
    if lines.len() == 1 {
        return format!("{empty}\n");
    }
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            lines
                .iter()
                .filter_map(|line| line.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in lines {
        let padded: Vec<String> =
            line.into_iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn none() -> String {
    "-".to_owned()
}

fn joined(words: impl Iterator<Item = String>) -> String {
    let words = words.collect::<Vec<_>>().join(", ");
    if words.is_empty() { none() } else { words }
}

fn endpoint(link: &Link) -> String {
    host_port(&link.host, &link.port)
}

fn host_port(host: &str, port: &str) -> String {
    let (host, port) = (word(host), word(port));
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// Returns a duration in its two largest units.
fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// Returns the whole seconds from `earlier` to `later`; zero if it is not earlier.
fn between(earlier: Timestamp, later: Timestamp) -> u64 {
    u64::try_from(later.as_second().saturating_sub(earlier.as_second())).unwrap_or(0)
}

fn until(next: Timestamp, now: Timestamp) -> String {
    match between(now, next) {
        0 => "now".to_owned(),
        seconds => format!("in {} (at {})", span(seconds), second(next)),
    }
}

/// Returns an instant to the second, in UTC like the logs of the other site.
fn second(at: Timestamp) -> String {
    let at = at.round(Unit::Second).unwrap_or(at);
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// Returns a number of bytes with at most three digits before its point.
fn octets(octets: u64) -> String {
    let mut value = octets as f64;
    let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = "B";
    while value >= 1000.0
        && let Some(larger) = units.next()
    {
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{octets} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests;
