//! Numbers as the agents of C routers write them.

use skupper_proto::amqp::Value;

use crate::agent::Record;
use crate::tcp::Stats;

/// Returns a count as a value: in 32 bits where it fits.
pub(super) fn number(count: u64) -> Value {
    i64::try_from(count).map_or(Value::Ulong(count), |count| {
        i32::try_from(count).map_or(Value::Long(count), Value::Int)
    })
}

/// Tells what a service's port or server has carried.
pub(super) fn put_service(record: &mut Record, stats: &Stats) {
    let (opened, open) = stats.connections();
    let (octets_in, octets_out) = stats.octets();
    record.put("connectionsOpened", number(opened));
    record.put("connectionsClosed", number(opened.saturating_sub(open)));
    record.put("bytesIn", number(octets_in));
    record.put("bytesOut", number(octets_out));
}
