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
mod counters;
mod delivery;
mod edge;
mod fanout;
mod mailbox;
mod relief;
mod replies;
mod resend;
mod router;
mod routing;
mod serial;
mod trunk;

#[cfg(test)]
mod tests;

pub use account::{Account, Charge, Class, Holder, ServiceAccount, Services};
pub use address::{Address, AddressCounts, AddressRule, LocalConsumer, Watch, Watching};
pub use allowance::{Allowance, CLIENT_ADDRESS_OCTETS, CLIENT_ADDRESSES};
pub use choose::Choice;
pub use chunks::Chunks;
pub use counters::Counters;
pub use delivery::{
    AHEAD, Backlog, ConsumerEnd, Ended, Message, Notify, Party, ProducerEnd, Progress,
};
pub use edge::{Demand, EdgeConnection, Leads};
pub use mailbox::{Command, Mailbox, Via};
pub use relief::{Relief, Standing, Stream, Victim};
pub use replies::{Replies, ReplyHandle};
pub use router::{Consumption, Core, Endpoint, Settings};
pub use routing::{GroupKey, TrunkUp};
pub use trunk::{Trunk, TrunkId};
