//! `connection`: an open connection.

use std::sync::Arc;

use skupper_proto::amqp::performative::Error;
use skupper_proto::amqp::{Value, condition};
use skupper_proto::management::Status;

use crate::agent::{ConnectionChange, Page, Record, Refusal};
use crate::app::running::Running;
use crate::log;
use crate::node::{ConnectionRecord, ConnectionRole, Protocol};
use crate::schema::{EntityKind, Role};
use crate::tcp::TcpListener;

const KIND: EntityKind = EntityKind::Connection;

/// Returns open connections, by number.
pub(super) fn all(running: &Running, page: Page) -> impl Iterator<Item = Record> + Send {
    page.of(running.node.registry.all()).map(move |record| record_of(running, &record))
}

/// Finds an open connection by its number.
pub(super) fn find(running: &Running, identity: &str) -> Option<Record> {
    let record = identity.parse().ok().and_then(|id| running.node.registry.connection(id));
    record.map(|record| record_of(running, &record))
}

/// Closes a connection, or says whether its frames are logged. `requester` is the connection that
/// the request came by.
///
/// # Errors
/// There is no such connection, or the requester may not close it.
pub(in crate::app) fn change(
    running: &Running,
    identity: &str,
    change: ConnectionChange,
    requester: Option<u64>,
) -> Result<Record, Refusal> {
    let record = identity.parse().ok().and_then(|id| running.node.registry.connection(id));
    let record = record.ok_or_else(|| Refusal::plain(Status::BAD_REQUEST))?;
    let forbidden =
        || Refusal::new(Status::FORBIDDEN, "You are not allowed to perform this operation.");
    if change.status
        && let Some(requester) = requester
    {
        let requester = running.node.registry.connection(requester);
        if !requester
            .ok_or_else(|| Refusal::bad("Parent connection no longer exists"))?
            .may_close_others
        {
            return Err(forbidden());
        }
    }
    let between_routers = matches!(
        record.role,
        ConnectionRole::Configured(Role::InterRouter | Role::Edge)
            | ConnectionRole::InterRouterData
    );
    if change.close && between_routers {
        return Err(forbidden());
    }
    let mut told = record_of(running, &record);
    if let Some(on) = change.trace {
        if let Some(trace) = &record.trace {
            trace.set(on);
        }
        told.put("enableProtocolTrace", on);
    }
    if change.close {
        let by = requester.map(|id| format!(" from connection [C{id}]")).unwrap_or_default();
        log!(Agent, Info, "[C{}] Connection force-closed by request{by}", record.id);
        let text = "Connection forced-closed by management request";
        record.closer.close(Some(Error::new(condition::CONNECTION_FORCED, text)));
        let (node, id) = (Arc::clone(&running.node), record.id);
        if requester != Some(id) {
            running.wait(async move { node.registry.gone(id).await });
        }
        told.put("adminStatus", "deleted");
        told.put("operStatus", "closing");
    }
    Ok(told)
}

fn record_of(running: &Running, record: &ConnectionRecord) -> Record {
    let host = record.host.to_string();
    let now = running.node.clock.now();
    let amqp = record.protocol() == Protocol::Amqp;
    let tls = record.tls.as_deref();
    let since = record.octets.since_delivery(now).filter(|_| amqp);
    let listened = (!amqp && !record.outgoing).then(|| {
        let named = |listener: &TcpListener| *listener.config().name == *record.entity;
        running.find_of(named).map(|listener| listener.config().host_port())
    });
    let properties = match amqp {
        true => record
            .peer
            .properties
            .iter()
            .map(|(key, value)| (Value::string(key.as_str()), value.clone()))
            .collect(),
        false => vec![(Value::string("qd.adaptor"), Value::string("tcp"))],
    };
    Record::new(KIND)
        .with("name", format!("connection/{host}"))
        .with("identity", record.id.to_string())
        .with("host", host)
        .with("localSocket", listened.flatten())
        .with("role", if amqp { record.role.as_str() } else { "normal" })
        .with("protocol", record.protocol().as_str())
        .with("dir", if record.outgoing { "out" } else { "in" })
        .with(
            "container",
            if amqp { record.container.as_deref().unwrap_or_default() } else { "TcpAdaptor" },
        )
        .with("sasl", if amqp { record.peer.sasl } else { Some("") })
        .with("isAuthenticated", record.peer.sasl.is_some())
        .with("user", if amqp { record.peer.user.as_deref() } else { Some("") })
        .with("isEncrypted", tls.is_some())
        .with("sslProto", tls.map(|tls| tls.protocol))
        .with("sslCipher", tls.map(|tls| tls.cipher))
        .with("properties", Value::Map(properties))
        .with("sslSsf", Value::Long(tls.map_or(0, |tls| tls.cipher_bits.into())))
        .with("type", KIND.long_name())
        .with("ssl", tls.is_some())
        .with("opened", true)
        .with("active", record.edge.as_ref().is_none_or(|edge| edge.is_active()))
        .with(
            "meshId",
            record.edge.as_ref().and_then(|edge| edge.mesh()).map(|mesh| Value::string(&**mesh)),
        )
        .with("adminStatus", "enabled")
        .with("operStatus", "up")
        .with(
            "uptimeSeconds",
            u32::try_from(now.since(record.opened.1).as_secs()).unwrap_or(u32::MAX),
        )
        .with(
            "lastDlvSeconds",
            since.map(|since| Value::Uint(u32::try_from(since.as_secs()).unwrap_or(u32::MAX))),
        )
        .with("enableProtocolTrace", record.trace.as_ref().is_some_and(|trace| trace.is_on()))
        .with("tlsOrdinal", tls.map(|tls| tls.ordinal).filter(|_| amqp))
        .with("groupCorrelationId", record.peer.correlator.as_deref())
        .with(
            "groupOrdinal",
            record.peer.correlator.as_ref().map(|_| record.peer.ordinal.unwrap_or(0)),
        )
}
