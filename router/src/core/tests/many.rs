//! Deliveries that go to many destinations, at once (multicast) or one after the other
//! (resend-released).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use skupper_proto::address::Treatment;
use skupper_proto::amqp::Value;
use skupper_proto::amqp::performative::{DeliveryState, Error, Rejected};
use skupper_proto::time::Instant;

use super::Sink;
use super::world::core;
use crate::core::{
    AHEAD, ConsumerEnd, Consumption, Core, Ended, LocalConsumer, Message, ProducerEnd,
};

fn consumers(core: &Arc<Core>, count: usize) -> (Vec<Arc<Sink>>, Vec<Consumption>) {
    let sinks: Vec<_> = (0..count).map(|_| Sink::new()).collect();
    let consumptions = sinks
        .iter()
        .map(|sink| {
            core.consume("all", LocalConsumer::new(Arc::clone(sink) as Arc<_>), Instant::ZERO)
        })
        .collect();
    (sinks, consumptions)
}

fn send(core: &Arc<Core>, message: Message) -> ProducerEnd {
    let (producer, delivery) = ProducerEnd::begin(message, core.own());
    assert!(core.route(delivery, core.read("all")));
    producer
}

fn rejected() -> DeliveryState {
    DeliveryState::Rejected(Rejected { error: Some(Error::new("amqp:not-allowed", "no")) })
}

fn body(delivery: &ConsumerEnd) -> (Vec<u8>, Option<Ended>) {
    let mut chunks = VecDeque::new();
    let (_, ended) = delivery.take(usize::MAX, &mut chunks);
    (chunks.into_iter().flatten().collect(), ended)
}

#[test]
fn everybody_gets_all_of_it_as_it_arrives() {
    let core = core("a", Treatment::Multicast);
    let (sinks, _kept) = consumers(&core, 3);
    let original = send(&core, Message::default());
    let copies: Vec<_> = sinks.iter().map(|sink| sink.take().remove(0)).collect();
    let without_body = core.account().held();
    original.push(Bytes::from_static(b"one "));
    assert_eq!(body(&copies[0]), (b"one ".to_vec(), None));
    original.push(Bytes::from_static(b"two"));
    original.end(Ended::Complete);
    assert_eq!(body(&copies[0]), (b"two".to_vec(), Some(Ended::Complete)));
    for copy in &copies[1..] {
        assert_eq!(body(copy), (b"one two".to_vec(), Some(Ended::Complete)));
    }
    assert_eq!(core.account().held(), without_body);
}

#[test]
fn a_message_that_is_all_there_goes_on_whole() {
    for resend in [false, true] {
        let core = core("a", if resend { Treatment::Closest } else { Treatment::Multicast });
        let (sinks, _kept) = consumers(&core, if resend { 1 } else { 3 });
        let message = Message { resend, ..Message::default() };
        let (producer, delivery) = ProducerEnd::begin(message, core.own());
        producer.push_last(Bytes::from_static(b"whole"), Ended::Complete);
        assert!(core.route(delivery, core.read("all")));
        for sink in sinks {
            let copy = sink.take().remove(0);
            assert_eq!(body(&copy), (b"whole".to_vec(), Some(Ended::Complete)));
            copy.conclude(DeliveryState::Accepted);
        }
        let progress = producer.progress();
        assert_eq!((progress.outcome, progress.settled), (Some(DeliveryState::Accepted), true));
    }
}

#[test]
fn the_head_that_copies_share_is_charged_once_and_for_as_long_as_one_has_it() {
    let core = core("a", Treatment::Multicast);
    let (sinks, _kept) = consumers(&core, 100);
    let original = send(
        &core,
        Message { sections: Bytes::from(vec![7; 1 << 20]), presettled: true, ..Message::default() },
    );
    original.end(Ended::Complete);
    drop(original);
    let mut copies: Vec<_> = sinks.iter().map(|sink| sink.take().remove(0)).collect();
    assert!((1 << 20..2 << 20).contains(&core.account().held()), "{}", core.account().held());
    let last = copies.pop();
    drop(copies);
    assert!(core.account().held() > 1 << 20, "{}", core.account().held());
    drop(last);
    assert_eq!(core.account().held(), 0);
}

#[test]
fn states_of_an_extension_pass_between_the_sender_and_all() {
    let state = |number| DeliveryState::Other(Value::Ulong(number));
    for resend in [false, true] {
        let core = core("a", if resend { Treatment::Closest } else { Treatment::Multicast });
        let (sinks, _kept) = consumers(&core, if resend { 1 } else { 2 });
        let message = Message { state: Some(Box::new(state(1))), resend, ..Message::default() };
        let original = send(&core, message);
        let copies: Vec<_> = sinks.iter().map(|sink| sink.take().remove(0)).collect();
        assert!(copies.iter().all(|copy| copy.message().state.as_deref() == Some(&state(1))
            && copy.take_sender_state().is_none()));
        original.set_sender_state(state(2));
        assert!(
            copies.iter().all(|copy| copy.take_sender_state() == Some(state(2))
                && copy.take_sender_state().is_none())
        );
        copies[0].set_receiver_state(state(3));
        assert_eq!(
            (original.take_receiver_state(), original.progress().outcome),
            (Some(state(3)), None)
        );
        assert_eq!(original.take_receiver_state(), None, "it is no news any more");
    }
}

#[test]
fn the_outcome_is_told_when_the_last_has_spoken() {
    let cases: [(&[DeliveryState], DeliveryState); 4] = [
        (
            &[DeliveryState::Released, DeliveryState::Accepted, DeliveryState::failed()],
            DeliveryState::Accepted,
        ),
        (&[DeliveryState::Accepted, rejected(), DeliveryState::Accepted], rejected()),
        (
            &[DeliveryState::Released, DeliveryState::failed(), DeliveryState::Released],
            DeliveryState::failed(),
        ),
        (
            &[DeliveryState::Released, DeliveryState::Released, DeliveryState::Released],
            DeliveryState::Released,
        ),
    ];
    for (said, told) in cases {
        let core = core("a", Treatment::Multicast);
        let (sinks, _kept) = consumers(&core, 3);
        let original = send(&core, Message::default());
        original.end(Ended::Complete);
        for (index, (sink, state)) in sinks.iter().zip(said).enumerate() {
            assert_eq!(original.progress().outcome, None, "after {index}");
            sink.take().remove(0).conclude(state.clone());
        }
        let progress = original.progress();
        assert_eq!((progress.outcome, progress.settled), (Some(told), true));
    }
}

#[test]
fn a_receiver_that_takes_nothing_holds_the_sender_back_and_no_longer_than_it_is_there() {
    let core = core("a", Treatment::Multicast);
    let (sinks, _kept) = consumers(&core, 2);
    let original = send(&core, Message { streaming: true, ..Message::default() });
    let mut copies: Vec<_> = sinks.iter().map(|sink| sink.take().remove(0)).collect();
    let chunk = Bytes::from(vec![7; 64 * 1024]);
    while original.progress().queued == 0 {
        original.push(chunk.clone());
        body(&copies[0]);
        assert!(copies[1].waiting() <= 320 * 1024);
    }
    drop(copies.pop());
    assert_eq!(original.progress().queued, 0, "the other goes on");
    original.end(Ended::Complete);
    assert_eq!(body(&copies[0]).1, Some(Ended::Complete));
}

#[test]
fn receivers_that_leave_the_settling_to_the_sender_are_settled_by_it() {
    let core = core("a", Treatment::Multicast);
    let (sinks, _kept) = consumers(&core, 2);
    let original = send(&core, Message::default());
    original.end(Ended::Complete);
    let copies: Vec<_> = sinks.iter().map(|sink| sink.take().remove(0)).collect();
    for copy in &copies {
        assert_eq!(original.progress().outcome, None);
        body(copy);
        copy.set_outcome(Some(DeliveryState::Accepted), false);
    }
    let progress = original.progress();
    assert_eq!((progress.outcome, progress.settled), (Some(DeliveryState::Accepted), false));
    original.settle();
    assert!(copies.iter().all(|copy| copy.is_sender_settled()));
}

#[test]
fn abort_and_settlement_reach_everybody() {
    let core = core("a", Treatment::Multicast);
    let (sinks, _kept) = consumers(&core, 2);
    let original = send(&core, Message::default());
    original.settle();
    original.end(Ended::Aborted);
    for sink in &sinks {
        let copy = sink.take().remove(0);
        assert_eq!((copy.is_sender_settled(), copy.ended()), (true, Some(Ended::Aborted)));
    }
}

#[test]
fn a_producer_that_is_dropped_before_its_end_aborts_all_copies() {
    for resend in [false, true] {
        let core = core("a", if resend { Treatment::Closest } else { Treatment::Multicast });
        let (sinks, _kept) = consumers(&core, if resend { 1 } else { 2 });
        let original = send(&core, Message { resend, streaming: true, ..Message::default() });
        original.push(Bytes::from_static(b"half"));
        drop(original);
        for sink in &sinks {
            let copy = sink.take().remove(0);
            assert_eq!(body(&copy), (b"half".to_vec(), Some(Ended::Aborted)));
        }
        assert_eq!(core.account().held(), 0, "resend: {resend}");
    }
}

#[test]
fn an_aborted_body_waits_for_no_receiver() {
    for resend in [false, true] {
        let core = core("a", if resend { Treatment::Closest } else { Treatment::Multicast });
        let (sinks, _kept) = consumers(&core, if resend { 1 } else { 2 });
        let original = send(&core, Message { resend, ..Message::default() });
        let copies: Vec<_> = sinks.iter().map(|sink| sink.take().remove(0)).collect();
        original.push(Bytes::from(vec![1; AHEAD]));
        // No receiver takes anything, so this waits at the original.
        original.push(Bytes::from(vec![2; 4 * AHEAD]));
        let waiting = core.account().held();
        drop(original);
        assert!(core.account().held() < waiting - 3 * AHEAD, "{}", core.account().held());
        for copy in &copies {
            assert_eq!(body(copy), (vec![1; AHEAD], Some(Ended::Aborted)));
        }
    }
}

#[test]
fn a_producer_that_expects_no_answer_may_go_while_its_body_waits() {
    const BODY: usize = 1 << 20;
    for resend in [false, true] {
        let core = core("a", if resend { Treatment::Closest } else { Treatment::Multicast });
        let (sinks, _kept) = consumers(&core, if resend { 1 } else { 2 });
        let message = Message { resend, presettled: true, ..Message::default() };
        let original = send(&core, message);
        (0..16).for_each(|_| _ = original.push(Bytes::from(vec![7; BODY / 16])));
        original.end(Ended::Complete);
        drop(original);
        let copies: Vec<_> = sinks.iter().map(|sink| sink.take().remove(0)).collect();
        let mut taken = vec![(0, None); copies.len()];
        while taken.iter().any(|(_, ended)| ended.is_none()) {
            for (copy, (octets, ended)) in copies.iter().zip(&mut taken) {
                let (body, end) = body(copy);
                *octets += body.len();
                *ended = end;
            }
        }
        assert!(taken.iter().all(|known| *known == (BODY, Some(Ended::Complete))), "{taken:?}");
        drop(copies);
        assert_eq!(core.account().held(), 0, "resend: {resend}");
    }
}

#[test]
fn a_copy_that_gets_no_more_is_aborted() {
    // All receivers of a multicast have settled before its end.
    let multicast = core("a", Treatment::Multicast);
    let (sinks, _kept) = consumers(&multicast, 2);
    let original = send(&multicast, Message { streaming: true, ..Message::default() });
    let copies: Vec<_> = sinks.iter().map(|sink| sink.take().remove(0)).collect();
    copies.iter().for_each(|copy| copy.set_outcome(Some(rejected()), true));
    assert_eq!(original.progress().outcome, Some(rejected()));
    assert!(copies.iter().all(|copy| copy.ended() == Some(Ended::Aborted)));
    // A receiver has released a message before its end, and another one gets it.
    let resend = core("a", Treatment::Balanced);
    let (sinks, _kept) = consumers(&resend, 2);
    let original = send(&resend, Message { resend: true, streaming: true, ..Message::default() });
    let next = || sinks.iter().find_map(|sink| sink.take().pop()).expect("a destination");
    let first = next();
    first.set_outcome(Some(DeliveryState::Released), true);
    let second = next();
    original.push_last(Bytes::from_static(b"all"), Ended::Complete);
    assert_eq!(body(&first), (Vec::new(), Some(Ended::Aborted)));
    assert_eq!(body(&second), (b"all".to_vec(), Some(Ended::Complete)));
}

#[test]
fn nothing_is_kept_of_what_is_over() {
    for presettled in [false, true] {
        let core = core("a", Treatment::Multicast);
        let (sinks, _kept) = consumers(&core, 2);
        let original = send(&core, Message { presettled, ..Message::default() });
        original.push(Bytes::from_static(b"x"));
        original.end(Ended::Complete);
        let copies: Vec<_> = sinks.iter().map(|sink| sink.take().remove(0)).collect();
        for copy in &copies {
            body(copy);
            if !presettled {
                copy.set_outcome(Some(DeliveryState::Accepted), true);
            }
        }
        drop((copies, original));
        assert_eq!(core.account().held(), 0, "presettled: {presettled}");
    }
}

#[test]
fn released_goes_to_the_next_until_there_is_none() {
    let core = core("a", Treatment::Closest);
    let (sinks, _kept) = consumers(&core, 3);
    let original = send(&core, Message { resend: true, ..Message::default() });
    original.push(Bytes::from_static(b"again"));
    original.end(Ended::Complete);
    let mut seen = 0;
    while let Some(copy) = sinks.iter().find_map(|sink| sink.take().pop()) {
        assert_eq!(original.progress().outcome, None);
        assert_eq!(body(&copy), (b"again".to_vec(), Some(Ended::Complete)));
        copy.set_outcome(Some(DeliveryState::Released), true);
        seen += 1;
    }
    assert_eq!((seen, original.progress().outcome), (3, Some(DeliveryState::Released)));
}

#[test]
fn who_takes_what_another_released_has_the_say() {
    for outcome in [DeliveryState::Accepted, DeliveryState::failed(), rejected()] {
        let core = core("a", Treatment::Balanced);
        let (sinks, _kept) = consumers(&core, 2);
        let original = send(&core, Message { resend: true, ..Message::default() });
        original.end(Ended::Complete);
        let next = || sinks.iter().find_map(|sink| sink.take().pop()).expect("a destination");
        next().set_outcome(Some(DeliveryState::Released), true);
        next().set_outcome(Some(outcome.clone()), true);
        assert_eq!(original.progress().outcome, Some(outcome));
    }
}

#[test]
fn too_much_to_keep_is_released_like_any_other() {
    let core = core("a", Treatment::Closest);
    let (sinks, _kept) = consumers(&core, 2);
    let original = send(&core, Message { resend: true, streaming: true, ..Message::default() });
    let copy = sinks.iter().find_map(|sink| sink.take().pop()).expect("a destination");
    for _ in 0..40 {
        original.push(Bytes::from(vec![1; 64 * 1024]));
        body(&copy);
    }
    copy.set_outcome(Some(DeliveryState::Released), true);
    assert_eq!(original.progress().outcome, Some(DeliveryState::Released));
    assert!(sinks.iter().all(|sink| sink.count() == 0));
}

proptest! {
    #[test]
    fn whatever_the_receivers_do_the_sender_hears_once(steps in prop::collection::vec((0..3_usize,
        0..6_u8), 0..40), resend in any::<bool>()) {
        let core = core("a", if resend { Treatment::Balanced } else { Treatment::Multicast });
        let (sinks, _kept) = consumers(&core, 3);
        let original = send(&core, Message { resend, ..Message::default() });
        let mut copies: Vec<ConsumerEnd> = Vec::new();
        let mut pushed = 0;
        for (at, what) in steps {
            copies.extend(sinks.iter().flat_map(|sink| sink.take()));
            let at = at % copies.len().max(1);
            let Some(copy) = copies.get(at) else { continue };
            match what {
                0 => { original.push(Bytes::from(vec![0; 1000])); pushed += 1000; }
                1 => drop(body(copy)),
                2 => copy.set_outcome(Some(DeliveryState::Released), true),
                3 => copy.set_outcome(Some(DeliveryState::Accepted), false),
                4 => copy.set_outcome(Some(DeliveryState::Accepted), true),
                _ => drop(copies.swap_remove(at)),
            }
        }
        original.end(Ended::Complete);
        for _ in 0..4 {
            copies.extend(sinks.iter().flat_map(|sink| sink.take()));
            for copy in &copies {
                body(copy);
                copy.set_outcome(Some(DeliveryState::Accepted), true);
            }
        }
        let progress = original.progress();
        prop_assert!(progress.settled && progress.outcome.is_some(), "{progress:?} after {pushed}");
        drop((original, copies));
        prop_assert_eq!(core.account().held(), 0);
    }
}
