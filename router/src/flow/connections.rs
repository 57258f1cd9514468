//! Records of service connections. The client's router makes the record; the server's router sends
//! it co-records with what it knows of the connection.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use skupper_proto::vanflow::{
    Fact, RecordKind, Records, Source, Told, attribute as of, read_co_records,
};

use super::{Audience, CoRecords, Slices, micros};
use crate::core::Core;
use crate::node::{ConnectionRecord, Host, Node};

/// Connections that may have records at a time, as in C routers. Further ones get none.
const MAX_FLOWS: usize = 5000;

/// Periods for which the record of an ended connection waits for the other router's co-records.
const LINGER: u64 = 5;

/// The service connections of this router, as collectors and other routers know them.
pub(super) struct Flows {
    audience: Audience,
    /// Co-records that other routers sent for our connections.
    pub(super) others: Arc<CoRecords>,
    ours: Records,
    /// Co-records for the connections of other routers, by the address where those receive them.
    theirs: BTreeMap<String, Records>,
    /// Our ended connections: the period in which to end the record, its identity, and the end in
    /// microseconds since the epoch.
    ending: VecDeque<(u64, Arc<str>, u64)>,
    period: u64,
}

impl Flows {
    pub(super) fn new(core: &Arc<Core>, source: &Source) -> Self {
        Self {
            audience: Audience::new(
                core,
                &source.flows(),
                [
                    "Event collection for flow events detected.  Begin sending flow events.",
                    "Event collection for flow events ended.  Stop sending flow events.",
                ],
            ),
            others: Arc::default(),
            ours: Records::default(),
            theirs: BTreeMap::new(),
            ending: VecDeque::new(),
            period: 0,
        }
    }

    /// Has the next period send every record again.
    pub(super) fn flush(&mut self) {
        self.ours.flush();
    }

    /// Returns what to send, by address. Call it once a period. `identities` are those of listeners
    /// and connectors; `wanted` says whether any collector exists.
    pub(super) async fn tick(
        &mut self,
        node: &Node,
        source: &Source,
        identities: &BTreeMap<String, String>,
        wanted: bool,
    ) -> Vec<(String, Vec<Told>)> {
        let (listened, _) = self.audience.look();
        let ended = node.registry.take_flows(wanted);
        let failed = node.registry.take_failed_flows();
        let heard = std::mem::take(&mut *self.others.0.lock());
        self.period += 1;
        if !wanted {
            (self.ours, self.theirs) = (Records::default(), BTreeMap::new());
            self.ending.clear();
            return Vec::new();
        }
        let open = node.registry.connections();
        let mut slices = Slices::default();
        // The client's side first: where both sides are here, the server's side adds to the record
        // that the client's side makes.
        for outgoing in [false, true] {
            for record in open.iter().chain(ended.iter().map(|(record, _)| record)) {
                slices.next().await;
                if record.outgoing == outgoing {
                    self.see(record, source, identities);
                }
            }
        }
        let mut over = Vec::new();
        for (record, time) in ended {
            let Some(flow) = &record.flow else { continue };
            match record.outgoing {
                true => over.push(Arc::clone(flow)),
                false => {
                    self.ending.push_back((self.period + LINGER, Arc::clone(flow), micros(time)))
                }
            }
        }
        for failed in failed {
            let connector = identities.get(&format!("tcpConnector/{}", failed.entity));
            let mut facts = vec![(of::ERROR_CONNECTOR_SIDE, Fact::from(failed.error))];
            facts
                .extend(connector.map(|connector| (of::CONNECTOR, Fact::from(connector.as_str()))));
            self.co_record(&failed.flow, facts, source);
            over.push(Arc::from(failed.flow));
        }
        for (identity, facts) in heard.iter().flat_map(|octets| read_co_records(octets)) {
            slices.next().await;
            if self.ours.contains(&identity) {
                self.ours.put(&identity, RecordKind::Flow, facts);
            }
        }
        while let Some((_, flow, time)) = self.ending.pop_front_if(|(due, ..)| *due <= self.period)
        {
            self.ours.end(&flow, time);
        }
        let mut news: Vec<(String, Vec<Told>)> =
            self.theirs.iter_mut().map(|(to, records)| (to.clone(), records.take())).collect();
        for flow in over {
            self.theirs.values_mut().for_each(|records| records.forget(&flow));
        }
        self.theirs.retain(|_, records| !records.is_empty());
        let ours = self.ours.take();
        if listened {
            news.push((source.flows(), ours));
        }
        news
    }

    fn see(
        &mut self,
        record: &ConnectionRecord,
        source: &Source,
        identities: &BTreeMap<String, String>,
    ) {
        let Some(flow) = &record.flow else { return };
        let service = record.address.as_deref().unwrap_or_default();
        let latency = record.octets.latency();
        if !record.outgoing {
            if self.ours.len() >= MAX_FLOWS && !self.ours.contains(flow) {
                return;
            }
            let (received, sent) = record.octets.get();
            let mut facts = vec![
                (of::OCTETS, Fact::Number(received)),
                (of::OCTETS_REVERSE, Fact::Number(sent)),
                (of::START_TIME, Fact::Number(micros(record.opened.0))),
            ];
            if let Host::Address(client) = record.host {
                facts.push((of::SOURCE_HOST, client.ip().to_string().into()));
                facts.push((of::SOURCE_PORT, client.port().to_string().into()));
            }
            let listener = identities.get(&format!("tcpListener/{}/{service}", record.entity));
            facts.extend(listener.map(|listener| (of::PARENT, Fact::from(listener.as_str()))));
            facts.extend(latency.and_then(|latency| {
                Some((of::LATENCY, Fact::Number(u64::try_from(latency).ok()?)))
            }));
            return self.ours.put(flow, RecordKind::Flow, facts);
        }
        let mut facts = Vec::new();
        let connector = identities.get(&format!("tcpConnector/{}", record.entity));
        facts.extend(connector.map(|connector| (of::CONNECTOR, Fact::from(connector.as_str()))));
        if let Some(local) = record.local {
            facts.push((of::PROXY_HOST, local.ip().to_string().into()));
            facts.push((of::PROXY_PORT, local.port().to_string().into()));
        }
        // The server answers what it was sent first.
        let process = latency.and_then(|latency| u64::try_from(-latency).ok());
        facts.extend(process.map(|latency| (of::PROCESS_LATENCY, Fact::Number(latency))));
        self.co_record(flow, facts, source);
    }

    /// Takes what the server's side of a connection knows.
    fn co_record(&mut self, flow: &str, facts: Vec<(u32, Fact)>, source: &Source) {
        let Some(owner) = Source::of_record(flow) else { return };
        if owner == *source {
            if self.ours.contains(flow) {
                self.ours.put(flow, RecordKind::Flow, facts);
            }
            return;
        }
        let theirs = self.theirs.entry(owner.co_records()).or_default();
        if theirs.len() < MAX_FLOWS || theirs.contains(flow) {
            theirs.put(flow, RecordKind::Flow, facts);
        }
    }
}
