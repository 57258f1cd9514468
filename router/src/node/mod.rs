//! The parts of a router that all of its tasks share: tables, time, threads, and the record of
//! connections.
//!
//! The rooms that own sockets (`net`, `tcp`, `http`) meet here, and do not know each other.

mod access;
mod auto_links;
mod checks;
mod links;
mod octets;
mod port;
mod random;
mod record;
mod registry;
mod shards;
mod stop;
mod turns;
mod walk;

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use access::Access;
pub use auto_links::{AutoLink, AutoLinkPhase, AutoLinks, Holder, Membership};
pub use checks::Checks;
pub use links::{KnownLink, LinkCounts, LinkKind, LinkRecord, Links, STUCK};
pub use octets::Octets;
pub use port::{Port, PortStatus};
pub use random::{check as check_randomness, unguessable};
pub use record::{Closer, ConnectionRecord, ConnectionRole, Host, PeerInfo, Protocol, Trace};
pub use registry::{Coming, FailedFlow, Registered, Registry};
pub use shards::{Shards, run_aside, runtime};
use skupper_proto::edge::Bid;
#[cfg(any(test, fuzzing))]
use skupper_proto::{
    address::{RouterMode, Treatment, patterns::Patterns},
    topology,
};
pub use stop::{Dismissal, Stop, Stopping};
use tokio::sync::watch;
pub use turns::{Place, charge, in_turn, stands_back};

use crate::clock::Clock;
use crate::core::Core;
#[cfg(any(test, fuzzing))]
use crate::core::Settings;
use crate::socket::Resolver;

/// The stages of a router's life, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It runs.
    Running,
    /// It takes nothing new, and lets open connections come to their ends.
    Draining,
    /// Service connections end.
    Ending,
    /// AMQP connections close.
    Closing,
}

/// The time that a peer has until its connection is of use: for TLS, and for AMQP up to the open.
pub const HANDSHAKE: Duration = Duration::from_secs(10);

/// The reason for connections that end with the router.
pub const SHUTTING_DOWN: &str = "the router is shutting down";

/// The reason for connections whose certificates are older than their TLS profile allows.
pub const OUTDATED: &str = "its certificates are no longer valid";

/// The reason for service connections that are reset for memory: their readers stood still for
/// longest.
pub const OUT_OF_MEMORY: &str =
    "its reader takes nothing, and the memory for what waits is needed for others";

/// The parts of a router that all of its tasks share.
pub struct Node {
    /// The tables.
    pub core: Arc<Core>,
    /// The clock of the state machines.
    pub clock: Clock,
    /// The threads that own connections.
    pub shards: Shards,
    /// The record of connections, for readers outside of their tasks.
    pub registry: Arc<Registry>,
    /// The links that the router attaches to containers by itself.
    pub auto_links: Arc<AutoLinks>,
    /// The beginning of the identities of its flow records.
    pub flow_prefix: String,
    /// Resolves names to addresses.
    pub resolver: Resolver,
    /// Decides who may come in.
    pub access: Access,
    /// Data connections that each inter-router connector makes.
    pub data_connections: usize,
    /// The stage of the router's life.
    pub stage: watch::Sender<Stage>,
}

/// The node that tests and fuzzing use in place of a configured one.
#[cfg(any(test, fuzzing))]
impl Node {
    /// Makes the node of a router that has an id and nothing else, with a memory ceiling of 64 MiB.
    pub fn bare(id: &str, mode: RouterMode, shards: Shards, access: Access) -> Arc<Self> {
        let clock = Clock::start();
        let settings = Settings {
            mode,
            bid: (mode == RouterMode::Edge).then(Self::bid),
            routing: topology::Config::new(id, 1),
            treatments: Patterns::default(),
            default_treatment: Treatment::Balanced,
            shards: shards.count(),
            ceiling: 64 << 20,
        };
        Arc::new(Self {
            flow_prefix: "abcde".to_owned(),
            core: Core::new(settings, clock.now()),
            clock,
            shards,
            registry: Arc::default(),
            auto_links: Arc::default(),
            access,
            resolver: Resolver::system(),
            data_connections: 0,
            stage: watch::Sender::new(Stage::Running),
        })
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("core", &self.core).finish_non_exhaustive()
    }
}

/// Waits until the router has reached `stage`, or is gone.
pub async fn reached(stages: &mut watch::Receiver<Stage>, stage: Stage) {
    // An error means that the router is gone.
    let _ = stages.wait_for(|now| *now >= stage).await;
}

impl Node {
    /// Returns a view of the stage, for a task that waits for one.
    pub fn follow_stage(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// Returns a new identity for a flow record.
    pub fn next_flow(&self) -> String {
        // The prefix, a colon and the digits of any number.
        let mut flow = String::with_capacity(self.flow_prefix.len() + 21);
        // Writing to a string never fails.
        let _ = write!(flow, "{}:{}", self.flow_prefix, self.registry.record_number());
        flow
    }

    /// Returns the bid of an edge router for the id of its mesh. The oldest bid wins; a random part
    /// makes equal bids unlikely.
    pub fn bid() -> Bid {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_micros();
        let ordinal =
            i64::try_from(now).unwrap_or(i64::MAX).saturating_add(fastrand::i64(0..1_000_000));
        Bid { ordinal, id: Self::discriminator() }
    }

    /// Returns a random text for a name that is not to be guessed: 15 of the characters that C
    /// routers use, 90 bits.
    #[expect(clippy::indexing_slicing, reason = "six bits number the letters")]
    pub fn discriminator() -> String {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_";
        let bits = u128::from(unguessable()) << 64 | u128::from(unguessable());
        (0..15).map(|place| char::from(LETTERS[(bits >> (6 * place)) as usize & 63])).collect()
    }
}
