//! Links that the router attaches by itself to a container that is connected, and how they stand.
//!
//! Those who create and delete them say what there is to be; each connection of a container
//! attaches and detaches until it has what is meant for it, and writes down how that stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::{Command, Mailbox};
use crate::lock::{Mutex, MutexGuard, Rank};

/// Whose connections get a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody's.
    Nobody,
    /// Those of the listener or connector of this name.
    Entity(String),
    /// Those of peers with this container-id.
    Container(String),
}

/// One link for each connection of its holder.
#[derive(Debug)]
pub struct AutoLink {
    /// What the log calls it.
    pub name: String,
    /// Whose connections get it.
    pub holder: Holder,
    /// Whether messages come in by it.
    pub incoming: bool,
    /// Where messages that come in go (without it each names its own), or which messages go out.
    pub address: Option<String>,
    /// The address as the container knows it.
    pub external: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How it stands on each connection, by the connection's number.
    attempts: BTreeMap<u64, AutoLinkPhase>,
    last_error: Option<String>,
}

/// How a link stands on one connection. The phases are in the order in which one goes before
/// another where there are several connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AutoLinkPhase {
    /// The container refused or detached it; it will be attached again.
    Failed,
    /// The container has not answered.
    Attaching,
    /// It is attached, under this number.
    Active(u64),
}

impl AutoLink {
    /// A link that no connection has yet.
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

    /// How it stands where it stands best; none: no connection is to have it.
    pub fn phase(&self) -> Option<AutoLinkPhase> {
        self.lock().attempts.values().max().copied()
    }

    /// Why it failed at last, unless it has been attached since.
    pub fn last_error(&self) -> Option<String> {
        self.lock().last_error.clone()
    }

    /// How it stands on a connection now.
    pub fn set(&self, connection: u64, phase: AutoLinkPhase) {
        let mut state = self.lock();
        state.attempts.insert(connection, phase);
        if matches!(phase, AutoLinkPhase::Active(_)) {
            state.last_error = None;
        }
    }

    /// A connection has failed to keep it: why, if the container said so.
    pub fn failed(&self, connection: u64, why: Option<String>) {
        let mut state = self.lock();
        state.attempts.insert(connection, AutoLinkPhase::Failed);
        state.last_error = why;
    }

    /// A connection is not to have it any more, or is gone.
    pub fn forget(&self, connection: u64) {
        self.lock().attempts.remove(&connection);
    }
}

/// A container's connection.
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

/// All such links, and the connections that may get some.
#[derive(Debug)]
pub struct AutoLinks(Mutex<Table>);

impl Default for AutoLinks {
    fn default() -> Self {
        Self(Mutex::ranked(Rank::AutoLinks, Table::default()))
    }
}

/// A connection's entry; gone when dropped.
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
    /// The links that this connection is to have now.
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

    /// A container is connected, by a listener or connector of this name. When what it is to have
    /// changes, its mailbox gets [`Command::AutoLinks`].
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

    /// There is to be one more.
    pub fn add(&self, link: &Arc<AutoLink>) {
        self.change(link, |links| links.push(Arc::clone(link)));
    }

    /// One is not to be any more.
    pub fn remove(&self, link: &Arc<AutoLink>) {
        self.change(link, |links| links.retain(|known| !Arc::ptr_eq(known, link)));
    }

    fn change(&self, link: &AutoLink, change: impl FnOnce(&mut Vec<Arc<AutoLink>>)) {
        let mut table = self.lock();
        change(&mut table.links);
        for member in table.members.iter().filter(|member| member.holds(link)) {
            // A connection that is gone has none.
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
