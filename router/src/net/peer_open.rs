//! The peer's open: it says what the peer is, and that decides what becomes of the connection.

use std::sync::Arc;

use skupper_proto::amqp::Value;
use skupper_proto::amqp::performative::Open;
use skupper_proto::amqp::show::{Show, Unsigned};

use super::context::Context;
use super::open::{FAILOVER, OURS, group_ordinal};
use super::peer::PeerOpen;
use super::settings::Settings;
use crate::log;
use crate::node::PeerInfo;
use crate::tls::SessionInfo;

/// Most properties of a peer's open that are kept for status, and most octets of theirs: routers
/// send some hundreds.
const MAX_PROPERTIES: usize = 64;
const MAX_PROPERTY_OCTETS: usize = 8 * 1024;

/// A peer that takes links for what is forwarded as it arrives, each for one message at a time.
const STREAMING_LINKS: &str = "qd.streaming-links";

/// A router that tells apart what comes by the connections of one group.
const TRUNKING: &str = "qd.connection_trunking";

/// A property of an open.
fn property<'open>(open: &'open Open, name: &str) -> Option<&'open Value> {
    open.properties.as_ref()?.get(name)
}

/// Reads what a connection keeps of the peer's open.
pub(super) fn read(open: &Open) -> PeerOpen {
    let offers = |capability| {
        open.offered_capabilities.as_ref().is_some_and(|offered| offered.contains(capability))
    };
    PeerOpen {
        container: Arc::from(open.container_id.as_str()),
        streaming_links: offers(STREAMING_LINKS),
        trunking: offers(TRUNKING),
        ordinal: group_ordinal(open),
    }
}

/// Returns whether the peer's engine must not hold much unread: it is a C router.
pub(super) fn bounds_unread(open: &Open) -> bool {
    property(open, OURS).is_none()
}

/// Returns the release that the peer says it has.
pub(super) fn version(open: &Open) -> Option<&str> {
    property(open, "version").and_then(Value::as_text)
}

/// Returns the other addresses that the peer tells.
pub(super) fn failover(open: &Open) -> Option<&Value> {
    property(open, FAILOVER)
}

/// What the peer's open makes of a connection between routers.
pub(super) struct Announced {
    /// It is a data connection.
    pub(super) data: bool,
    /// The cost of the link.
    pub(super) cost: u32,
    /// The correlator of its group: ours as connector, the peer's as listener.
    pub(super) correlator: Option<String>,
}

/// Reads what the peer's open makes of a connection between interior routers.
pub(super) fn announced(settings: &Settings, open: &Open) -> Announced {
    let data = matches!(property(open, "qd.inter-router-role"), Some(Value::Int(4)));
    let cost = match property(open, "qd.inter-router-cost") {
        Some(Value::Int(cost)) => settings.cost.max(u32::try_from(*cost).unwrap_or(1)),
        _ => settings.cost,
    };
    let correlator = match property(open, "qd.group-correlator") {
        _ if settings.outgoing => settings.correlator.clone(),
        Some(Value::String(text)) => Some(text.chars().take(15).collect()),
        _ => None,
    };
    Announced { data: settings.data || !settings.outgoing && data, cost, correlator }
}

/// Logs that the connection is open.
pub(super) fn log_opened(cx: &Context, tls: Option<&Arc<SessionInfo>>, open: &Open) {
    let (host, encrypted) = (&cx.peer.host, tls.map_or("no", |info| info.protocol));
    let (direction, mechanism) =
        (if cx.settings.outgoing { "out" } else { "in" }, cx.peer.mechanism.unwrap_or("no"));
    let (user, container) = (cx.peer.user().unwrap_or_default(), &open.container_id);
    let properties = properties_text(open);
    let line = format!(
        "[C{}] Connection Opened: dir={direction} host={host} encrypted={encrypted} auth={mechanism} user={user} container_id={container} props={properties}",
        cx.id
    );
    if cx.settings.role.is_router() {
        log!(RouterCore, Info, "{line}");
    } else {
        log!(RouterCore, Debug, "{line}");
    }
    if let Some(version) = property(open, "qd.annotations-version").and_then(Value::as_i64) {
        log!(Router, Debug, "Remote router annotations version: {version}");
    }
}

/// Returns what status shows of the peer.
pub(super) fn info(cx: &Context, open: &Open) -> PeerInfo {
    let mut peer = peer_info(open, cx.peer.mechanism, cx.peer.user.clone());
    if cx.settings.outgoing {
        (peer.correlator, peer.ordinal) = (cx.settings.correlator.clone(), cx.settings.ordinal);
    }
    peer
}

/// What is kept of a peer's open for status.
fn peer_info(open: &Open, sasl: Option<&'static str>, user: Option<String>) -> PeerInfo {
    let told = |value: &Value| {
        matches!(value, Value::String(_) | Value::Symbol(_)) || value.as_i64().is_some()
    };
    let mut octets = 0;
    let properties: Vec<_> = open
        .properties
        .iter()
        .flat_map(|properties| &properties.0)
        // As C routers do: what comes behind a value of another kind is not looked at.
        .take_while(|(_, value)| told(value))
        .take(MAX_PROPERTIES)
        .take_while(|(key, value)| {
            octets += key.as_str().len() + value.as_text().map_or(0, str::len);
            octets <= MAX_PROPERTY_OCTETS
        })
        .map(|(key, value)| (key.as_str().to_owned(), value.clone()))
        .collect();
    PeerInfo {
        sasl,
        user,
        correlator: property(open, "qd.group-correlator")
            .and_then(Value::as_text)
            .map(str::to_owned),
        ordinal: group_ordinal(open),
        properties,
    }
}

/// As C routers show them.
fn properties_text(open: &Open) -> String {
    let pairs = open.properties.iter().flat_map(|properties| &properties.0).take(16);
    let pairs = pairs.map(|(key, value)| (Value::Symbol(key.clone()), value.clone())).collect();
    Show(&Value::Map(pairs), Unsigned::Decimal).to_string()
}

#[cfg(test)]
mod tests {
    use skupper_proto::amqp::{Fields, Symbol};

    use super::*;

    #[test]
    fn properties_are_told_as_c_routers_tell_them() {
        let pairs = [
            ("product", Value::from("a \"b\"\n")),
            ("qd.conn-id", Value::from(2)),
            ("raw", Value::Null),
        ];
        let properties = Fields(
            pairs.into_iter().map(|(key, value)| (Symbol::from_static(key), value)).collect(),
        );
        let open = Open { properties: Some(properties), ..Open::default() };
        assert_eq!(properties_text(&open), r#"{:product="a \"b\"\n", :"qd.conn-id"=2, :raw=null}"#);
        assert_eq!(properties_text(&Open::default()), "{}");
    }
}
