//! Whether what a connection knows of itself agrees: for tests and fuzzing.

use super::connection::Connection;
use super::link::LinkKey;
use super::session::SessionKey;
use crate::amqp::performative::Role;

impl Connection {
    /// Checks that what the connection knows of itself agrees.
    ///
    /// # Panics
    /// When it does not.
    pub fn check(&self) {
        let session_of = |key: SessionKey| self.sessions.get(key.0.into());
        for (channel, key) in &self.channels {
            assert_eq!(
                session_of(*key).expect("channel without session").remote_channel,
                Some(*channel)
            );
        }
        assert_eq!(
            self.names,
            self.links.iter().map(|(_, link)| link.name.len()).sum::<usize>(),
            "octets of names"
        );
        let mut chained = 0;
        for (at, link) in self.links.iter() {
            let key = LinkKey(at);
            let session = session_of(link.session).expect("link without session");
            assert_eq!(
                session.handles.get(link.local_handle as usize),
                Some(&key),
                "handle of {link:?}"
            );
            if let Some(handle) = link.remote_handle {
                assert_eq!(
                    session.remote_handles.get(&handle),
                    Some(&key),
                    "remote handle of {link:?}"
                );
            }
            let mut of_link = 0;
            let mut next = link.deliveries.first();
            while let Some(delivery) = next {
                let (of, place) = match link.role {
                    Role::Receiver => {
                        self.incoming.get(delivery).map(|state| (state.link, state.place))
                    }
                    Role::Sender => {
                        self.outgoing.get(delivery).map(|state| (state.link, state.place))
                    }
                }
                .expect("a delivery of the link");
                assert_eq!(of, key);
                of_link += 1;
                next = place.behind();
            }
            chained += of_link;
            if let Some(delivery) = link.arriving.filter(|_| !link.detach_sent) {
                let state = self.incoming.get(delivery.0).expect("arriving delivery");
                assert!(state.link == key && !state.ended, "{state:?} arriving on {link:?}");
            }
            if let Some(delivery) = link.sending.filter(|_| !link.detach_sent) {
                let state = self.outgoing.get(delivery.0).expect("delivery being sent");
                assert!(state.link == key && !state.ended, "{state:?} being sent on {link:?}");
            }
        }
        assert_eq!(
            chained,
            self.incoming.len() + self.outgoing.len(),
            "deliveries by link and altogether"
        );
        assert_eq!(self.local_channels.len(), self.sessions.len());
        let mut counts = (0, 0, 0);
        for (key, session) in self.sessions.iter() {
            assert_eq!(
                self.local_channels.get(session.channel.into()).map(|key| u32::from(key.0)),
                Some(key)
            );
            assert!(session.handles.iter().all(|(_, link)| self.link(*link).is_some()));
            assert!(session.remote_handles.values().all(|link| self.link(*link).is_some()));
            assert!(
                session
                    .attaching
                    .values()
                    .all(|link| self.link(*link).is_some_and(|link| link.remote_handle.is_none()))
            );
            assert!(session.incoming_window <= session.window);
            counts.0 += session.handles.len();
            counts.1 += session.incoming.len();
            counts.2 += session.outgoing.len();
        }
        let owed = || self.incoming.iter().filter(|(_, state)| !state.sender_settled);
        let open =
            || self.outgoing.iter().filter(|(_, state)| state.id.is_some() && !state.settled);
        let held = (self.links.len(), owed().count(), open().count());
        assert_eq!(
            counts, held,
            "links, incoming and outgoing deliveries by session and altogether"
        );
        for (at, state) in owed() {
            let session = self
                .link(state.link)
                .and_then(|link| session_of(link.session))
                .expect("session of a delivery");
            assert_eq!(session.incoming.get(state.id).map(|key| key.0), Some(at), "{state:?}");
        }
        for (at, state) in open() {
            let session = self
                .link(state.link)
                .and_then(|link| session_of(link.session))
                .expect("session of a delivery");
            assert_eq!(
                state.id.and_then(|id| session.outgoing.get(id)).map(|key| key.0),
                Some(at),
                "{state:?}"
            );
        }
    }
}
