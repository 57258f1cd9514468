//! The links that the router attaches by itself to connected containers, and their states.
//!
//! Entities add and remove links. Each connection of a container attaches and detaches until it has
//! the links that are meant for it, and notes their states here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::{Command, Mailbox};
use crate::lock::{Mutex, MutexGuard, Rank};

/// The connections that get a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// None.
    Nobody,
    /// Those of the listener or connector of this name.
    Entity(String),
    /// Those of peers with this container-id.
    Container(String),
}

/// A link that each connection of its holder has.
#[derive(Debug)]
pub struct AutoLink {
    /// The name in log lines.
    pub name: String,
    /// The connections that get it.
    pub holder: Holder,
    /// Whether the router receives on it.
    pub incoming: bool,
    /// The address that its messages go to, or come from. Without it each incoming message names
    /// its own.
    pub address: Option<String>,
    /// The address as the container knows it.
    pub external: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Its phase on each connection, by the connection's number.
    attempts: BTreeMap<u64, AutoLinkPhase>,
    last_error: Option<String>,
}

/// The phase of a link on one connection. Of several connections, the last phase in this order
/// counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AutoLinkPhase {
    /// The container refused or detached it. The router will attach it again.
    Failed,
    /// The container has not answered.
    Attaching,
    /// It is attached, under this number.
    Active(u64),
}

impl AutoLink {
    /// Creates a link that no connection has.
    pub fn new(
        name: String,
        holder: Holder,
        incoming: bool,
        address: Option<String>,
        external: Option<String>,
    ) -> Arc<Self> {
        Arc::new(Self { name, holder, incoming, address, external, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Returns its best phase on any connection; `None` if no connection is to have it.
    pub fn phase(&self) -> Option<AutoLinkPhase> {
        self.lock().attempts.values().max().copied()
    }

    /// Returns the last failure, unless the link has been attached since.
    pub fn last_error(&self) -> Option<String> {
        self.lock().last_error.clone()
    }

    /// Notes its phase on a connection.
    pub fn set(&self, connection: u64, phase: AutoLinkPhase) {
        let mut state = self.lock();
        state.attempts.insert(connection, phase);
        if matches!(phase, AutoLinkPhase::Active(_)) {
            state.last_error = None;
        }
    }

    /// Notes that a connection has lost it, or did not get it. `why` is the container's reason.
    pub fn failed(&self, connection: u64, why: Option<String>) {
        let mut state = self.lock();
        state.attempts.insert(connection, AutoLinkPhase::Failed);
        state.last_error = why;
    }

    /// Forgets its phase on a connection that is gone, or is no longer to have it.
    pub fn forget(&self, connection: u64) {
        self.lock().attempts.remove(&connection);
    }
}

/// The connection of a container.
#[derive(Debug)]
struct Member {
    connection: u64,
    entity: Arc<str>,
    container: Arc<str>,
    mailbox: Arc<Mailbox>,
}

impl Member {
    fn holds(&self, link: &AutoLink) -> bool {
        match &link.holder {
            Holder::Nobody => false,
            Holder::Entity(name) => **name == *self.entity,
            Holder::Container(id) => **id == *self.container,
        }
    }
}

#[derive(Debug, Default)]
struct Table {
    links: Vec<Arc<AutoLink>>,
    members: Vec<Member>,
}

/// All links of this kind, and the connections that may get some.
#[derive(Debug)]
pub struct AutoLinks(Mutex<Table>);

impl Default for AutoLinks {
    fn default() -> Self {
        Self(Mutex::ranked(Rank::AutoLinks, Table::default()))
    }
}

/// A connection's entry, removed when this is dropped.
#[derive(Debug)]
pub struct Membership {
    links: Arc<AutoLinks>,
    connection: u64,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.links.lock().members.retain(|member| member.connection != self.connection);
    }
}

impl Membership {
    /// Returns the links that this connection is to have.
    pub fn wanted(&self) -> Vec<Arc<AutoLink>> {
        let table = self.links.lock();
        let member = table.members.iter().find(|member| member.connection == self.connection);
        member
            .map(|member| {
                table.links.iter().filter(|link| member.holds(link)).map(Arc::clone).collect()
            })
            .unwrap_or_default()
    }
}

impl AutoLinks {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock()
    }

    /// Enters the connection of a container, by a listener or connector of this name. Each change
    /// of its links sends [`Command::AutoLinks`] to its mailbox.
    pub fn join(
        self: &Arc<Self>,
        connection: u64,
        entity: &Arc<str>,
        container: &Arc<str>,
        mailbox: &Arc<Mailbox>,
    ) -> Membership {
        let (entity, container, mailbox) =
            (Arc::clone(entity), Arc::clone(container), Arc::clone(mailbox));
        self.lock().members.push(Member { connection, entity, container, mailbox });
        Membership { links: Arc::clone(self), connection }
    }

    /// Adds a link, and notifies the connections that get it.
    pub fn add(&self, link: &Arc<AutoLink>) {
        self.change(link, |links| links.push(Arc::clone(link)));
    }

    /// Removes a link, and notifies the connections that have it.
    pub fn remove(&self, link: &Arc<AutoLink>) {
        self.change(link, |links| links.retain(|known| !Arc::ptr_eq(known, link)));
    }

    fn change(&self, link: &AutoLink, change: impl FnOnce(&mut Vec<Arc<AutoLink>>)) {
        let mut table = self.lock();
        change(&mut table.links);
        for member in table.members.iter().filter(|member| member.holds(link)) {
            // A connection that is gone needs no notice.
            let _ = member.mailbox.send(Command::AutoLinks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(holder: Holder) -> Arc<AutoLink> {
        AutoLink::new("a".to_owned(), holder, true, None, Some("q".to_owned()))
    }

    #[test]
    fn a_connection_gets_what_names_it_or_its_container() {
        let links = Arc::new(AutoLinks::default());
        let mailbox = Mailbox::new(0);
        let by_name = link(Holder::Entity("listener".to_owned()));
        let by_container = link(Holder::Container("broker".to_owned()));
        let others = [
            Holder::Nobody,
            Holder::Entity("broker".to_owned()),
            Holder::Container("listener".to_owned()),
        ]
        .map(link);
        links.add(&by_name);
        for other in &others {
            links.add(other);
        }
        let membership = links.join(7, &Arc::from("listener"), &Arc::from("broker"), &mailbox);
        assert_eq!(membership.wanted().len(), 1);
        links.add(&by_container);
        assert!(
            matches!(mailbox.close().pop_front(), Some(Command::AutoLinks)),
            "the connection hears of it"
        );
        assert_eq!(membership.wanted().len(), 2);
        links.remove(&by_name);
        assert!(membership.wanted().iter().all(|known| Arc::ptr_eq(known, &by_container)));
        drop(membership);
        assert!(links.lock().members.is_empty());
    }

    #[test]
    fn the_best_of_several_connections_is_told() {
        let link = link(Holder::Container("broker".to_owned()));
        assert_eq!(link.phase(), None);
        link.failed(1, Some("not found".to_owned()));
        assert_eq!(
            (link.phase(), link.last_error().as_deref()),
            (Some(AutoLinkPhase::Failed), Some("not found"))
        );
        link.set(2, AutoLinkPhase::Attaching);
        assert_eq!(
            (link.phase(), link.last_error().as_deref()),
            (Some(AutoLinkPhase::Attaching), Some("not found"))
        );
        link.set(2, AutoLinkPhase::Active(9));
        assert_eq!((link.phase(), link.last_error()), (Some(AutoLinkPhase::Active(9)), None));
        link.forget(2);
        assert_eq!(link.phase(), Some(AutoLinkPhase::Failed));
    }
}
