//! Where deliveries go: addresses, treatments, routes, and the deliveries themselves.
//!
//! Everything that is routed is a delivery ([`ProducerEnd`], [`ConsumerEnd`]): a message head and a body that may still be
//! arriving. What sends or receives deliveries is a link endpoint: an AMQP link, a service
//! connection's half, or a handler in the process; this room knows endpoints by the little they
//! need to be told ([`Endpoint`], [`Mailbox`]) and nothing of sockets. Look-ups read published
//! snapshots; changes are made under one lock, the core's, by whoever causes them. It is
//! synchronous and reads no clock.

mod account;
mod address;
mod allowance;
mod choose;
mod chunks;
mod consumers;
mod consumption;
mod control;
mod counters;
mod delivery;
mod edge_connection;
mod edge_groups;
mod edges;
mod endpoint;
mod fanout;
mod forward;
mod mailbox;
mod network;
mod next_hops;
mod origin;
mod plan;
mod relief;
mod replies;
mod resend;
mod serial;
mod status;
mod tables;
mod trunk;
mod watch;
mod watching;

#[cfg(test)]
mod tests;

pub use account::{Account, Charge, Class, Holder, ServiceAccount, Services};
pub use address::{Address, AddressCounts, AddressRule};
pub use allowance::{Allowance, CLIENT_ADDRESS_OCTETS, CLIENT_ADDRESSES};
pub use choose::Choice;
pub use chunks::Chunks;
pub use consumption::Consumption;
pub use counters::Counters;
pub use delivery::{
    AHEAD, Backlog, ConsumerEnd, Ended, Message, Notify, Party, ProducerEnd, Progress,
};
pub use edge_connection::{EdgeConnection, Leads};
pub use edges::Demand;
pub use endpoint::{Endpoint, LocalConsumer};
pub use mailbox::{Command, Mailbox, Via};
pub use relief::{Relief, Standing, Stream, Victim};
pub use replies::{Replies, ReplyHandle};
pub use tables::{Core, Settings};
pub use trunk::{GroupKey, Trunk, TrunkId, TrunkUp};
pub use watch::Watch;
pub use watching::Watching;
