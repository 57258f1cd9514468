//! The links on which this end sends: their credit, what is given to those that are free, and their
//! end.

use std::sync::atomic::Ordering;

use skupper_proto::engine::LinkKey;

use super::{OutLink, Purpose};
use crate::net::connection::Connection;

impl Connection {
    /// Writes down how a consumer's link stands.
    pub(super) fn note_link(&self, link: LinkKey) {
        let (Some(known), Some(state)) =
            (self.cx.records.get(&link), self.outgoing.links.get(&link))
        else {
            return;
        };
        known.record().counts.undelivered.store(state.waiting.len() as u64, Ordering::Relaxed);
        self.note_credit(link);
    }

    /// Writes down a link's credit.
    pub(in crate::net) fn note_credit(&self, link: LinkKey) {
        if let Some(known) = self.cx.records.get(&link) {
            known.record().counts.set_credit(self.cx.engine.credit(link), self.cx.now);
        }
    }

    /// Whether nothing is being sent on a link, nor waits for it.
    pub(in crate::net) fn is_idle(&self, link: LinkKey) -> bool {
        self.outgoing.links.get(&link).is_some_and(|state| !state.busy && state.waiting.is_empty())
    }

    /// Whether this end sends on a link.
    pub(in crate::net) fn sends_on(&self, link: LinkKey) -> bool {
        self.outgoing.links.contains_key(&link)
    }

    /// What was sent on a link has been sent.
    pub(super) fn link_done(&mut self, link: LinkKey) {
        if let Some(state) = self.outgoing.links.get_mut(&link) {
            state.busy = false;
        }
        self.link_free(link);
    }

    /// A link has credit and nothing to send.
    pub(super) fn link_free(&mut self, link: LinkKey) {
        let credit = self.cx.engine.credit(link) > 0;
        let Some(state) = self
            .outgoing
            .links
            .get_mut(&link)
            .filter(|state| state.attached && !state.busy && credit)
        else {
            return;
        };
        let first = !std::mem::replace(&mut state.usable, true);
        match state.purpose {
            Purpose::Queue(queue) => {
                self.serve_queue(queue);
                self.answer_drain(link);
            }
            Purpose::Consumer => {
                self.serve_consumer(link);
                self.answer_drain(link);
                self.note_link(link);
                self.tell_edge();
            }
            Purpose::Gauge(_) => self.outgoing.lanes.ask_at(self.cx.now),
            Purpose::Stream => {
                if first {
                    self.outgoing.attaching = self.outgoing.attaching.saturating_sub(1);
                }
                if !state.idle {
                    state.idle = true;
                    self.outgoing.idle.put(link, self.cx.now);
                }
                self.serve_streams();
            }
        }
    }

    /// A link on which we send is attached at both ends.
    pub(in crate::net) fn outgoing_attached(&mut self, link: LinkKey, purpose: Purpose) {
        if let Purpose::Queue(queue) = purpose {
            self.outgoing.queues[queue].link = Some(link);
        }
        self.outgoing.links.entry(link).or_insert_with(|| OutLink::new(purpose)).attached = true;
        self.link_free(link);
    }

    /// A link's credit changed.
    pub(in crate::net) fn outgoing_credit(&mut self, link: LinkKey, drain: bool) {
        if let Some(state) =
            self.outgoing.links.get_mut(&link).filter(|state| state.purpose == Purpose::Consumer)
        {
            state.drain = drain;
            self.serve_consumer(link);
            self.answer_drain(link);
            self.note_link(link);
            return self.tell_edge();
        }
        if let Some(state) = self.outgoing.links.get_mut(&link) {
            state.drain = drain;
        }
        self.link_free(link);
        self.answer_drain(link);
    }

    /// Gives back what credit of a link is not needed now, if its receiver asks for that. What is
    /// being sent has had its credit.
    fn answer_drain(&mut self, link: LinkKey) {
        let Some(state) = self.outgoing.links.get_mut(&link).filter(|state| state.drain) else {
            return;
        };
        let waits = match state.purpose {
            Purpose::Queue(queue) => !self.outgoing.queues[queue].waiting.is_empty(),
            Purpose::Consumer => !state.waiting.is_empty(),
            Purpose::Stream | Purpose::Gauge(_) => false,
        };
        if waits && self.cx.engine.credit(link) > 0 {
            return;
        }
        state.drain = false;
        if std::mem::take(&mut state.idle) {
            self.outgoing.idle.remove(link);
        }
        self.cx.engine.drained(link);
    }

    /// Gives up streaming links that a burst has left behind.
    pub(in crate::net) fn shed_idle_links(&mut self) {
        for link in self.outgoing.idle.shed(self.cx.now, |link| self.cx.engine.has_deliveries(link))
        {
            if let Some(state) = self.outgoing.links.get_mut(&link) {
                state.idle = false;
            }
            self.cx.engine.detach(link, None);
            self.link_gone(link);
        }
        if self.outgoing.idle.settled() {
            self.shrink();
        }
    }

    /// A link is gone.
    pub(in crate::net) fn outgoing_detached(&mut self, link: LinkKey) -> Option<Purpose> {
        let state = self.outgoing.links.remove(&link)?;
        if state.idle {
            self.outgoing.idle.remove(link);
        }
        match state.purpose {
            Purpose::Queue(queue) => {
                self.outgoing.queues[queue].link = None;
                let waiting = std::mem::take(&mut self.outgoing.queues[queue].waiting);
                self.release(waiting);
            }
            Purpose::Consumer => {
                if let Some(consumer) = &state.consumer {
                    self.consumer_gone(consumer);
                }
                // First it is no consumer any more, then what it had is free to go elsewhere.
                drop(state.consumer);
                self.release(state.waiting);
            }
            Purpose::Gauge(session) => self.gauge_gone(session),
            Purpose::Stream => {
                if let Some(session) = state.session {
                    self.lane_left(session);
                }
                self.outgoing.streaming_links = self.outgoing.streaming_links.saturating_sub(1);
                if !state.usable {
                    self.outgoing.attaching = self.outgoing.attaching.saturating_sub(1);
                    // Refused. Asking again at once would go on for as long as a stream waits.
                    let refused = self.outgoing.waiting.pop_front();
                    self.release(refused);
                }
            }
        }
        self.serve_streams();
        Some(state.purpose)
    }
}
