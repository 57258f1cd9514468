//! `vhostStats`: the numbers of each vhost.

use std::sync::Arc;

use skupper_proto::amqp::Value;

use crate::agent::Record;
use crate::app::figures::number;
use crate::app::running::Running;
use crate::policy::VhostCounts;
use crate::schema::EntityKind;

const KIND: EntityKind = EntityKind::VhostStats;

/// Returns what was counted for each vhost.
pub(super) fn all(running: &Running) -> Vec<Record> {
    let stats = |(index, (hostname, counts)): (usize, (String, Arc<VhostCounts>))| {
        let identity = format!("vhostStats/{index}");
        let (approved, denied) = counts.connections();
        let mut record = Record::new(KIND)
            .with("name", identity.as_str())
            .with("identity", identity.as_str())
            .with("type", KIND.long_name())
            .with("hostname", hostname);
        for (name, state) in ["perUserState", "perHostState"].into_iter().zip(counts.state()) {
            let held = |connections: Vec<u64>| {
                Value::List(
                    connections.into_iter().map(|id| Value::string(id.to_string())).collect(),
                )
            };
            let pairs =
                state.into_iter().map(|(key, connections)| (Value::string(key), held(connections)));
            record.put(name, Value::Map(pairs.collect()));
        }
        let names = ["sessionDenied", "senderDenied", "receiverDenied", "maxMessageSizeDenied"];
        let counted = names.into_iter().zip(counts.refused());
        let of_connections = [
            ("connectionsApproved", approved),
            ("connectionsDenied", denied),
            ("connectionsCurrent", counts.current()),
        ];
        for (name, count) in counted.chain(of_connections) {
            record.put(name, number(count));
        }
        record
    };
    running.node.access.policy.vhost_counts().into_iter().enumerate().map(stats).collect()
}
