//! A connection's mailbox.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};

use bytes::Bytes;

use super::Bell;
use crate::core::{
    Account, Class, Command, ConsumerEnd, Holder, Mailbox, Message, Notify, ProducerEnd, Via,
};

#[test]
fn waker_is_kept_only_when_nothing_waited() {
    let (bell, waker) = Bell::new();
    let mailbox = Mailbox::new(3);
    assert_eq!(mailbox.shard(), 3);
    let (mut ready, mut commands) = (Vec::new(), VecDeque::new());
    mailbox.push_ready(5);
    assert!(mailbox.take(&mut ready, &mut commands, &waker));
    assert_eq!(ready, [5]);
    mailbox.push_ready(6);
    assert_eq!(bell.rings(), 0, "who has taken something looks again by itself");
    assert!(mailbox.take(&mut ready, &mut commands, &waker));
    assert!(!mailbox.take(&mut ready, &mut commands, &waker));
    mailbox.send(Command::Close(None)).unwrap();
    mailbox.push_ready(7);
    assert_eq!(bell.rings(), 1, "once is enough");
    assert!(mailbox.take(&mut ready, &mut commands, &waker));
    assert_eq!((ready, commands.len()), (vec![5, 6, 7], 1));
}

#[test]
fn closed_mailbox_gives_back_what_waited_and_refuses_the_rest() {
    let mailbox = Mailbox::new(0);
    let holder = Holder::new(&Account::new(100), Class::Router);
    let delivery = || ConsumerEnd::whole(Message::default(), Bytes::from_static(b"x"), &holder);
    mailbox.send(Command::Deliver(delivery(), Via::Stream)).unwrap();
    assert!(!mailbox.is_closed());
    assert_eq!(mailbox.close().len(), 1);
    assert!(mailbox.is_closed());
    assert!(matches!(
        mailbox.send(Command::Deliver(delivery(), Via::Stream)),
        Err(Command::Deliver(..))
    ));
    assert_eq!(holder.held(), 0);
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Sleeps until it is woken: a lost wake-up hangs the test.
#[test]
fn no_wake_up_is_lost_between_threads() {
    const ROUNDS: usize = 20_000;
    let mailbox = Mailbox::new(0);
    let holder = Holder::new(&Account::new(1 << 20), Class::Router);
    let (producer, delivery) = ProducerEnd::begin(Message::default(), &holder);
    delivery.set_notify(Notify::Slot(Arc::clone(&mailbox), 0));
    let consumer = thread::spawn({
        let mailbox = Arc::clone(&mailbox);
        move || {
            let waker = Waker::from(Arc::new(Unpark(thread::current())));
            let (mut ready, mut commands, mut octets) =
                (Vec::new(), VecDeque::new(), VecDeque::new());
            let (mut sent, mut taken) = (0, 0);
            while sent < ROUNDS || taken < ROUNDS {
                while !mailbox.take(&mut ready, &mut commands, &waker) {
                    thread::park();
                }
                sent += commands.drain(..).count();
                if !ready.is_empty() {
                    ready.clear();
                    taken += delivery.take(usize::MAX, &mut octets).0;
                }
            }
            (sent, taken)
        }
    });
    let pushing = thread::spawn(move || {
        for _ in 0..ROUNDS {
            producer.push(Bytes::from_static(b"x"));
        }
    });
    for round in 0..ROUNDS {
        while mailbox.send(Command::Close(None)).is_err() {
            thread::yield_now();
        }
        if round % 64 == 0 {
            thread::yield_now();
        }
    }
    pushing.join().unwrap();
    assert_eq!(consumer.join().unwrap(), (ROUNDS, ROUNDS));
    assert_eq!(holder.held(), 0);
}

/// Sends a delivery that the test knows by its number.
fn deliver(mailbox: &Mailbox, holder: &Arc<Holder>, number: u8, via: Via) {
    let message = Message { priority: number, ..Message::default() };
    let delivery = ConsumerEnd::whole(message, Bytes::new(), holder);
    assert!(mailbox.send(Command::Deliver(delivery, via)).is_ok());
}

#[test]
fn the_control_link_goes_before_any_number_of_streams_and_these_come_in_order_and_few_at_a_time() {
    let mailbox = Mailbox::new(0);
    let holder = Holder::new(&Account::new(1 << 20), Class::Router);
    let deliver = |number, via| deliver(&mailbox, &holder, number, via);
    (0..200).for_each(|number| deliver(number, Via::Stream));
    deliver(255, Via::Control);
    let (mut ready, mut commands, mut taken) = (Vec::new(), VecDeque::new(), Vec::new());
    while mailbox.take(&mut ready, &mut commands, Waker::noop()) {
        assert!(commands.len() <= 65, "{} at once", commands.len());
        for command in commands.drain(..) {
            let Command::Deliver(delivery, _) = command else { panic!("{command:?}") };
            taken.push(delivery.message().priority);
        }
    }
    assert_eq!(taken, [255].into_iter().chain(0..200).collect::<Vec<_>>());
    deliver(1, Via::Stream);
    deliver(2, Via::Control);
    assert_eq!(mailbox.close().len(), 2);
}

#[test]
fn the_control_link_goes_before_what_a_turn_has_left_over() {
    let mailbox = Mailbox::new(0);
    let holder = Holder::new(&Account::new(1 << 20), Class::Router);
    let deliver = |number, via| deliver(&mailbox, &holder, number, via);
    let mut number = 0;
    let (mut ready, mut commands, mut taken) = (Vec::new(), VecDeque::new(), Vec::new());
    // Each turn carries one command out, while more come.
    for turn in 0..10 {
        for _ in 0..20 {
            deliver(number, Via::Stream);
            number += 1;
        }
        deliver(240 + turn, Via::Control);
        mailbox.take(&mut ready, &mut commands, Waker::noop());
        assert!(commands.len() <= 65, "{} at once", commands.len());
        let Some(Command::Deliver(delivery, _)) = commands.pop_front() else { panic!("nothing") };
        taken.push(delivery.message().priority);
    }
    assert_eq!(taken, (240..250).collect::<Vec<_>>());
}
