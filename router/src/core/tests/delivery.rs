//! One delivery between its producer and its consumer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use proptest::prelude::*;
use skupper_proto::amqp::Value;
use skupper_proto::amqp::performative::DeliveryState;

use super::Bell;
use crate::core::{
    AHEAD, Account, Class, ConsumerEnd, Ended, Holder, Mailbox, Message, Notify, ProducerEnd,
};

/// The holder that is charged for one delivery.
struct Charged {
    holder: Arc<Holder>,
    /// Bytes that are charged for the delivery without its body.
    rest: usize,
}

impl Charged {
    /// Returns how many bytes of the body are charged.
    fn held(&self) -> usize {
        self.holder.held().saturating_sub(self.rest)
    }
}

fn holder(ceiling: usize) -> Arc<Holder> {
    Holder::new(&Account::new(ceiling), Class::Router)
}

/// Both ends of one delivery.
struct Delivery {
    producer: ProducerEnd,
    consumer: ConsumerEnd,
}

impl Delivery {
    fn new(message: Message, holder: &Arc<Holder>) -> Self {
        let (producer, consumer) = ProducerEnd::begin(message, holder);
        Self { producer, consumer }
    }
}

fn delivery() -> (Delivery, Charged) {
    delivery_of(Message::default())
}

fn delivery_of(message: Message) -> (Delivery, Charged) {
    let holder = holder(1000);
    let delivery = Delivery::new(message, &holder);
    let rest = holder.held();
    (delivery, Charged { holder, rest })
}

fn octets(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn joined(chunks: VecDeque<Bytes>) -> Vec<u8> {
    chunks.into_iter().flatten().collect()
}

/// Takes the slots that wait in a mailbox.
fn ready(mailbox: &Mailbox) -> Vec<u32> {
    let mut ready = Vec::new();
    mailbox.take(&mut ready, &mut VecDeque::new(), Waker::noop());
    ready
}

#[test]
fn octets_come_out_in_order_and_the_end_behind_the_last() {
    let (delivery, budget) = delivery();
    assert_eq!(delivery.producer.push(octets("abc")), 3);
    assert_eq!(delivery.producer.push(Bytes::new()), 3);
    assert_eq!(delivery.producer.push(octets("defg")), 7);
    delivery.producer.end(Ended::Complete);
    assert_eq!(delivery.producer.push(octets("late")), 7);
    assert_eq!(budget.held(), 7);
    let mut chunks = VecDeque::new();
    assert_eq!(delivery.consumer.take(0, &mut chunks), (0, None));
    assert_eq!(delivery.consumer.take(2, &mut chunks), (3, None));
    assert_eq!(
        (budget.held(), delivery.producer.waiting(), delivery.consumer.waiting()),
        (4, 4, 4)
    );
    assert_eq!(delivery.consumer.take(100, &mut chunks), (4, Some(Ended::Complete)));
    assert_eq!(joined(chunks), b"abcdefg");
    assert_eq!(budget.held(), 0);
}

#[test]
fn the_last_octets_and_their_end_are_one_word() {
    let (delivery, budget) = delivery();
    let mailbox = Mailbox::new(0);
    delivery.consumer.set_notify(Notify::Slot(Arc::clone(&mailbox), 7));
    delivery.producer.push_last(octets("abc"), Ended::Complete);
    let mut chunks = VecDeque::new();
    assert_eq!(
        (ready(&mailbox), delivery.consumer.take(100, &mut chunks)),
        (vec![7], (3, Some(Ended::Complete)))
    );
    delivery.producer.push_last(octets("late"), Ended::Aborted);
    assert_eq!(
        (ready(&mailbox), delivery.consumer.ended(), budget.held()),
        (vec![], Some(Ended::Complete), 0)
    );
}

#[test]
fn each_word_of_the_sender_wakes_the_consumer_that_has_heard_the_last() {
    let (delivery, _) = delivery();
    let mailbox = Mailbox::new(0);
    delivery.consumer.set_notify(Notify::Slot(Arc::clone(&mailbox), 7));
    delivery.producer.set_sender_state(DeliveryState::Other(Value::Ulong(1)));
    delivery.producer.set_sender_state(DeliveryState::Other(Value::Ulong(2)));
    assert_eq!(
        (ready(&mailbox), delivery.consumer.take_sender_state()),
        (vec![7], Some(DeliveryState::Other(Value::Ulong(2))))
    );
    delivery.producer.settle();
    assert_eq!((ready(&mailbox), delivery.consumer.is_sender_settled()), (vec![7], true));
}

#[test]
fn consumer_that_is_named_late_is_woken_for_what_waits() {
    let (bell, waker) = Bell::new();
    let (delivery, _) = delivery();
    delivery.consumer.set_notify(Notify::Task(waker.clone()));
    assert_eq!(bell.rings(), 0);
    delivery.producer.push(octets("a"));
    assert_eq!(bell.rings(), 1);
    delivery.consumer.set_notify(Notify::Task(waker.clone()));
    assert_eq!(bell.rings(), 1);
    delivery.consumer.take(9, &mut VecDeque::new());
    delivery.producer.end(Ended::Complete);
    assert_eq!(bell.rings(), 1);
    delivery.producer.end(Ended::Aborted);
    assert_eq!((bell.rings(), delivery.consumer.ended()), (0, Some(Ended::Complete)));
    delivery.consumer.set_notify(Notify::Task(waker));
    assert_eq!(bell.rings(), 1, "an end alone is something that waits");
}

#[test]
fn producer_is_woken_when_it_may_be_held_back_and_for_every_word_of_the_consumer() {
    let (bell, waker) = Bell::new();
    let (delivery, _) = delivery();
    delivery.producer.set_notify(Notify::Task(waker));
    delivery.producer.push(octets("abc"));
    delivery.consumer.take(9, &mut VecDeque::new());
    assert_eq!(bell.rings(), 0, "so few octets hold nobody back");
    delivery.producer.push(octets("abc"));
    delivery.producer.push(Bytes::from(vec![0; AHEAD - 3]));
    assert_eq!(bell.rings(), 0);
    delivery.consumer.take(1, &mut VecDeque::new());
    assert_eq!(bell.rings(), 1);
    delivery.consumer.take(AHEAD, &mut VecDeque::new());
    assert_eq!(bell.rings(), 0, "it has room since");
    delivery.consumer.acknowledge(2, 0);
    assert_eq!(bell.rings(), 1);
    delivery.consumer.acknowledge(2, 0);
    delivery.consumer.acknowledge(1, 0);
    assert_eq!(
        (bell.rings(), delivery.producer.waiting(), delivery.producer.received()),
        (0, 0, 2)
    );
    delivery.consumer.set_outcome(Some(DeliveryState::Accepted), false);
    assert_eq!(bell.rings(), 1);
    delivery.consumer.set_outcome(Some(DeliveryState::Released), true);
    assert_eq!(bell.rings(), 1);
    let progress = delivery.producer.progress();
    assert_eq!(
        (progress.outcome, progress.settled),
        (Some(DeliveryState::Accepted), true),
        "the first outcome stays"
    );
    delivery.consumer.set_outcome(Some(DeliveryState::Released), true);
    assert_eq!(bell.rings(), 0);
}

#[test]
fn who_has_ended_is_woken_by_bad_news_only() {
    for (outcome, rings) in [(DeliveryState::Accepted, 0), (DeliveryState::failed(), 1)] {
        let (bell, waker) = Bell::new();
        let (delivery, _) = delivery();
        delivery.producer.set_notify(Notify::Task(waker));
        delivery.producer.end(Ended::Complete);
        delivery.consumer.set_outcome(Some(outcome.clone()), true);
        assert_eq!((bell.rings(), delivery.producer.progress().outcome), (rings, Some(outcome)));
    }
}

#[test]
fn slot_is_named_once_until_it_was_looked_after() {
    let mailbox = Mailbox::new(0);
    let (delivery, _) = delivery();
    delivery.consumer.set_notify(Notify::Slot(Arc::clone(&mailbox), 7));
    delivery.producer.set_notify(Notify::Slot(Arc::clone(&mailbox), 8));
    delivery.producer.push(octets("a"));
    delivery.producer.push(octets("b"));
    assert_eq!(ready(&mailbox), [7]);
    delivery.producer.push(octets("c"));
    assert_eq!(ready(&mailbox), [0; 0], "the slot was not looked after since");
    delivery.producer.push(Bytes::from(vec![0; AHEAD]));
    delivery.consumer.take(1, &mut VecDeque::new());
    delivery.consumer.take(1, &mut VecDeque::new());
    assert_eq!(ready(&mailbox), [8]);
    delivery.producer.progress();
    delivery.producer.end(Ended::Complete);
    delivery.consumer.acknowledge(1, 0);
    assert_eq!(ready(&mailbox), [7, 8]);
    delivery.consumer.take(0, &mut VecDeque::new());
    delivery.producer.progress();
    drop(delivery.consumer);
    assert_eq!(ready(&mailbox), [8]);
}

#[test]
fn consumer_without_room_lets_go_of_what_was_given_up() {
    let mailbox = Mailbox::new(0);
    let (delivery, budget) = delivery();
    delivery.consumer.set_notify(Notify::Slot(Arc::clone(&mailbox), 7));
    delivery.producer.push(octets("held"));
    assert_eq!(ready(&mailbox), [7]);
    assert_eq!(delivery.consumer.take(0, &mut VecDeque::new()), (0, None));
    delivery.producer.end(Ended::Aborted);
    assert_eq!(ready(&mailbox), [7]);
    assert_eq!(delivery.consumer.take(0, &mut VecDeque::new()), (0, None));
    assert!(delivery.consumer.give_up());
    assert_eq!(budget.held(), 0);
    assert_eq!(delivery.consumer.take(0, &mut VecDeque::new()), (0, Some(Ended::Aborted)));
}

#[test]
fn abort_comes_behind_what_waits() {
    let (delivery, budget) = delivery();
    delivery.producer.push(octets("abc"));
    delivery.producer.push(octets("def"));
    let mut chunks = VecDeque::new();
    assert_eq!(delivery.consumer.take(1, &mut chunks).0, 3);
    assert!(!delivery.consumer.give_up());
    delivery.producer.end(Ended::Aborted);
    assert_eq!(delivery.consumer.take(100, &mut chunks), (3, Some(Ended::Aborted)));
    assert_eq!((joined(chunks), budget.held()), (b"abcdef".to_vec(), 0));
}

#[test]
fn failure_voids_what_waits_and_acceptance_does_not() {
    let (accepted, budget) = delivery();
    accepted.producer.push(octets("abc"));
    accepted.consumer.set_outcome(Some(DeliveryState::Accepted), false);
    assert_eq!(accepted.producer.push(octets("d")), 4);
    let (failed, other) = delivery();
    failed.producer.push(octets("abc"));
    failed.consumer.set_outcome(Some(DeliveryState::Released), true);
    assert_eq!(failed.producer.push(octets("d")), 0);
    assert_eq!((budget.held(), other.held()), (4, 0));
    failed.producer.end(Ended::Complete);
    assert_eq!(failed.consumer.take(9, &mut VecDeque::new()), (0, Some(Ended::Complete)));
}

#[test]
fn loss_of_the_consumer_releases_what_was_not_begun() {
    let outcome = |producer: &ProducerEnd| producer.progress().outcome;
    let (fresh, _) = delivery();
    drop(fresh.consumer);
    assert_eq!(outcome(&fresh.producer), Some(DeliveryState::Released));
    let (begun, _) = delivery();
    begun.consumer.take(1, &mut VecDeque::new());
    drop(begun.consumer);
    assert_eq!(outcome(&begun.producer), Some(DeliveryState::failed()));
}

#[test]
fn loss_of_a_consumer_that_accepted_early_is_told() {
    let (bell, waker) = Bell::new();
    for settled in [false, true] {
        let (early, budget) = delivery();
        early.producer.set_notify(Notify::Task(waker.clone()));
        early.producer.push(octets("abc"));
        early.consumer.take(9, &mut VecDeque::new());
        early.consumer.set_outcome(Some(DeliveryState::Accepted), settled);
        early.producer.push(octets("def"));
        bell.rings();
        drop(early.consumer);
        assert_eq!(bell.rings(), 1);
        let progress = early.producer.progress();
        assert_eq!(
            (progress.outcome, progress.queued, budget.held()),
            (Some(DeliveryState::failed()), 0, 0)
        );
    }
    let (whole, _) = delivery();
    whole.producer.push(octets("abc"));
    whole.producer.end(Ended::Complete);
    whole.consumer.take(9, &mut VecDeque::new());
    whole.consumer.set_outcome(Some(DeliveryState::Accepted), false);
    drop(whole.consumer);
    assert_eq!(
        whole.producer.progress().outcome,
        Some(DeliveryState::Accepted),
        "it had all of it"
    );
}

#[test]
fn what_nobody_took_goes_with_the_delivery() {
    let (delivery, budget) = delivery();
    delivery.producer.push(octets("abc"));
    assert_eq!(budget.held(), 3);
    drop(delivery);
    assert_eq!(budget.holder.held(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    End(bool),
    Take(usize),
    Acknowledge(u64),
    Outcome(u8, bool),
    Lost,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..20usize).prop_map(Step::Push),
        1 => any::<bool>().prop_map(Step::End),
        5 => (0..30usize).prop_map(Step::Take),
        2 => (0..60u64).prop_map(Step::Acknowledge),
        1 => (0..4u8, any::<bool>()).prop_map(|(what, settled)| Step::Outcome(what, settled)),
        1 => Just(Step::Lost),
    ]
}

#[test]
fn dropped_producer_aborts_what_it_has_not_ended() {
    for ended in [None, Some(Ended::Complete), Some(Ended::Aborted)] {
        let (Delivery { producer, consumer }, _) = delivery();
        let mailbox = Mailbox::new(0);
        producer.push(octets("abc"));
        ended.iter().for_each(|ended| producer.end(*ended));
        consumer.set_notify(Notify::Slot(Arc::clone(&mailbox), 7));
        (_, _) = (ready(&mailbox), consumer.take(1, &mut VecDeque::new()));
        drop(producer);
        assert_eq!(
            (ready(&mailbox).len(), consumer.ended(), consumer.is_sender_settled()),
            match ended {
                None => (1, Some(Ended::Aborted), true),
                ended => (0, ended, false),
            }
        );
    }
}

#[test]
fn dropped_consumer_says_nothing_more_when_no_answer_is_owed() {
    let silent = |delivery: Delivery| {
        let (bell, waker) = Bell::new();
        let before = delivery.producer.progress();
        delivery.producer.set_notify(Notify::Task(waker));
        drop(delivery.consumer);
        assert_eq!((bell.rings(), delivery.producer.progress()), (0, before));
    };
    let (settled, _) = delivery();
    settled.consumer.set_outcome(Some(DeliveryState::Released), true);
    silent(settled);
    let (aborted, _) = delivery();
    aborted.producer.push_last(octets("abc"), Ended::Aborted);
    silent(aborted);
    let (presettled, _) = delivery_of(Message { presettled: true, ..Message::default() });
    presettled.producer.push_last(octets("abc"), Ended::Complete);
    presettled.consumer.take(9, &mut VecDeque::new());
    silent(presettled);
    let (settled_by_sender, _) = delivery();
    settled_by_sender.producer.end(Ended::Complete);
    settled_by_sender.producer.settle();
    silent(settled_by_sender);
}

#[test]
fn dropped_consumer_tells_a_producer_that_expects_no_answer_that_its_bytes_are_lost() {
    let (lost, budget) = delivery_of(Message { presettled: true, ..Message::default() });
    lost.producer.push_last(octets("abc"), Ended::Complete);
    drop(lost.consumer);
    let progress = lost.producer.progress();
    assert_eq!((progress.outcome, budget.held()), (Some(DeliveryState::Released), 0));
}

#[test]
fn conclusion_is_the_last_word_though_bytes_are_missing() {
    let (early, _) = delivery();
    early.producer.push(octets("abc"));
    early.consumer.conclude(DeliveryState::Accepted);
    let progress = early.producer.progress();
    assert_eq!((progress.outcome, progress.settled), (Some(DeliveryState::Accepted), true));
}

#[test]
fn backlog_is_known_as_long_as_an_end_lives() {
    let (Delivery { producer, consumer }, budget) = delivery();
    let backlog = consumer.backlog();
    producer.push(octets("abc"));
    assert_eq!(backlog.waiting(), 3);
    drop(producer);
    assert_eq!((backlog.waiting(), budget.held()), (3, 3));
    drop(consumer);
    assert_eq!((backlog.waiting(), budget.holder.held()), (0, 0));
}

proptest! {
    #[test]
    fn nothing_is_lost_unseen(steps in prop::collection::vec(step(), 0..40)) {
        let mailbox = Mailbox::new(0);
        let (Delivery { producer, consumer }, budget) = delivery();
        let mut consumer = Some(consumer);
        consumer.iter().for_each(|end| end.set_notify(Notify::Slot(Arc::clone(&mailbox), 0)));
        producer.set_notify(Notify::Slot(Arc::clone(&mailbox), 1));
        let (mut pushed, mut taken) = (Vec::new(), VecDeque::new());
        let mut known = producer.progress();
        // Whether each side was woken and has not looked since: the consumer, then the producer.
        let mut told = [false; 2];
        for step in steps {
            let before = producer.waiting();
            match step {
                Step::Push(n) => {
                    let chunk: Vec<u8> = (0..n).map(|i| (pushed.len() + i) as u8).collect();
                    if producer.push(Bytes::from(chunk.clone())) == before + n && n > 0 {
                        pushed.extend(chunk);
                    }
                }
                Step::End(complete) => {
                    producer.end(if complete { Ended::Complete } else { Ended::Aborted });
                }
                Step::Take(n) => {
                    let Some(consumer) = &consumer else { continue };
                    told[0] = false;
                    consumer.take(n, &mut taken);
                    if producer.waiting() > 0 {
                        // A consumer that leaves bytes comes again by itself.
                        told[0] = true;
                    }
                }
                Step::Acknowledge(n) => consumer.iter().for_each(|end| end.acknowledge(n, 0)),
                Step::Outcome(what, settled) => {
                    let states = [DeliveryState::Accepted, DeliveryState::Released,
                        DeliveryState::failed()];
                    let outcome = states.get(usize::from(what)).cloned();
                    consumer.iter().for_each(|end| end.set_outcome(outcome.clone(), settled));
                }
                Step::Lost => drop(consumer.take()),
            }
            for slot in ready(&mailbox) {
                told[slot as usize] = true;
            }
            prop_assert_eq!(producer.waiting(), budget.held());
            prop_assert!(producer.waiting() == 0 || told[0], "octets wait and the consumer does \
                                                              not know");
            if told[1] {
                known = producer.progress();
                told[1] = false;
            } else {
                // A call of `progress` would make it known.
                prop_assert_eq!(producer.received(), known.received, "an acknowledgement that the \
                                                                      producer was not told of");
            }
        }
        let taken = joined(taken);
        prop_assert_eq!(&pushed[..taken.len()], &taken[..]);
        drop((producer, consumer));
        prop_assert_eq!(budget.holder.held(), 0);
    }
}

#[test]
fn allowances_are_lent_as_far_as_memory_goes() {
    // All in thousands.
    let holder = holder(4_000_000);
    let lent = || holder.account().lent() / 1000;
    let new = |message| Delivery::new(message, &holder);
    let acknowledge = |delivery: &Delivery, octets, allowance: u64| {
        delivery.consumer.acknowledge(octets, 1000 * allowance)
    };
    let allowed = |delivery: &Delivery| {
        (delivery.producer.progress().allowance / 1000, delivery.producer.lent() / 1000)
    };
    let first = new(Message { extensible: true, ..Message::default() });
    acknowledge(&first, 1, 600);
    assert_eq!((allowed(&first), lent()), ((600, 600), 600));
    // A smaller allowance counts at once, and bytes under the former one may still come.
    acknowledge(&first, 2, 100);
    assert_eq!(allowed(&first), (100, 600));
    let second = new(Message { extensible: true, ..Message::default() });
    acknowledge(&second, 1, 401);
    assert_eq!((allowed(&second).0, lent()), (0, 600), "a quarter of the ceiling is 1000");
    acknowledge(&second, 2, 400);
    assert_eq!((allowed(&second).0, lent()), (400, 1000));
    // A neighbor that is no router of ours hears no allowance. A producer in this process reads no
    // further ahead for one.
    let other = new(Message::default());
    acknowledge(&other, 1, 1);
    assert_eq!(other.producer.progress().allowance, 0);
    let own = new(Message { internal: true, ..Message::default() });
    own.consumer.acknowledge(1, 1 << 30);
    assert_eq!((own.producer.progress().allowance, own.producer.lent()), (1 << 30, 0));
    drop(first);
    assert_eq!(lent(), 400);
    drop(second);
    assert_eq!(lent(), 0);
}
