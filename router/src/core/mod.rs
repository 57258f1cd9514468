//! Where deliveries go: addresses, consumers, the choice among them, and the deliveries themselves.
//!
//! The core is synchronous and pure. It performs no I/O and reads no clock: its callers pass the
//! time. It has no thread: the task of a connection calls it, and it acts on that task's thread.
//!
//! # Terms
//!
//! * A *delivery* is a message: a head, a body that may still be arriving, and the receiver's
//!   answer. It has a [`ProducerEnd`] and a [`ConsumerEnd`], each with one owner. See `delivery`.
//! * An *endpoint* takes deliveries: an AMQP link, half of a service connection, or a handler in
//!   the process. The core knows endpoints by the trait [`Endpoint`] and never asks for more.
//! * A *mailbox* is how other threads reach a connection's task. It holds [`Command`]s, among them
//!   deliveries, and the numbers of the connection's deliveries that have news.
//! * A [`LocalConsumer`] is an endpoint that consumes an address. A [`Consumption`] keeps it one,
//!   and a [`Watching`] keeps those informed who want to send there.
//! * A *treatment* says who gets a delivery of an address: *closest*, *balanced* (the consumer with
//!   the least open deliveries and cost), or *multicast*, which is a copy for each consumer.
//! * A [`Choice`] is the destination chosen for one delivery: a consumer here, or the connection
//!   to a neighbor.
//! * A [`Party`] owns ends of deliveries, and has no task. It acts on the thread of whoever wakes
//!   it. `fanout` feeds a copy for each consumer of a multicast and makes their answers one.
//!   `resend` offers a released delivery to the next destination.
//! * A *snapshot* is a published table that never changes: addresses, next hops, an address's
//!   destinations, a trunk's data connections. A look-up loads one and takes no lock.
//! * A [`Trunk`] is the control connection and the data connections to one neighbor.
//! * An [`EdgeConnection`] joins an edge router to the network. `edge_groups` chooses the ones that
//!   an edge router uses.
//! * The *account* counts the memory that the router holds for each peer. See `account`.
//!
//! # The way of a delivery
//!
//! ```text
//!   Core::route ─► plan ─► choose ─► Choice::deliver ─┬─► Endpoint::deliver
//!     forward       │                                 └─► Mailbox::send ─► a connection's task
//!                   ├─► fanout, for a multicast: one Choice for each copy
//!                   └─► resend, if the sender asks for it: one Choice after the other
//! ```
//!
//! `plan` reads the address's class: a reply address names an endpoint, a router's address its next
//! hop, any other address its record. `choose` picks among the destinations of that record.
//!
//! # Files
//!
//! ```text
//!   forward                                    deliveries on their way
//!   resend  edges  consumption  network  watching  status  plan      what changes and reads tables
//!   tables                                     the Core
//!   choose  address  control                   one address, one choice; the part behind the lock
//!   consumers  replies  origin  fanout  edge_groups  watch  endpoint  next_hops
//!   delivery  mailbox  trunk  edge_connection
//!   account  counters  relief  chunks  allowance  serial
//! ```
//!
//! A file names only files of its own line and of those below. `delivery` and `mailbox` name each
//! other: a mailbox holds deliveries, and a delivery wakes the owner of a mailbox.
//!
//! # Locks
//!
//! A thread takes locks in this order, and never two of one line:
//!
//! 1. The core's lock guards `control` (the routing protocol's machine, trunks, groups, edge
//!    connections) and the replacing of snapshots. Each change of the tables takes it.
//! 2. The lock of an address's watches guards their list.
//! 3. The lock of a party guards its ends of deliveries. A thread tries it and never waits for it:
//!    see `serial`.
//! 4. The locks of a delivery, a mailbox, a watch and a shard of reply addresses guard just that.
//!    Their holders take no other lock but the last.
//! 5. The lock of the account's watcher guards a waker. Whoever charges memory may take it.
//!
//! A thread wakes others, and drops ends of deliveries, only while it holds no lock of the fourth
//! line.

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
