//! The record of one connection, for status and metrics.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::SystemTime;

use skupper_proto::amqp::Value;
use skupper_proto::amqp::performative::Error;
use skupper_proto::time::Instant;

use super::{Dismissal, Octets};
use crate::core::{Command, EdgeConnection, Mailbox};
use crate::log::{self, Level, Module};
use crate::schema::{ManagementAccess, Role};

/// Closes a connection from outside of its task.
#[derive(Clone, Debug)]
pub enum Closer {
    /// Closes an AMQP connection, which sends close.
    Amqp(Arc<Mailbox>),
    /// Ends a service connection, which resets its socket.
    Service(Arc<Dismissal>),
}

impl Closer {
    /// Closes the connection. Only an AMQP connection tells its peer `error`.
    pub fn close(&self, error: Option<Error>) {
        match self {
            // A connection that is gone needs no closing.
            Self::Amqp(mailbox) => drop(mailbox.send(Command::Close(error))),
            Self::Service(word) => word.say("closed by management"),
        }
    }
}

/// The words of an AMQP peer about itself.
#[derive(Clone, Debug, Default)]
pub struct PeerInfo {
    /// The SASL mechanism, if the peer used SASL.
    pub sasl: Option<&'static str>,
    /// Its user, if it named one.
    pub user: Option<String>,
    /// The properties of its open that are text or integers, of a bounded number.
    pub properties: Vec<(String, Value)>,
    /// The text that the connections of one connector share.
    pub correlator: Option<String>,
    /// The TLS ordinal of that group.
    pub ordinal: Option<u64>,
}

/// Says whether a connection's frames are logged.
#[derive(Debug, Default)]
pub struct Trace(AtomicU8);

impl Trace {
    /// Turns the logging on or off, whatever the levels of the log are.
    pub fn set(&self, on: bool) {
        self.0.store(if on { 1 } else { 2 }, Ordering::Relaxed);
    }

    /// Returns whether frames are logged: as set, or else by the level of the module PROTOCOL.
    pub fn is_on(&self) -> bool {
        match self.0.load(Ordering::Relaxed) {
            0 => log::enabled(Module::Protocol, Level::Debug),
            said => said == 1,
        }
    }
}

/// The other end of a connection. It becomes text only where a reader asks for it.
#[derive(Clone, Debug)]
pub enum Host {
    /// The address that a client came from.
    Address(SocketAddr),
    /// The text of the configuration, or another text.
    Text(Arc<str>),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The protocol that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// AMQP, with a router, a client or a container.
    Amqp,
    /// The protocol of a service, as TCP carries it.
    Tcp,
}

impl Protocol {
    /// Returns the word of management and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amqp => "amqp",
            Self::Tcp => "tcp",
        }
    }
}

/// The purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionRole {
    /// An AMQP connection for the role of its listener or connector. Between interior routers it
    /// carries routing messages, and streams where there are no data connections.
    Configured(Role),
    /// Between interior routers, for streams only.
    InterRouterData,
    /// The connection of a service's client or server.
    Service,
}

impl ConnectionRole {
    /// Returns the protocol that connections of this role speak.
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Configured(_) | Self::InterRouterData => Protocol::Amqp,
            Self::Service => Protocol::Tcp,
        }
    }

    /// Returns the word of status. (Management calls a service connection `normal`, as C routers
    /// do.)
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configured(role) => role.as_str(),
            Self::InterRouterData => "inter-router-data",
            Self::Service => "service",
        }
    }
}

/// The record of an open connection.
#[derive(Debug)]
pub struct ConnectionRecord {
    /// The number by which the log names it.
    pub id: u64,
    /// Its purpose.
    pub role: ConnectionRole,
    /// Whether this router connected.
    pub outgoing: bool,
    /// The other end.
    pub host: Host,
    /// The name of its listener or connector.
    pub entity: Arc<str>,
    /// The peer's container-id.
    pub container: Option<Arc<str>>,
    /// The service, on a service connection.
    pub address: Option<Arc<str>>,
    /// Its TLS session, if it has one.
    pub tls: Option<Arc<crate::tls::SessionInfo>>,
    /// The peer's words about itself, on an AMQP connection.
    pub peer: PeerInfo,
    /// Closes it.
    pub closer: Closer,
    /// An edge connection as the core knows it.
    pub edge: Option<Arc<EdgeConnection>>,
    /// Whether policy lets its peer close the connections of others.
    pub may_close_others: bool,
    /// The requests that its peer may make of management nodes.
    pub management: ManagementAccess,
    /// Whether its frames are logged, on an AMQP connection.
    pub trace: Option<Arc<Trace>>,
    /// The time at which it was opened.
    pub opened: (SystemTime, Instant),
    /// The counts of its bytes.
    pub octets: Arc<Octets>,
    /// The identity of its flow record, on a service connection.
    pub flow: Option<Arc<str>>,
    /// The address of this end, where flow records tell it.
    pub local: Option<SocketAddr>,
}

impl ConnectionRecord {
    /// Returns the protocol that it speaks.
    pub const fn protocol(&self) -> Protocol {
        self.role.protocol()
    }
}
