//! The state that the two ends of a delivery share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use skupper_proto::amqp::performative::DeliveryState;

use super::super::account::{Charge, Holder};
use super::super::chunks::Chunks;
use super::message::Message;
use super::notify::{Notify, Side};
use crate::lock::{Mutex, MutexGuard};

/// Bytes that may wait for the consumer before a producer is held back. A producer that may be
/// held back is woken when the consumer takes some of them, others are not. (A service that is
/// woken for the bytes of each request costs 1,200 instructions each time.)
pub const AHEAD: usize = 256 * 1024;

/// Bytes of memory that a delivery takes beside its message's head and body: itself, and its
/// places in the tables of the two connections that it joins (measured: 1.1 KiB, its places in the
/// engines included).
const TAKES: usize = 1024;

/// How a delivery's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is whole.
    Complete,
    /// The producer gave it up. The consumer passes the bytes before the abort on as far as it need
    /// not wait for room, and the abort behind them.
    Aborted,
}

/// The consumer's answer so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Bytes that wait for the consumer.
    pub queued: usize,
    /// Bytes of the body that the receiver has acknowledged (RECEIVED, section-offset).
    pub received: u64,
    /// The receiver has acknowledged, even if no byte yet.
    pub acknowledged: bool,
    /// The receiver has a state in the terms of an extension, see
    /// [`ProducerEnd::take_receiver_state`](super::ProducerEnd::take_receiver_state).
    pub extended: bool,
    /// Bytes beyond the window that the receiver allows.
    pub allowance: u64,
    /// The outcome, once there is one.
    pub outcome: Option<DeliveryState>,
    /// The receiver has settled.
    pub settled: bool,
}

/// One of a destination's open deliveries, counted for as long as this lives.
#[derive(Debug)]
pub(in super::super) struct Outstanding(Arc<AtomicUsize>);

impl Outstanding {
    pub(in super::super) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A message and the state of its delivery.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) message: Message,
    exchange: Mutex<Exchange>,
}

/// What the two ends have told each other so far.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The holder that is charged for it.
    pub(super) holder: Arc<Holder>,
    /// The charge for the head, if copies share the head; else `holder` is charged for it directly.
    head: Option<Arc<Charge>>,
    pub(super) chunks: Chunks,
    pub(super) queued: usize,
    pub(super) end: Option<Ended>,
    pub(super) producer: Side,
    pub(super) consumer: Side,
    pub(super) received: u64,
    pub(super) acknowledged: bool,
    /// Bytes beyond the window that the receiver allows.
    pub(super) allowance: u64,
    /// Bytes beyond the window that the router has lent: as many may come and wait.
    pub(super) lent: usize,
    /// Where part of the loan ends, if it is to.
    pub(super) recall: Option<Recall>,
    pub(super) outcome: Option<DeliveryState>,
    pub(super) settled: bool,
    /// The consumer has given its last answer.
    pub(super) concluded: bool,
    /// The sender's state in the terms of an extension, until the consumer takes it.
    pub(super) sender_state: Option<Box<DeliveryState>>,
    /// The receiver's state in the terms of an extension, until the producer takes it.
    pub(super) receiver_state: Option<Box<DeliveryState>>,
    /// The sender hears no answer.
    pub(super) sender_settled: bool,
    /// Part of it has gone out; giving it to another consumer would tear it.
    pub(super) started: bool,
    /// Counts it at its destination until both ends are gone.
    outstanding: Option<Outstanding>,
}

/// The end of part of a loan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recall {
    /// Once so many bytes were received, all that was sent under the former allowance has come.
    pub(super) at: u64,
    /// The most bytes that the receiver has allowed since.
    pub(super) most: usize,
}

impl Exchange {
    fn new(holder: Arc<Holder>) -> Self {
        Self {
            holder,
            head: None,
            chunks: Chunks::default(),
            queued: 0,
            end: None,
            producer: Side::default(),
            consumer: Side::default(),
            received: 0,
            acknowledged: false,
            allowance: 0,
            lent: 0,
            recall: None,
            outcome: None,
            settled: false,
            concluded: false,
            sender_state: None,
            receiver_state: None,
            sender_settled: false,
            started: false,
            outstanding: None,
        }
    }

    /// Returns how many bytes are charged for a delivery of `message` alone.
    fn charged(&self, message: &Message) -> usize {
        TAKES + self.queued + if self.head.is_none() { message.head() } else { 0 }
    }

    /// Drops the bytes that wait for the consumer.
    pub(super) fn void(&mut self) {
        self.chunks.clear();
        self.holder.give_back(std::mem::take(&mut self.queued));
    }
}

impl Shared {
    pub(super) fn new(message: Message, holder: &Arc<Holder>) -> Self {
        holder.take(TAKES + message.head());
        Self { message, exchange: Mutex::new(Exchange::new(Arc::clone(holder))) }
    }

    /// Makes the state of another delivery of the same message. The two share the charge for the
    /// head.
    pub(super) fn copy(&self) -> Self {
        let mut state = self.lock();
        let Exchange { holder, head, .. } = &mut *state;
        let head = Arc::clone(head.get_or_insert_with(|| {
            let shared = holder.charge(self.message.head());
            holder.give_back(shared.octets());
            Arc::new(shared)
        }));
        holder.take(TAKES);
        let copy = Exchange { head: Some(head), ..Exchange::new(Arc::clone(holder)) };
        Self { message: self.message.clone(), exchange: Mutex::new(copy) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock()
    }

    /// Charges `holder` instead of the present holder.
    pub(super) fn charge_to(&self, holder: &Arc<Holder>) {
        let mut state = self.lock();
        if !Arc::ptr_eq(&state.holder, holder) {
            let octets = state.charged(&self.message);
            holder.take(octets);
            std::mem::replace(&mut state.holder, Arc::clone(holder)).give_back(octets);
        }
    }

    pub(super) fn count_at(&self, outstanding: Outstanding) {
        self.lock().outstanding = Some(outstanding);
    }

    /// Appends `octets` to the body, unless it has ended, and then ends it if `ended` says so.
    /// Returns how many bytes wait for the consumer.
    pub(super) fn append(&self, octets: Bytes, ended: Option<Ended>) -> usize {
        let (notify, queued) = {
            let mut state = self.lock();
            if state.end.is_some() {
                return state.queued;
            }
            let dropped =
                matches!(&state.outcome, Some(outcome) if *outcome != DeliveryState::Accepted);
            let appends = !octets.is_empty() && !dropped;
            if appends {
                state.holder.take(octets.len());
                state.queued += octets.len();
                state.chunks.append(octets);
            }
            state.end = ended;
            if !appends && ended.is_none() {
                return state.queued;
            }
            (state.consumer.wake(), state.queued)
        };
        notify.wake();
        queued
    }

    /// Gives the delivery its outcome, unless it has one, and settles it if `settled` says so.
    /// `concludes`: the consumer says no more, even when it is dropped.
    pub(super) fn answer(&self, outcome: Option<DeliveryState>, settled: bool, concludes: bool) {
        let notify = {
            let mut state = self.lock();
            state.concluded |= concludes;
            if state.settled {
                return;
            }
            if state.outcome.is_none() {
                state.outcome = outcome;
            }
            state.settled |= settled;
            if !matches!(state.outcome, None | Some(DeliveryState::Accepted)) {
                state.void();
            }
            // Acceptance changes nothing for a task that has ended the body.
            let done = state.end.is_some() && state.outcome == Some(DeliveryState::Accepted);
            if done && matches!(state.producer.notify, Notify::Task(_)) {
                Notify::Nobody
            } else {
                state.producer.wake()
            }
        };
        notify.wake();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.exchange.get_mut();
        state.holder.give_back(state.charged(&self.message));
        state.holder.account().end_loan(state.lent);
    }
}
