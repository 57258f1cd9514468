//! Begin and end (parts 2.5.1 to 2.5.4, 2.7.2 and 2.7.8).

use super::MAX_SESSIONS;
use super::connection::Connection;
use super::event::Event;
use super::input::not_allowed;
use super::key::SessionKey;
use super::session::{Mapping, Session};
use crate::amqp::condition;
use crate::amqp::performative::{Begin, End, Error, Performative};

impl Connection {
    /// Begins a session (part 2.5.1). Its links can be attached at once.
    ///
    /// Returns `None` when the connection is not open, or when the peer's channel-max or ours
    /// leaves no channel.
    pub fn begin(&mut self) -> Option<SessionKey> {
        if !self.phase.is_opened() || !self.has_channel() {
            return None;
        }
        let key = self.new_session();
        self.send_begin(key, None);
        Some(key)
    }

    /// Ends a session with all its links (part 2.5.2). Their keys are void from here on.
    pub fn end(&mut self, session: SessionKey, error: Option<Error>) {
        if self.send_end(session, error) {
            self.forget_links(session, |_, _| {});
        }
    }

    /// Ends a session because the peer broke its rules (part 2.5.4).
    pub(super) fn end_session(&mut self, session: SessionKey, error: Error) -> Result<(), Error> {
        if self.send_end(session, Some(error.clone())) {
            self.lose_links(session);
        }
        self.events.push_back(Event::Ended { session, error: Some(error) });
        Ok(())
    }

    /// Part 2.7.2. The peer begins a session, or answers a begin of ours.
    pub(super) fn handle_begin(&mut self, channel: u16, begin: &Begin) -> Result<(), Error> {
        if self.channels.contains_key(&channel) {
            return Err(not_allowed(format!("begin on channel {channel}, which is in use")));
        }
        let key = match begin.remote_channel {
            Some(ours) => {
                let key = self.local_channels.get(ours.into()).copied();
                let asked = |key: &SessionKey| {
                    self.session(*key).is_some_and(|it| it.mapping.remote_channel().is_none())
                };
                key.filter(asked).ok_or_else(|| {
                    not_allowed(format!("begin answers channel {ours}, where none was asked for"))
                })?
            }
            None => {
                if channel > self.config.channel_max || !self.has_channel() {
                    self.events.push_back(Event::SessionRefused);
                    return Err(Error::new(
                        condition::RESOURCE_LIMIT_EXCEEDED,
                        format!("no session left for channel {channel}"),
                    ));
                }
                let key = self.new_session();
                self.send_begin(key, Some(channel));
                key
            }
        };
        self.channels.insert(channel, key);
        if let Some(session) = self.sessions.get_mut(key.0.into()) {
            session.begun(channel, begin);
            // The application may have ended it before the peer answered.
            if matches!(session.mapping, Mapping::Mapped(_)) {
                self.events.push_back(Event::Begun { session: key });
            }
        }
        Ok(())
    }

    /// Part 2.7.8. The peer ends a session, or answers an end of ours.
    pub(super) fn handle_end(&mut self, key: SessionKey, channel: u16, end: End) {
        self.channels.remove(&channel);
        if !self.session(key).is_some_and(Session::is_ended) {
            self.send_on(key, &Performative::End(End::default()));
            self.lose_links(key);
            self.events.push_back(Event::Ended { session: key, error: end.error });
        }
        if let Some(session) = self.sessions.remove(key.0.into()) {
            self.local_channels.try_remove(session.channel.into());
        }
    }

    /// Whether another session can have a channel.
    fn has_channel(&self) -> bool {
        let limit = self.remote.channel_max.min(self.config.channel_max);
        self.local_channels.vacant_key() <= usize::from(limit)
            && self.sessions.len() < MAX_SESSIONS
            && u16::try_from(self.sessions.vacant_key()).is_ok()
    }

    fn new_session(&mut self) -> SessionKey {
        let channel = u16::try_from(self.local_channels.vacant_key()).unwrap_or(u16::MAX);
        let window = self.window_limits().map_or(self.config.incoming_window, |(least, _)| least);
        let key = self.sessions.insert(Session::new(channel, window));
        let key = SessionKey(u16::try_from(key).unwrap_or(u16::MAX));
        self.local_channels.insert(key);
        key
    }

    fn send_begin(&mut self, key: SessionKey, remote_channel: Option<u16>) {
        let incoming_window = self
            .session(key)
            .map_or(self.config.incoming_window, |session| session.incoming_window.size());
        let begin = Begin {
            remote_channel,
            next_outgoing_id: 0,
            incoming_window,
            outgoing_window: i32::MAX as u32,
            handle_max: Some(i32::MAX as u32),
            ..Begin::default()
        };
        self.send_on(key, &Performative::Begin(Box::new(begin)));
    }

    /// Sends end, unless that was done before. Returns whether it did.
    fn send_end(&mut self, key: SessionKey, error: Option<Error>) -> bool {
        let Some(session) = self.session_mut(key).filter(|session| !session.is_ended()) else {
            return false;
        };
        session.ended();
        self.send_on(key, &Performative::End(End { error }));
        true
    }
}
