//! A delivery: a message head, a body that may still be arriving, and what its receiver says of it.
//!
//! It has one producer and one consumer, which may live on two threads; each is woken when the
//! other has done something for it. The lock is the delivery's own and is held for a few
//! instructions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::stream;

use super::account::{Charge, Holder};
use super::chunks::Chunks;
use super::edge::EdgeConnection;
use super::mailbox::Mailbox;

/// Octets that wait for the consumer, below which no producer is held back. A producer that may be
/// is told when some of them have been taken; others need not hear of it. (A service that is woken
/// for each request's octets costs 1,200 instructions each time.)
pub const AHEAD: usize = 256 * 1024;

/// Octets of memory that a delivery takes beside its message's head and body: itself, and its
/// places in the tables of the two connections that it joins (measured: 1.1 KiB, its places in the
/// engines included).
const TAKES: usize = 1024;

/// What is known of a message before its body.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The router annotations as they came; empty when the message begins its way here.
    pub annotations: Bytes,
    /// The sections from header to the start of the body's octets, as they go out.
    pub sections: Bytes,
    /// To be forwarded while it arrives, on a link of its own.
    pub streaming: bool,
    /// The sender has settled it.
    pub presettled: bool,
    /// 0 to 9.
    pub priority: u8,
    /// Its producer is in this process and speaks no AMQP: nobody else counts its outcome, or
    /// settles it.
    pub internal: bool,
    /// Its receiver says how far it has come, and its sender keeps a window by that, as with the
    /// streams of a service connection.
    pub windowed: bool,
    /// Its sender is told when its receiver allows more than the window: the neighbor that it
    /// comes from is a router of ours.
    pub extensible: bool,
    /// Its sender wants it to be sent elsewhere when it is released.
    pub resend: bool,
    /// The address of the link it came by, which goes before its own `to` on the way.
    pub to_override: Option<Arc<str>>,
    /// The edge connection that it came by.
    pub edge: Option<Arc<EdgeConnection>>,
    /// How it stands at its sender, in the terms of an extension, as it came with the message.
    pub state: Option<Box<DeliveryState>>,
    /// The number of the connection that it came by.
    pub connection: Option<u64>,
}

/// How a delivery's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is whole.
    Complete,
    /// It was given up: what came of it goes on as far as nobody has to wait for it, and the abort
    /// behind it.
    Aborted,
}

/// Whom to wake.
#[derive(Clone, Debug, Default)]
pub enum Notify {
    /// Nobody.
    #[default]
    Nobody,
    /// A task that looks after this delivery alone.
    Task(Waker),
    /// A connection's task, which looks after many: it finds the slot in its mailbox.
    Slot(Arc<Mailbox>, u32),
    /// Who acts at once, on the thread of whoever has done something.
    Call(Arc<dyn Party>),
}

/// A party to a delivery that has no task of its own.
pub trait Party: std::fmt::Debug + Send + Sync {
    /// The other party has done something. No lock of the delivery's is held.
    fn notice(self: Arc<Self>);
}

#[derive(Debug, Default)]
struct Side {
    notify: Notify,
    /// Woken and not seen since: it need not be woken again.
    pending: bool,
}

impl Side {
    /// Whom to wake, if anybody: done by the caller once the delivery's lock is free.
    fn wake(&mut self) -> Notify {
        match &self.notify {
            Notify::Nobody => Notify::Nobody,
            Notify::Task(_) | Notify::Call(_) => self.notify.clone(),
            Notify::Slot(..) if self.pending => Notify::Nobody,
            Notify::Slot(..) => {
                self.pending = true;
                self.notify.clone()
            }
        }
    }
}

impl Notify {
    /// Wakes whom it names.
    pub(super) fn wake(self) {
        match self {
            Self::Nobody => {}
            Self::Task(waker) => waker.wake(),
            Self::Slot(mailbox, slot) => mailbox.ready(slot),
            Self::Call(party) => party.notice(),
        }
    }
}

#[derive(Debug)]
struct State {
    /// Who is charged for it.
    holder: Arc<Holder>,
    /// What is charged for the head's octets, if copies share them; else they are charged with the
    /// rest.
    head: Option<Arc<Charge>>,
    chunks: Chunks,
    queued: usize,
    end: Option<Ended>,
    producer: Side,
    consumer: Side,
    received: u64,
    acknowledged: bool,
    /// Octets beyond the window that the receiver allows, and how many of them the router has
    /// lent: as many may come and wait.
    allowance: u64,
    lent: usize,
    /// Part of the loan is to end once so much has been received: what was sent while more was
    /// allowed has come by then. And the most that has been allowed since.
    recall: Option<(u64, usize)>,
    outcome: Option<DeliveryState>,
    settled: bool,
    /// What sender and receiver have said of it in the terms of an extension, and the other has
    /// not heard yet.
    sender_state: Option<Box<DeliveryState>>,
    receiver_state: Option<Box<DeliveryState>>,
    /// The sender wants no more word of it.
    sender_settled: bool,
    /// Part of it has gone out; giving it to another consumer would tear it.
    started: bool,
}

impl State {
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
            sender_state: None,
            receiver_state: None,
            sender_settled: false,
            started: false,
        }
    }

    /// Octets that are charged for a delivery of `message` alone.
    fn charged(&self, message: &Message) -> usize {
        TAKES + self.queued + if self.head.is_none() { message.head() } else { 0 }
    }

    /// Drops what waits for the consumer.
    fn void(&mut self) {
        self.chunks.clear();
        self.holder.give_back(std::mem::take(&mut self.queued));
    }
}

impl Message {
    /// Octets of its head.
    fn head(&self) -> usize {
        self.annotations.len() + self.sections.len()
    }
}

/// What the consumer has said so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Octets that wait for the consumer.
    pub queued: usize,
    /// Octets of the body that the receiver has acknowledged (RECEIVED, section-offset).
    pub received: u64,
    /// The receiver has said how far it has come, even if that is nowhere yet.
    pub acknowledged: bool,
    /// The receiver has said something in the terms of an extension, see
    /// [`Delivery::receiver_state`].
    pub extended: bool,
    /// Octets beyond the window that the receiver allows.
    pub allowance: u64,
    /// The outcome, once there is one.
    pub outcome: Option<DeliveryState>,
    /// The receiver has settled.
    pub settled: bool,
}

/// One delivery on its way through the router.
#[derive(Debug)]
pub struct Delivery {
    message: Message,
    state: Mutex<State>,
    /// Counts it among the deliveries that its destination has open, for as long as it lives.
    outstanding: Mutex<Option<Outstanding>>,
}

/// One of a destination's open deliveries.
#[derive(Debug)]
pub(super) struct Outstanding(Arc<AtomicUsize>);

impl Outstanding {
    pub(super) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Delivery {
    /// A delivery without octets yet, for which `holder` is charged.
    pub fn new(message: Message, holder: &Arc<Holder>) -> Arc<Self> {
        holder.take(TAKES + message.head());
        let state = Mutex::new(State::new(Arc::clone(holder)));
        Arc::new(Self { message, state, outstanding: Mutex::default() })
    }

    /// A delivery that is all there.
    pub fn whole(message: Message, body: Bytes, holder: &Arc<Holder>) -> Arc<Self> {
        let delivery = Self::new(message, holder);
        delivery.push(body);
        delivery.end(Ended::Complete);
        delivery
    }

    /// Another delivery of the same message, without octets yet.
    pub(super) fn copy(&self) -> Arc<Self> {
        let mut state = self.lock();
        let State { holder, head, .. } = &mut *state;
        let head = Arc::clone(head.get_or_insert_with(|| {
            let shared = holder.charge(self.message.head());
            holder.give_back(shared.octets());
            Arc::new(shared)
        }));
        holder.take(TAKES);
        let copy = State { head: Some(head), ..State::new(Arc::clone(holder)) };
        Arc::new(Self {
            message: self.message.clone(),
            state: Mutex::new(copy),
            outstanding: Mutex::default(),
        })
    }

    /// Charges it to another holder from now on: who it is for has been found.
    pub fn charge_to(&self, holder: &Arc<Holder>) {
        let mut state = self.lock();
        if !Arc::ptr_eq(&state.holder, holder) {
            let octets = state.charged(&self.message);
            holder.take(octets);
            std::mem::replace(&mut state.holder, Arc::clone(holder)).give_back(octets);
        }
    }

    /// Charges its holder for octets of it that were taken and are kept elsewhere.
    pub fn charge(&self, octets: usize) -> Charge {
        self.lock().holder.charge(octets)
    }

    /// What is known of the message.
    pub const fn message(&self) -> &Message {
        &self.message
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count_at(&self, outstanding: Outstanding) {
        *self.outstanding.lock().unwrap_or_else(PoisonError::into_inner) = Some(outstanding);
    }

    // ----- for the producer -----

    /// Names the producer, to be woken when the consumer has said something, or has taken octets of
    /// [`AHEAD`] and more. A party hears of all that is taken.
    pub fn set_producer(&self, notify: Notify) {
        self.lock().producer = Side { notify, pending: false };
    }

    /// The connection that it came by, if its producer is one.
    pub(super) fn came_by(&self) -> Option<Arc<Mailbox>> {
        match &self.lock().producer.notify {
            Notify::Slot(mailbox, _) => Some(Arc::clone(mailbox)),
            Notify::Nobody | Notify::Task(_) | Notify::Call(_) => None,
        }
    }

    /// Appends octets of the body, and returns how many wait for the consumer now. They are dropped
    /// once an outcome has come: nobody wants them any more.
    pub fn push(&self, octets: Bytes) -> usize {
        self.append(octets, None)
    }

    /// Appends the last octets of the body. The consumer sees their end with them, and need not
    /// tell it by itself.
    pub fn push_last(&self, octets: Bytes, ended: Ended) {
        self.append(octets, Some(ended));
    }

    /// Ends the body.
    pub fn end(&self, ended: Ended) {
        self.append(Bytes::new(), Some(ended));
    }

    fn append(&self, octets: Bytes, ended: Option<Ended>) -> usize {
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

    /// The sender has settled: whatever the receiver says now, nobody hears it.
    pub fn settle(&self) {
        let notify = {
            let mut state = self.lock();
            if std::mem::replace(&mut state.sender_settled, true) {
                return;
            }
            state.consumer.wake()
        };
        notify.wake();
    }

    /// How it stands at its sender now, in the terms of an extension. Of several that nobody has
    /// heard, the last is told.
    pub fn set_sender_state(&self, delivery_state: DeliveryState) {
        let notify = {
            let mut state = self.lock();
            state.sender_state = Some(Box::new(delivery_state));
            state.consumer.wake()
        };
        notify.wake();
    }

    /// What the receiver has said in the terms of an extension, if that is news.
    pub fn receiver_state(&self) -> Option<DeliveryState> {
        self.lock().receiver_state.take().map(|state| *state)
    }

    /// What the consumer has said so far. The producer will be woken for what comes after.
    pub fn progress(&self) -> Progress {
        let mut state = self.lock();
        state.producer.pending = false;
        Progress {
            queued: state.queued,
            received: state.received,
            acknowledged: state.acknowledged,
            extended: state.receiver_state.is_some(),
            allowance: state.allowance,
            outcome: state.outcome.clone(),
            settled: state.settled,
        }
    }

    /// Octets that wait for the consumer, and octets that the receiver has acknowledged; the cheap
    /// form of [`Delivery::progress`].
    pub fn window(&self) -> (usize, u64) {
        let state = self.lock();
        (state.queued, state.received)
    }

    /// Octets beyond the window that may come, for the receiver has allowed them at some time.
    pub fn lent(&self) -> usize {
        self.lock().lent
    }

    // ----- for the consumer -----

    /// Names the consumer, and wakes it if something waits already.
    pub fn set_consumer(&self, notify: Notify) {
        let notify = {
            let mut state = self.lock();
            state.consumer = Side { notify, pending: false };
            if state.chunks.is_empty() && state.end.is_none() {
                Notify::Nobody
            } else {
                state.consumer.wake()
            }
        };
        notify.wake();
    }

    /// Moves up to `limit` octets to `into` (the last chunk may go over it), and tells whether the
    /// body has ended behind them.
    pub fn take(&self, limit: usize, into: &mut impl Extend<Bytes>) -> (usize, Option<Ended>) {
        self.take_some(limit, usize::MAX, into)
    }

    /// The same, and never more than `limit` octets.
    pub fn take_within(
        &self,
        limit: usize,
        into: &mut impl Extend<Bytes>,
    ) -> (usize, Option<Ended>) {
        self.take_some(limit, limit, into)
    }

    fn take_some(
        &self,
        enough: usize,
        most: usize,
        into: &mut impl Extend<Bytes>,
    ) -> (usize, Option<Ended>) {
        let mut state = self.lock();
        state.consumer.pending = false;
        state.started = true;
        let mut octets = 0;
        while octets < enough {
            let chunk = match state.chunks.front_mut() {
                Some(chunk) if chunk.len() > most - octets => Some(chunk.split_to(most - octets)),
                _ => state.chunks.pop_front(),
            };
            let Some(chunk) = chunk else { break };
            octets += chunk.len();
            into.extend([chunk]);
        }
        let held_back = state.queued >= AHEAD || matches!(state.producer.notify, Notify::Call(_));
        state.queued -= octets;
        let end = state.end.filter(|_| state.chunks.is_empty());
        let notify = if octets > 0 && held_back { state.producer.wake() } else { Notify::Nobody };
        state.holder.give_back(octets);
        drop(state);
        notify.wake();
        (octets, end)
    }

    /// The consumer cannot go on now: if the body was given up, what waits of it is dropped.
    /// Returns whether it was.
    pub fn give_up(&self) -> bool {
        let mut state = self.lock();
        if state.end != Some(Ended::Aborted) {
            return false;
        }
        state.void();
        true
    }

    /// Says how many octets of the body the receiver has taken, all in all, and how many beyond the
    /// window it allows from now on. They are granted as far as the router has memory for them.
    pub fn acknowledge(&self, octets: u64, allowance: u64) {
        let notify = {
            let mut state = self.lock();
            if octets <= state.received && state.acknowledged {
                return;
            }
            state.received = state.received.max(octets);
            state.acknowledged = true;
            state.allowance = self.grant(&mut state, allowance);
            state.producer.wake()
        };
        notify.wake();
    }

    /// How much of an allowance the router can bear.
    fn grant(&self, state: &mut State, wanted: u64) -> u64 {
        if self.message.internal {
            // Its producer reads no further ahead than it always does.
            return wanted;
        }
        let wanted =
            if self.message.extensible { usize::try_from(wanted).unwrap_or(usize::MAX) } else { 0 };
        let account = state.holder.account();
        // While memory is short, loans are called back.
        let wanted = if account.is_short() { 0 } else { wanted };
        if wanted > state.lent && account.lend(wanted - state.lent) {
            state.lent = wanted;
        }
        let granted = wanted.min(state.lent);
        state.recall = match state.recall {
            _ if granted == state.lent => None,
            None => Some((state.received + (stream::MAX_HELD + state.lent) as u64, granted)),
            Some((at, most)) if state.received >= at => {
                let most = most.max(granted);
                account.end_loan(state.lent - most);
                state.lent = most;
                None
            }
            Some((at, most)) => Some((at, most.max(granted))),
        };
        granted as u64
    }

    /// Gives the delivery its outcome; the first one stays. `settled` says that the receiver is
    /// done with it.
    pub fn outcome(&self, outcome: Option<DeliveryState>, settled: bool) {
        let notify = {
            let mut state = self.lock();
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
            // A task that has said all it had to say is done with it: that it was accepted changes
            // nothing any more.
            let done = state.end.is_some() && state.outcome == Some(DeliveryState::Accepted);
            if done && matches!(state.producer.notify, Notify::Task(_)) {
                Notify::Nobody
            } else {
                state.producer.wake()
            }
        };
        notify.wake();
    }

    /// How it stands at its receiver now, in the terms of an extension: no outcome. Of several that
    /// nobody has heard, the last is told.
    pub fn set_receiver_state(&self, delivery_state: DeliveryState) {
        let notify = {
            let mut state = self.lock();
            state.receiver_state = Some(Box::new(delivery_state));
            state.producer.wake()
        };
        notify.wake();
    }

    /// What the sender has said in the terms of an extension since the message came, if that is
    /// news. The consumer will be woken for what comes after.
    pub fn sender_state(&self) -> Option<DeliveryState> {
        let mut state = self.lock();
        state.consumer.pending = false;
        state.sender_state.take().map(|state| *state)
    }

    /// The consumer is gone: MODIFIED if anything of the delivery had been sent, else RELEASED, so
    /// that it may go elsewhere.
    pub fn consumer_lost(&self) {
        let started = {
            let mut state = self.lock();
            // A receiver may accept a stream before its end. What has not been taken by now is lost
            // all the same, and the producer, who counts no window any more, would wait
            // for ever for somebody to take it.
            let missing = !state.chunks.is_empty() || state.end != Some(Ended::Complete);
            if missing && state.outcome == Some(DeliveryState::Accepted) {
                (state.outcome, state.settled) = (None, false);
            }
            state.started
        };
        self.outcome(
            Some(if started { DeliveryState::failed() } else { DeliveryState::Released }),
            true,
        );
    }

    /// Whether its sender has settled.
    pub fn is_sender_settled(&self) -> bool {
        self.lock().sender_settled
    }

    /// How the body ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        self.lock().end
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.holder.give_back(state.charged(&self.message));
        state.holder.account().end_loan(state.lent);
    }
}
