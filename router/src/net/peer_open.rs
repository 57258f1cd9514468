//! The peer's open: this file reads its properties and capabilities.

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

/// The most properties of a peer's open that status keeps, and their most bytes. Routers send some
/// hundreds of bytes.
const MAX_PROPERTIES: usize = 64;
const MAX_PROPERTY_OCTETS: usize = 8 * 1024;

/// The capability of a peer that takes links for one message each, forwarded as it arrives.
const STREAMING_LINKS: &str = "qd.streaming-links";

/// The capability of a router that tells apart the connections of one group.
const TRUNKING: &str = "qd.connection_trunking";

/// Returns a property of an open.
fn property<'open>(open: &'open Open, name: &str) -> Option<&'open Value> {
    open.properties.as_ref()?.get(name)
}

/// Returns the parts of the peer's open that a connection keeps.
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

/// Returns whether the peer is a C router: its engine must not hold much unread.
pub(super) fn bounds_unread(open: &Open) -> bool {
    property(open, OURS).is_none()
}

/// Returns the release of the peer.
pub(super) fn version(open: &Open) -> Option<&str> {
    property(open, "version").and_then(Value::as_text)
}

/// Returns the other addresses that the peer tells.
pub(super) fn failover(open: &Open) -> Option<&Value> {
    property(open, FAILOVER)
}

/// The facts in the peer's open about a connection between interior routers.
pub(super) struct Announced {
    /// It is a data connection.
    pub(super) data: bool,
    /// The cost of the link.
    pub(super) cost: u32,
    /// The correlator of its group: ours as connector, the peer's as listener.
    pub(super) correlator: Option<String>,
}

/// Returns the facts in the peer's open about a connection between interior routers.
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
        "[C{}] Connection Opened: dir={direction} host={host} encrypted={encrypted} \
         auth={mechanism} user={user} container_id={container} props={properties}",
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

/// Returns the facts about the peer that status shows.
pub(super) fn info(cx: &Context, open: &Open) -> PeerInfo {
    let mut peer = peer_info(open, cx.peer.mechanism, cx.peer.user.clone());
    if cx.settings.outgoing {
        (peer.correlator, peer.ordinal) = (cx.settings.correlator.clone(), cx.settings.ordinal);
    }
    peer
}

/// Returns the parts of a peer's open that status shows.
fn peer_info(open: &Open, sasl: Option<&'static str>, user: Option<String>) -> PeerInfo {
    let told = |value: &Value| {
        matches!(value, Value::String(_) | Value::Symbol(_)) || value.as_i64().is_some()
    };
    let mut octets = 0;
    let properties: Vec<_> = open
        .properties
        .iter()
        .flat_map(|properties| &properties.0)
        // C routers stop at the first value of another kind.
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

/// Returns the properties of an open in the notation of C routers.
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
