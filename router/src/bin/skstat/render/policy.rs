//! The views of policy and vhosts.

use skupper_proto::amqp::Value;

use super::{line, number};
use crate::bin::skstat::answers::{Answers, Entities};
use crate::bin::skstat::cell;
use crate::bin::skstat::table::{Block, Table, column};
use crate::bin::skstat::view::{POLICY, VHOST_STATS, VHOSTS};

/// The C router's text for a missing value.
const NIL: &str = "(nil)";

fn pairs(title: impl Into<String>, rows: Vec<(&str, Value)>) -> Block {
    let mut table = Table::new(title, vec![column("attr"), column("value")]);
    for (name, value) in rows {
        table.push(vec![Value::string(name), value]);
    }
    Block::Table(table)
}

pub(super) fn policy(answers: &Answers) -> Vec<Block> {
    let Some(policies) = answers.get(POLICY) else { return Vec::new() };
    let Some(policy) = policies.first() else { return line("No policy") };
    let count = |name| number(policy.get(name));
    let text = |name| match policy.text(name) {
        "" => Value::string(NIL),
        text => Value::string(text),
    };
    let mut configured = vec![("Maximum Concurrent Connections", count("maxConnections"))];
    if policies.has("maxMessageSize") {
        configured.push(("Maximum Message Size", count("maxMessageSize")));
    }
    configured.extend([
        ("Enable Vhost Policy", policy.get("enableVhostPolicy").clone()),
        ("Enable Vhost Name Patterns", policy.get("enableVhostNamePatterns").clone()),
        ("Policy Directory", text("policyDir")),
        ("Default Vhost", text("defaultVhost")),
    ]);
    let mut counted = vec![
        ("Connections Processed", count("connectionsProcessed")),
        ("Connections Denied", count("connectionsDenied")),
        ("Connections Current", count("connectionsCurrent")),
        ("Links Denied", count("linksDenied")),
    ];
    if policies.has("maxMessageSizeDenied") {
        counted.push(("Maximum Message Size Denied", count("maxMessageSizeDenied")));
    }
    counted.push(("Total Denials", count("totalDenials")));
    vec![pairs("Policy Configuration", configured), pairs("\nPolicy Status", counted)]
}

pub(super) fn vhosts(answers: &Answers) -> Vec<Block> {
    let Some(vhosts) = answers.get(VHOSTS).filter(|vhosts| vhosts.first().is_some()) else {
        return line("No Vhosts");
    };
    let has_size = vhosts.has("maxMessageSize");
    let limits: Vec<_> =
        ["maxConnections", "maxMessageSize", "maxConnectionsPerUser", "maxConnectionsPerHost"]
            .into_iter()
            .filter(|name| has_size || *name != "maxMessageSize")
            .collect();
    let mut columns = vec![column("hostname")];
    columns.extend(limits.iter().map(|name| column(name)));
    columns.extend(["allowUnknownUser", "groups"].map(column));
    let mut table = Table::new("Vhosts", columns);
    for vhost in vhosts.rows() {
        let mut row = vec![vhost.get("hostname").clone()];
        row.extend(limits.iter().map(|name| number(vhost.get(name))));
        row.push(vhost.get("allowUnknownUser").clone());
        row.push(Value::String(vhost.get("groups").as_map().unwrap_or_default().len().to_string()));
        table.push(row);
    }
    vec![Block::Table(table)]
}

/// The form of a group's attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AttributeForm {
    Number,
    Flag,
    Text,
}

/// Attributes of a group that fit into one line.
const SHORT: &[(&str, AttributeForm)] = &[
    ("maxConnectionsPerUser", AttributeForm::Number),
    ("maxConnectionsPerHost", AttributeForm::Number),
    ("maxMessageSize", AttributeForm::Number),
    ("maxFrameSize", AttributeForm::Number),
    ("maxSessionWindow", AttributeForm::Number),
    ("maxSessions", AttributeForm::Number),
    ("maxSenders", AttributeForm::Number),
    ("maxReceivers", AttributeForm::Number),
    ("allowDynamicSource", AttributeForm::Flag),
    ("allowAnonymousSender", AttributeForm::Flag),
    ("allowUserIdProxy", AttributeForm::Flag),
    ("allowAdminStatusUpdate", AttributeForm::Flag),
];

/// Attributes of a group that may be long.
const LONG: &[&str] =
    &["users", "remoteHosts", "sources", "targets", "sourcePattern", "targetPattern"];

pub(super) fn groups(answers: &Answers) -> Vec<Block> {
    let Some(vhosts) = answers.get(VHOSTS).filter(|vhosts| vhosts.first().is_some()) else {
        return line("No Vhosts");
    };
    let schema = answers
        .get("schema")
        .and_then(Entities::first)
        .map_or(&Value::Null, |row| row.get("schema"));
    let known = ["entityTypes", "vhostUserGroupSettings", "attributes"];
    let known = known.iter().try_fold(schema, |value, key| value.get(key)).unwrap_or(&Value::Null);
    // A missing attribute has the schema's default. The schema omits defaults of false and null.
    let attribute = |group: &Value, name: &str, form: AttributeForm| {
        let value = group.get(name).or_else(|| known.get(name)?.get("default"));
        match (value, form) {
            (Some(value), AttributeForm::Number) => number(value),
            (Some(value), _) => value.clone(),
            (None, AttributeForm::Flag) => Value::string("False"),
            (None, _) => Value::string(NIL),
        }
    };
    let has_size = vhosts.has("maxMessageSize");
    let short: Vec<_> =
        SHORT.iter().filter(|(name, _)| has_size || *name != "maxMessageSize").collect();
    let mut columns: Vec<_> = ["vhost", "group"].map(column).into();
    columns.extend(short.iter().map(|(name, _)| column(name)));
    let mut table = Table::new("Vhost Groups", columns);
    let mut details = Vec::new();
    for vhost in vhosts.rows() {
        let host = vhost.get("hostname");
        for (name, group) in vhost.get("groups").as_map().unwrap_or_default() {
            let mut row = vec![host.clone(), name.clone()];
            row.extend(short.iter().map(|(name, form)| attribute(group, name, *form)));
            table.push(row);
            let mut rows = vec![("vhost", host.clone()), ("group", name.clone())];
            rows.extend(
                LONG.iter().map(|name| (*name, attribute(group, name, AttributeForm::Text))),
            );
            details.push(pairs(
                format!("\nVhost '{}' UserGroup '{}'", cell::text(host), cell::text(name)),
                rows,
            ));
        }
    }
    let mut blocks = vec![Block::Table(table)];
    blocks.extend(details);
    blocks
}

pub(super) fn stats(answers: &Answers) -> Vec<Block> {
    let Some(stats) = answers.get(VHOST_STATS).filter(|stats| stats.first().is_some()) else {
        return line("No Vhost Stats");
    };
    let counts: Vec<_> = [
        "connectionsApproved",
        "connectionsDenied",
        "connectionsCurrent",
        "sessionDenied",
        "senderDenied",
        "receiverDenied",
        "maxMessageSizeDenied",
    ]
    .into_iter()
    .filter(|name| *name != "maxMessageSizeDenied" || stats.has(name))
    .collect();
    let mut columns = vec![column("hostname")];
    columns.extend(counts.iter().map(|name| column(name)));
    let mut table = Table::new("Vhost Stats", columns);
    let mut users =
        Table::new("\nVhost User Stats", ["vhost", "user", "remote hosts"].map(column).into());
    for vhost in stats.rows() {
        let host = vhost.get("hostname");
        let mut row = vec![host.clone()];
        row.extend(counts.iter().map(|name| number(vhost.get(name))));
        table.push(row);
        for (user, hosts) in vhost.get("perUserState").as_map().unwrap_or_default() {
            users.push(vec![host.clone(), user.clone(), hosts.clone()]);
        }
    }
    vec![Block::Table(table), Block::Table(users)]
}
