//! One link on which this end sends.
//!
//! ```text
//!              the peer answers            credit               a delivery begins
//!   Attaching -----------------> Attached --------> Free/Pooled ------------------> Busy
//!                                    |                   ^                           |
//!                                    | refused           +------- it was sent -------+
//!                                    v                            and is not unread
//!                                  gone
//! ```
//!
//! A free link for streams is Pooled, for any stream. A link whose credit was given back is Free
//! until it has credit again. A link that the peer attaches begins as Attached.

use std::collections::VecDeque;

use skupper_proto::engine::SessionKey;

use super::consumers::Consumer;

/// A link on which this end sends.
pub(super) struct OutLink {
    pub(super) purpose: Purpose,
    pub(super) stage: Stage,
    /// Its receiver wants back the credit that is not used at once.
    pub(super) drain: bool,
}

/// The purpose of a link on which this end sends.
pub(super) enum Purpose {
    /// Whole messages of one queue, one after the other.
    Queue(usize),
    /// One stream at a time.
    Stream {
        /// The session that was chosen for it, if this end attached it.
        session: Option<SessionKey>,
    },
    /// Messages for one consumer.
    Consumer(ConsumerLink),
    /// Questions about a session.
    Gauge(SessionKey),
}

/// A link to a consumer.
pub(super) struct ConsumerLink {
    pub(super) consumer: Consumer,
    /// Deliveries that wait for their turn or for credit.
    pub(super) waiting: VecDeque<u32>,
    /// It takes settled deliveries only.
    pub(super) settles: bool,
    /// The most presettled deliveries that may wait.
    pub(super) capacity: usize,
}

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// This end's attach has no answer.
    Attaching,
    /// Both ends are attached. The peer has given no credit, and may still refuse the link.
    Attached,
    /// It carries nothing.
    Free,
    /// It carries nothing and is in the pool, for the next stream.
    Pooled,
    /// It carries a delivery.
    Busy,
}

impl OutLink {
    /// Makes a link that this end attaches.
    pub(super) const fn attaching(purpose: Purpose) -> Self {
        Self { purpose, stage: Stage::Attaching, drain: false }
    }

    /// Makes a link that both ends have attached.
    pub(super) const fn attached(purpose: Purpose) -> Self {
        Self { purpose, stage: Stage::Attached, drain: false }
    }

    /// Returns whether the peer has given credit at some time.
    pub(super) const fn is_proven(&self) -> bool {
        !matches!(self.stage, Stage::Attaching | Stage::Attached)
    }

    /// Returns whether it carries a delivery.
    pub(super) const fn is_busy(&self) -> bool {
        matches!(self.stage, Stage::Busy)
    }

    /// Notes the peer's answer to this end's attach.
    pub(super) const fn on_answered(&mut self) {
        if matches!(self.stage, Stage::Attaching) {
            self.stage = Stage::Attached;
        }
    }

    /// Returns its part for a consumer.
    pub(super) const fn consumer(&self) -> Option<&ConsumerLink> {
        match &self.purpose {
            Purpose::Consumer(consumer) => Some(consumer),
            Purpose::Queue(_) | Purpose::Stream { .. } | Purpose::Gauge(_) => None,
        }
    }

    /// Returns its part for a consumer.
    pub(super) const fn consumer_mut(&mut self) -> Option<&mut ConsumerLink> {
        match &mut self.purpose {
            Purpose::Consumer(consumer) => Some(consumer),
            Purpose::Queue(_) | Purpose::Stream { .. } | Purpose::Gauge(_) => None,
        }
    }
}

impl ConsumerLink {
    /// Makes a link of which nothing waits.
    pub(super) const fn new(consumer: Consumer, settles: bool, capacity: usize) -> Self {
        Self { consumer, waiting: VecDeque::new(), settles, capacity }
    }
}
