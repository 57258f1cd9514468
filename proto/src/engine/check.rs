//! Checks that the tables of a connection agree: for tests and fuzzing.
#![expect(clippy::expect_used, reason = "a test fails by a panic")]

use super::connection::Connection;
use super::key::{LinkKey, SessionKey};
use super::link::{Link, LinkEnd, Sending};
use crate::amqp::performative::Role;

impl Connection {
    /// Checks that the tables of the connection agree.
    ///
    /// # Panics
    /// When they do not.
    pub fn check(&self) {
        let session_of = |key: SessionKey| self.sessions.get(key.0.into());
        for (channel, key) in &self.channels {
            assert_eq!(
                session_of(*key).expect("channel without session").mapping.remote_channel(),
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
            if let Some(handle) = link.attachment.remote_handle() {
                assert_eq!(
                    session.remote_handles.get(&handle),
                    Some(&key),
                    "remote handle of {link:?}"
                );
            }
            chained += self.check_deliveries(key, link);
        }
        assert_eq!(
            chained,
            self.incoming.len() + self.outgoing.len(),
            "deliveries by link and altogether"
        );
        self.check_sessions();
    }

    /// Checks that sessions and their links and deliveries agree.
    fn check_sessions(&self) {
        let session_of = |key: SessionKey| self.sessions.get(key.0.into());
        assert_eq!(self.local_channels.len(), self.sessions.len());
        let mut counts = (0, 0, 0);
        for (key, session) in self.sessions.iter() {
            assert_eq!(
                self.local_channels.get(session.channel.into()).map(|key| u32::from(key.0)),
                Some(key)
            );
            assert!(session.handles.iter().all(|(_, link)| self.link(*link).is_some()));
            assert!(session.remote_handles.values().all(|link| self.link(*link).is_some()));
            assert!(session.attaching.values().all(|link| {
                self.link(*link).is_some_and(|link| link.attachment.remote_handle().is_none())
            }));
            assert!(session.incoming_window.left() <= session.incoming_window.size());
            counts.0 += session.handles.len();
            counts.1 += session.incoming.len();
            counts.2 += session.outgoing.len();
        }
        let owed = || self.incoming.iter().filter(|(_, state)| !state.sender_settled);
        let open = || {
            self.outgoing.iter().filter(|(_, state)| state.id().is_some() && !state.is_settled())
        };
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
                state.id().and_then(|id| session.outgoing.get(id)).map(|key| key.0),
                Some(at),
                "{state:?}"
            );
        }
    }

    /// Checks the deliveries of a link: all are its own, and the link knows which of them is
    /// incomplete. Returns how many there are.
    fn check_deliveries(&self, key: LinkKey, link: &Link) -> usize {
        let mut incomplete = Vec::new();
        let mut count = 0;
        let mut next = link.deliveries.first();
        while let Some(delivery) = next {
            let (of, ended, begun, place) = match link.role() {
                Role::Receiver => {
                    let state = self.incoming.get(delivery).expect("a delivery of the link");
                    (state.link, state.is_ended(), true, state.place)
                }
                Role::Sender => {
                    let state = self.outgoing.get(delivery).expect("a delivery of the link");
                    assert!(!(state.is_ended() && state.is_settled()), "{state:?} is forgotten");
                    (state.link, state.is_ended(), state.id().is_some(), state.place)
                }
            };
            assert_eq!(of, key);
            if !ended {
                incomplete.push((delivery, begun));
            }
            count += 1;
            next = place.behind();
        }
        match &link.end {
            LinkEnd::Receiver(end) => {
                let arriving = end.arriving.map(|delivery| (delivery.0, true));
                assert_eq!(incomplete, Vec::from_iter(arriving), "arriving on {link:?}");
            }
            LinkEnd::Sender(sending) => {
                let begun = incomplete.iter().map(|(_, begun)| *begun);
                let known = match sending {
                    Sending::Idle => vec![],
                    Sending::Begun { .. } => vec![false],
                    Sending::Started => vec![true],
                };
                assert_eq!(begun.collect::<Vec<_>>(), known, "being sent on {link:?}");
            }
        }
        count
    }
}
