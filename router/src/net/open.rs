//! The open of this router.

use serde_json::{Map, Value as Json};
use skupper_proto::amqp::performative::Open;
use skupper_proto::amqp::{Fields, Multiple, Symbol, Value};
use skupper_proto::edge::INTER_EDGE;
use skupper_proto::engine;

use super::settings::Settings;
use crate::node::Node;
use crate::schema::{FailoverUrl, Role};

/// The property by which Rust routers recognize each other.
pub(super) const OURS: &str = "skrouterd";

/// The property with other addresses of the sender.
pub(super) const FAILOVER: &str = "failover-server-list";

/// The property with the ordinal of a connector's certificates.
const GROUP_ORDINAL: &str = "qd.group-ordinal";

/// The bytes that one session of a router may have under way. A C router announces as much
/// (`qd_session_incoming_window_router` in its `container.c`). Streams have windows of their own,
/// so this one need not bound them.
const ROUTER_WINDOW: u32 = 128 * 1024 * 1024;

/// The bytes that one session of a client may have under way. A C router announces as much
/// (`qd_session_incoming_window_normal` in its `container.c`). Here a client's share of the memory
/// account bounds them further: all of them may wait here.
const CLIENT_WINDOW: u32 = 8 * 1024 * 1024;

/// The fewest transfers of a session window. A C router takes no fewer: it renews the window at
/// half of it, and half must not be 0.
const LEAST_WINDOW: u32 = 2;

/// Returns the ordinal of the certificates with which a connector made the connection, if its open
/// tells it.
pub(super) fn group_ordinal(open: &Open) -> Option<u64> {
    open.properties.as_ref()?.get(GROUP_ORDINAL)?.as_u64()
}

/// Returns the properties that a listener or connector adds to its open.
pub(super) fn configured(
    properties: Option<&Map<String, Json>>,
    failover: &[FailoverUrl],
) -> Fields {
    let mut fields = Fields::default();
    if !failover.is_empty() {
        fields.push(FAILOVER, Value::List(failover.iter().map(failover_entry).collect()));
    }
    for (key, value) in properties.into_iter().flatten() {
        fields.push(key.clone(), amqp(value));
    }
    fields
}

fn failover_entry(url: &FailoverUrl) -> Value {
    let pair = |key, value: &str| (Value::Symbol(Symbol::from_static(key)), Value::string(value));
    let mut entry = vec![pair("network-host", &url.host), pair("port", &url.port.text)];
    entry.extend(url.scheme.as_deref().map(|scheme| pair("scheme", scheme)));
    Value::Map(entry)
}

/// Returns a configured value in types that clients of every language read.
fn amqp(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(number) => i32::try_from(number).map_or(Value::Long(number), Value::Int),
            None => number
                .as_u64()
                .map_or_else(|| Value::Double(number.as_f64().unwrap_or_default()), Value::Ulong),
        },
        Json::String(text) => Value::string(text.as_str()),
        Json::Array(items) => Value::List(items.iter().map(amqp).collect()),
        Json::Object(pairs) => Value::Map(
            pairs.iter().map(|(key, value)| (Value::string(key.as_str()), amqp(value))).collect(),
        ),
    }
}

/// Returns the engine's configuration for a connection.
pub(super) fn config(node: &Node, id: u64, settings: &Settings) -> engine::Config {
    let router = matches!(settings.role, Role::InterRouter | Role::Edge | Role::InterEdge);
    let mut properties = Fields::default();
    properties.push("product", Value::string("skupper-router"));
    properties.push("version", Value::string(env!("CARGO_PKG_VERSION")));
    properties.push("qd.conn-id", Value::Int(i32::try_from(id).unwrap_or(i32::MAX)));
    if router {
        properties.push(OURS, Value::string(env!("CARGO_PKG_VERSION")));
        if settings.cost > 1 {
            properties.push(
                "qd.inter-router-cost",
                Value::Int(i32::try_from(settings.cost).unwrap_or(i32::MAX)),
            );
        }
        if settings.data {
            properties.push("qd.inter-router-role", Value::Int(4));
        }
        // A listener must never send either: a C router that connected would take them for its own.
        if let Some(correlator) = settings.correlator.as_ref().filter(|_| settings.outgoing) {
            properties.push("qd.group-correlator", Value::string(correlator.as_str()));
            if let Some(ordinal) = settings.ordinal {
                properties.push(GROUP_ORDINAL, Value::Ulong(ordinal));
            }
        }
        if let Some(access) = &settings.access_id {
            properties.push("qd.access-id", Value::string(access.as_str()));
        }
        properties.push("qd.annotations-version", Value::Int(2));
    }
    properties.0.extend(settings.properties.0.iter().cloned());
    let window = if router {
        ROUTER_WINDOW
    } else {
        let share = u32::try_from(node.core.account().client_window()).unwrap_or(u32::MAX);
        CLIENT_WINDOW.min(share)
    };
    engine::Config {
        container_id: node.core.id().to_string(),
        hostname: settings.hostname.clone(),
        max_frame_size: settings.max_frame_size,
        channel_max: settings.channel_max,
        idle_timeout: settings.idle_timeout,
        handshake_timeout: settings.handshake_timeout,
        incoming_window: settings
            .session_frames
            .unwrap_or_else(|| (window / settings.max_frame_size).max(LEAST_WINDOW)),
        capabilities: match settings.role {
            Role::InterEdge => Multiple::of(&[
                "ANONYMOUS-RELAY",
                "qd.streaming-links",
                "qd.connection_trunking",
                INTER_EDGE,
            ]),
            _ => Multiple::of(&["ANONYMOUS-RELAY", "qd.streaming-links", "qd.connection_trunking"]),
        },
        properties,
        layer: settings.layer.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::failover_urls;

    #[test]
    fn configured_properties_keep_their_types() {
        let json = json!({
            "int": -3,
            "long": 1_i64 << 40,
            "float": 0.5,
            "none": null,
            "list": [1, "a", {"b": true}],
            "empty": {},
        });
        let fields = configured(json.as_object(), &[]);
        let list = Value::List(vec![
            Value::Int(1),
            Value::string("a"),
            Value::Map(vec![(Value::string("b"), Value::Bool(true))]),
        ]);
        let expected = [
            ("int", Value::Int(-3)),
            ("long", Value::Long(1 << 40)),
            ("float", Value::Double(0.5)),
            ("none", Value::Null),
            ("list", list),
            ("empty", Value::Map(vec![])),
        ];
        assert_eq!(fields.0, expected.map(|(key, value)| (Symbol::from(key), value)));
    }

    #[test]
    fn other_addresses_have_a_scheme_where_one_is_given() {
        let fields = configured(None, &failover_urls("a:1, amqps://b:2").unwrap());
        let entry = |pairs: &[(&'static str, &str)]| {
            Value::Map(
                pairs
                    .iter()
                    .map(|(key, value)| (Value::Symbol(Symbol::from(*key)), Value::string(*value)))
                    .collect(),
            )
        };
        let list = vec![
            entry(&[("network-host", "a"), ("port", "1")]),
            entry(&[("network-host", "b"), ("port", "2"), ("scheme", "amqps")]),
        ];
        assert_eq!(fields.0, [(Symbol::from(FAILOVER), Value::List(list))]);
    }
}
