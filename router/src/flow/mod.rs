//! Flow records (VanFlow): tells collectors of this router, its links and its services.
//!
//! One task on the management thread compares the router with its records once a second, and sends
//! the difference. It compares nothing while no collector listens. The other rooms know nothing of
//! records: the composition root implements [`Describe`], which says what the records contain.

mod connections;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use connections::Flows;
use skupper_proto::address::AddressKey;
use skupper_proto::amqp::message::DEFAULT_PRIORITY;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::vanflow::{self, BEACONS, Fact, MAX_RECORDS, RecordKind, Records, Source, Told};
use tokio::time::MissedTickBehavior;

use crate::core::{ConsumerEnd, Core, Ended, Endpoint, LocalConsumer, Message, Watching};
use crate::lock::Mutex;
use crate::log;
use crate::node::Node;

/// The time between two comparisons.
const PERIOD: Duration = Duration::from_secs(1);

/// Periods between two heartbeats.
const HEARTBEAT: u64 = 2;

/// Heartbeats between two beacons.
const BEACON: u64 = 5;

/// Something that has a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its key among all that have records, such as `connector/NAME`. It stays the same for as
    /// long as the thing exists.
    pub key: String,
    /// The identity of its record; `None` lets the source choose one.
    pub identity: Option<String>,
    /// The kind of its record.
    pub kind: RecordKind,
    /// The attributes of its record, except its parent and its start time.
    pub facts: Vec<(u32, Fact)>,
}

/// A line of the log as collectors get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Microseconds since the epoch.
    pub time: u64,
    /// The attributes of its record.
    pub facts: Vec<(u32, Fact)>,
}

/// Describes the router for its records.
pub trait Describe: Send + Sync + 'static {
    /// Returns everything that has a record. The router and its site come with their identities.
    fn describe(&self) -> Vec<Described>;

    /// Returns what was deleted since the last call, with its last attributes. Something new may
    /// already use its key.
    fn departed(&self) -> Vec<Described>;

    /// Returns the lines that were logged after `last`, in microseconds since the epoch.
    fn log_lines(&self, last: u64) -> Vec<LogEntry>;
}

/// Receives a collector's request to send all records again.
#[derive(Debug, Default)]
struct Flush(AtomicBool);

impl Endpoint for Flush {
    fn deliver(&self, delivery: ConsumerEnd) {
        self.0.store(true, Ordering::Relaxed);
        delivery.conclude(DeliveryState::Accepted);
    }
}

/// Entities or connections per slice. The thread's other tasks run between two slices.
const SLICE: usize = 64;

/// Yields to the thread's other tasks between the slices of a long loop.
#[derive(Debug, Default)]
struct Slices(usize);

impl Slices {
    /// Counts one item, and yields at the end of a slice. Call it for each item of a loop.
    async fn next(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(SLICE) {
            tokio::task::yield_now().await;
        }
    }
}

/// Messages of co-records that may wait for the next comparison.
const MAX_WAITING: usize = 256;

/// Receives what other routers know of this router's connections.
#[derive(Debug, Default)]
struct CoRecords(Mutex<Vec<Bytes>>);

impl Endpoint for CoRecords {
    fn deliver(&self, delivery: ConsumerEnd) {
        let mut chunks = VecDeque::new();
        let (_, ended) = delivery.take(MAX_CO_RECORDS, &mut chunks);
        if ended == Some(Ended::Complete) {
            let mut octets = BytesMut::from(&*delivery.message().sections);
            chunks.iter().for_each(|chunk| octets.extend_from_slice(chunk));
            let mut waiting = self.0.lock();
            if waiting.len() < MAX_WAITING {
                waiting.push(octets.freeze());
            }
        }
        // A message that has not arrived whole is dropped: this thread waits for no sender.
        delivery.conclude(DeliveryState::Accepted);
    }
}

/// The largest message of co-records, in bytes: fifty records of some hundred bytes.
const MAX_CO_RECORDS: usize = 64 * 1024;

/// Watches whether an address has consumers, and logs a line when that changes.
struct Audience {
    watching: Watching,
    there: bool,
    texts: [&'static str; 2],
}

impl Audience {
    fn new(core: &Arc<Core>, address: &str, texts: [&'static str; 2]) -> Self {
        Self { watching: core.watch(address).1, there: false, texts }
    }

    /// Returns whether a consumer listens, and whether it began since the last call.
    fn look(&mut self) -> (bool, bool) {
        let there = self.watching.is_reachable();
        let new = there && !self.there;
        if there != self.there {
            let [comes, goes] = self.texts;
            log!(FlowLog, Info, "{}", if there { comes } else { goes });
        }
        self.there = there;
        (there, new)
    }
}

/// Returns the id of this process's source: the last five characters of a pod's name, or five
/// random ones.
pub fn source_prefix(hostname: Option<&str>) -> String {
    let of_pod = hostname.and_then(|name| name.rsplit_once('-')).map(|(_, last)| last);
    let of_pod = of_pod
        .filter(|last| last.len() == 5 && last.bytes().all(|octet| octet.is_ascii_alphanumeric()));
    of_pod.map_or_else(|| Node::discriminator().chars().take(5).collect(), str::to_owned)
}

/// Sends records to collectors until the router ends.
pub async fn run(node: Arc<Node>, describe: Arc<dyn Describe>) {
    let mut teller = Teller::new(&node, describe);
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let flush = Arc::new(Flush::default());
    let endpoint = LocalConsumer::new(Arc::clone(&flush) as Arc<dyn Endpoint>);
    let _serving =
        node.core.serve(AddressKey::mobile(teller.source.direct()), endpoint, node.clock.now());
    let endpoint = LocalConsumer::new(Arc::clone(&teller.flows.others) as Arc<dyn Endpoint>);
    let _hearing =
        node.core.serve(AddressKey::mobile(teller.source.co_records()), endpoint, node.clock.now());
    loop {
        ticks.tick().await;
        teller.tick(flush.0.swap(false, Ordering::Relaxed)).await;
    }
}

struct Teller {
    node: Arc<Node>,
    describe: Arc<dyn Describe>,
    source: Source,
    records: Records,
    /// The identity of each record, by the key of what it describes.
    identities: BTreeMap<String, String>,
    messages: u64,
    period: u64,
    /// The time of the last log line that was read, in microseconds since the epoch.
    last_line: u64,
    collectors: Audience,
    ours: Audience,
    logs: Audience,
    flows: Flows,
}

impl Teller {
    fn new(node: &Arc<Node>, describe: Arc<dyn Describe>) -> Self {
        let core = &node.core;
        let source = Source::new(&node.flow_prefix);
        Self {
            collectors: Audience::new(
                core,
                BEACONS,
                [
                    "Event collector detected.  Begin sending beacons.",
                    "Event collector lost.  Stop sending beacons.",
                ],
            ),
            ours: Audience::new(
                core,
                &source.address(),
                [
                    "Event collector for this router detected.  Begin sending flow events.",
                    "Event collector for this router lost.  Stop sending flow events.",
                ],
            ),
            logs: Audience::new(
                core,
                &source.logs(),
                [
                    "Event collection for log events detected.  Begin sending log events.",
                    "Event collection for log events ended.  Stop sending log events.",
                ],
            ),
            flows: Flows::new(core, &source),
            node: Arc::clone(node),
            describe,
            source,
            records: Records::default(),
            identities: BTreeMap::new(),
            messages: 0,
            period: 0,
            last_line: micros(SystemTime::now()),
        }
    }

    fn send(&mut self, to: &str, message: impl FnOnce(u64) -> Vec<u8>) {
        self.messages += 1;
        let sections = Bytes::from(message(self.messages));
        let message = Message {
            sections,
            presettled: true,
            priority: DEFAULT_PRIORITY,
            internal: true,
            ..Message::default()
        };
        // A collector that has just gone away is no error.
        let _ = self.node.core.send_to(to, message, Bytes::new());
    }

    async fn tick(&mut self, flush: bool) {
        self.period += 1;
        let heartbeat = self.period.is_multiple_of(HEARTBEAT);
        let (collectors, new) = self.collectors.look();
        let source = self.source.clone();
        // A new collector gets a beacon at once, and need not wait to see the router.
        if collectors && (new || heartbeat && self.period.is_multiple_of(HEARTBEAT * BEACON)) {
            self.send(BEACONS, |number| source.beacon(number));
        }
        let (ours, new) = self.ours.look();
        if ours && (new || heartbeat) {
            self.send(&source.address(), |number| {
                source.heartbeat(number, micros(SystemTime::now()))
            });
        }
        self.depart(ours);
        if collectors || ours {
            // The records of connections refer to these, even if only those have collectors.
            self.compare().await;
        }
        if ours {
            if flush {
                self.records.flush();
            }
            let news = self.records.take();
            self.tell(&source.address(), &news).await;
        }
        if flush {
            self.flows.flush();
        }
        for (to, news) in
            self.flows.tick(&self.node, &self.source, &self.identities, collectors).await
        {
            self.tell(&to, &news).await;
        }
        self.tell_log().await;
    }

    /// Brings the records in line with the router.
    async fn compare(&mut self) {
        let there = self.describe.describe();
        let now = micros(SystemTime::now());
        let keys: HashSet<&str> = there.iter().map(|described| &*described.key).collect();
        let gone = |key: &&String| !keys.contains(&***key);
        let gone: Vec<String> = self.identities.keys().filter(gone).cloned().collect();
        for identity in gone.iter().filter_map(|key| self.identities.remove(key)) {
            self.records.end(&identity, now);
        }
        let mut slices = Slices::default();
        for described in there {
            slices.next().await;
            let known = self.identities.get(&described.key).cloned();
            let begins = known.is_none();
            let identity = known.or(described.identity).unwrap_or_else(|| self.node.next_flow());
            let mut facts = described.facts;
            if begins {
                self.identities.insert(described.key, identity.clone());
                facts.push((vanflow::attribute::START_TIME, Fact::Number(now)));
                if !matches!(described.kind, RecordKind::Site | RecordKind::Router) {
                    facts.push((vanflow::attribute::PARENT, Fact::from(self.source.id())));
                }
            }
            self.records.put(&identity, described.kind, facts);
        }
    }

    /// Ends the records of what was deleted, or forgets them while no collector listens.
    fn depart(&mut self, listened: bool) {
        let now = micros(SystemTime::now());
        for described in self.describe.departed() {
            let Some(identity) = self.identities.remove(&described.key) else { continue };
            if listened {
                self.records.put(&identity, described.kind, described.facts);
                self.records.end(&identity, now);
            } else {
                self.records.forget(&identity);
            }
        }
    }

    async fn tell(&mut self, to: &str, news: &[Told]) {
        let mut slices = Slices::default();
        for some in news.chunks(MAX_RECORDS) {
            slices.next().await;
            self.send(to, |number| vanflow::records(number, to, some));
        }
    }

    async fn tell_log(&mut self) {
        let (listened, _) = self.logs.look();
        if !listened {
            self.last_line = micros(SystemTime::now());
            return;
        }
        let mut lines = Records::default();
        for line in self.describe.log_lines(self.last_line) {
            self.last_line = self.last_line.max(line.time);
            let identity = self.node.next_flow();
            let parent = (vanflow::attribute::PARENT, Fact::from(self.source.id()));
            let begins = (vanflow::attribute::START_TIME, Fact::Number(line.time));
            lines.put(&identity, RecordKind::Log, line.facts.into_iter().chain([parent, begins]));
            lines.end(&identity, line.time);
        }
        let (to, news) = (self.source.logs(), lines.take());
        self.tell(&to, &news).await;
    }
}

/// Returns `time` in microseconds since the epoch; 0 for a time before it.
pub fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::source_prefix;

    #[test]
    fn a_pod_names_its_source() {
        assert_eq!(source_prefix(Some("skupper-router-7d9f8c6b5-x2k4q")), "x2k4q");
        for other in [Some("north"), Some("a-b"), Some("x-12345.example"), None] {
            let made = source_prefix(other);
            assert!(made.len() == 5 && source_prefix(other) != made, "{made}");
        }
    }
}
