//! Frames out.

use super::connection::{Connection, Phase};
use super::delivery::OutgoingKey;
use super::link::{AttachRequest, Link, LinkKey, ahead};
use super::session::SessionKey;
use crate::amqp::performative::{Attach, Begin, End, Error, Flow, Open, Performative};
use crate::amqp::{Encode, frame};

impl Connection {
    pub(super) fn send_open(&mut self) {
        if self.open_sent {
            return;
        }
        self.open_sent = true;
        let config = &self.config;
        let half = u32::try_from((config.idle_timeout / 2).as_millis()).unwrap_or(u32::MAX);
        let open = Open {
            container_id: config.container_id.clone(),
            hostname: config.hostname.clone(),
            max_frame_size: Some(config.max_frame_size),
            channel_max: Some(config.channel_max),
            idle_time_out: (half > 0).then_some(half),
            outgoing_locales: None,
            incoming_locales: None,
            offered_capabilities: (!config.capabilities.0.is_empty())
                .then(|| config.capabilities.clone()),
            desired_capabilities: (!config.capabilities.0.is_empty())
                .then(|| config.capabilities.clone()),
            properties: (!config.properties.0.is_empty()).then(|| config.properties.clone()),
        };
        self.send(0, &Performative::Open(Box::new(open)));
    }

    pub(super) fn send_begin(&mut self, key: SessionKey, remote_channel: Option<u16>) {
        let incoming_window = self
            .sessions
            .get(key.0.into())
            .map_or(self.config.incoming_window, |session| session.window);
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

    /// Sends end, unless that was done before.
    pub(super) fn send_end(&mut self, session: SessionKey, error: Option<Error>) -> bool {
        let Some(entry) = self.sessions.get_mut(session.0.into()).filter(|entry| !entry.end_sent)
        else {
            return false;
        };
        entry.end_sent = true;
        self.send_on(session, &Performative::End(End { error }));
        true
    }

    pub(super) fn send_attach(&mut self, session: SessionKey, handle: u32, request: AttachRequest) {
        let attach = Attach {
            name: request.name,
            handle,
            role: request.role,
            snd_settle_mode: Some(request.snd_settle_mode),
            rcv_settle_mode: Some(0),
            source: request.source,
            target: request.target,
            initial_delivery_count: Some(0),
            max_message_size: Some(request.max_message_size),
            offered_capabilities: request.offered_capabilities,
            properties: request.properties,
            ..Attach::default()
        };
        self.send_on(session, &Performative::Attach(Box::new(attach)));
    }

    pub(super) fn send_flow(&mut self, key: SessionKey, link: Option<LinkKey>, drained: bool) {
        let Some(session) = self.sessions.get(key.0.into()) else { return };
        let link = link.and_then(|link| self.link(link)).filter(|link| link.is_attached());
        // A delivery that has begun and of which nothing was sent may yet be taken back: the peer
        // is not told of it.
        let unsent =
            |key: OutgoingKey| self.outgoing.get(key.0).is_some_and(|state| state.id.is_none());
        let count =
            |link: &Link| link.delivery_count.wrapping_sub(link.sending.is_some_and(unsent).into());
        let flow = Flow {
            next_incoming_id: session.remote_channel.map(|_| session.next_incoming_id),
            incoming_window: session.incoming_window,
            next_outgoing_id: session.next_outgoing_id,
            outgoing_window: i32::MAX as u32,
            handle: link.map(|link| link.local_handle),
            delivery_count: link.map(count),
            link_credit: link.map(|link| ahead(link.limit, count(link))),
            drain: link.filter(|link| drained || link.drain).map(|_| true),
            ..Flow::default()
        };
        self.send_on(key, &Performative::Flow(flow));
    }

    pub(super) fn send_on(&mut self, session: SessionKey, performative: &Performative) {
        if let Some(channel) = self.sessions.get(session.0.into()).map(|session| session.channel) {
            self.send(channel, performative);
        }
    }

    pub(super) fn send(&mut self, channel: u16, performative: &Performative) {
        if matches!(self.phase, Phase::Closing | Phase::Closed) {
            // Nothing follows a close.
            return;
        }
        let out = self.output.buffer();
        let start = frame::begin(out, frame::TYPE_AMQP, channel);
        performative.encode(out);
        frame::end(out, start, 0);
    }
}
