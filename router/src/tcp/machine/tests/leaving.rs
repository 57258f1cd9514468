//! Endings that come from the far side, or from this router.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use skupper_proto::amqp::performative::{DeliveryState, Error, Rejected};
use skupper_proto::stream::encode_head;

use super::super::End;
use super::super::end::{LAST_WORDS, PATIENCE};
use super::pipe::Ending;
use super::world::{Setting, World};
use crate::core::{Ended, Notify, Party};
use crate::lock::Mutex;

const KIB: usize = 1024;

fn rejected() -> DeliveryState {
    DeliveryState::Rejected(Rejected { error: Some(Error::new("amqp:some-error", "no")) })
}

#[test]
fn an_abort_comes_behind_the_data_before_it() {
    let mut world = World::joined(Setting::default());
    world.client.pipe.space = 300 * KIB;
    world.server().pipe.peer_sends(300 * KIB);
    world.server().pipe.peer_resets();
    world.run();
    assert_eq!(world.client.pipe.heard, 300 * KIB);
    assert!(matches!(world.client.end, Some(End::GivenUp)), "{}", world.client.why());
    assert!(!world.client.pipe.finished);
}

#[test]
fn an_abort_waits_for_no_reader() {
    for client_tls in [false, true] {
        let mut world = World::joined(Setting { client_tls, ..Setting::default() });
        world.client.pipe.space = 10;
        world.server().pipe.peer_sends(300 * KIB);
        world.run();
        assert!(world.client.end.is_none());
        world.server().pipe.peer_resets();
        world.run();
        assert!(matches!(world.client.end, Some(End::GivenUp)), "{}", world.client.why());
        assert_eq!(world.client.pipe.heard, 10);
        assert_eq!(world.up.from().ended(), Some(Ended::Aborted));
    }
}

#[test]
fn a_lost_link_gives_both_streams_up() {
    let mut world = World::joined(Setting::default());
    world.client.pipe.peer_sends(10);
    world.server().pipe.peer_sends(10);
    world.run();
    world.up.lose();
    world.down.as_mut().expect("a way").lose();
    world.run();
    assert!(world.client.end.is_some() && world.server().end.is_some());
    assert!(!world.client.pipe.finished && !world.server().pipe.finished);
}

#[test]
fn a_refusal_lets_the_far_side_finish_its_words() {
    for (outcome, text) in [
        (DeliveryState::failed(), "delivery-failed: destination unreachable, or lost"),
        (rejected(), "rejected: "),
    ] {
        let mut world = World::joined(Setting::default());
        world.client.pipe.peer_sends(10);
        world.run();
        world.says(outcome, true);
        world.server().pipe.peer_sends(300 * KIB);
        world.client.pipe.space = 10;
        world.up.carry(usize::MAX);
        let now = world.now;
        world.client.drive(now);
        assert!(world.client.end.is_none());
        assert_eq!(world.up.from().ended(), Some(Ended::Aborted));
        assert_eq!(world.client.machine.deadline(), Some(now + LAST_WORDS));
        // The machine reads no more, for no far side would hear it.
        world.client.pipe.peer_sends(10);
        world.client.drive(now);
        assert_eq!(world.client.pipe.unread(), 10);
        let server = world.server();
        server.drive(now);
        let down = world.down.as_mut().expect("a way");
        down.carry(usize::MAX);
        world.client.pipe.peer_reads(usize::MAX);
        world.client.drive(now);
        assert!(world.client.pipe.heard > 200 * KIB, "{}", world.client.pipe.heard);
        world.now += LAST_WORDS;
        world.client.drive(world.now);
        assert!(matches!(world.client.end, Some(End::Refused(_))));
        assert!(world.client.why().starts_with(text), "{}", world.client.why());
    }
}

#[test]
fn a_refusal_behind_an_answer_that_ended_ends_it_at_once() {
    let mut world = World::joined(Setting::default());
    world.server().pipe.peer_sends(10);
    world.server().pipe.peer_ends(Ending::Clean);
    world.run();
    assert!(world.client.pipe.finished);
    world.refuse(DeliveryState::failed());
    assert!(matches!(world.client.end, Some(End::Refused(_))), "{}", world.client.why());
}

#[test]
fn a_refusal_behind_a_clean_end_is_none_the_less_one() {
    let mut world = World::joined(Setting::default());
    world.server().pipe.space = 0;
    world.client.pipe.peer_sends(10);
    world.client.pipe.peer_ends(Ending::Clean);
    world.run();
    world.server().pipe.peer_resets();
    world.run();
    assert!(world.server().end.is_some() && world.client.end.is_some());
    assert!(!world.client.ends_cleanly(), "its words have not arrived");
}

#[test]
fn what_is_released_has_reached_nobody() {
    let mut world = World::joined(Setting::default());
    world.refuse(DeliveryState::Released);
    assert_eq!(world.client.why(), "released: no route to the service");
    assert_eq!(world.up.from().ended(), Some(Ended::Aborted));
}

#[test]
fn a_refusal_in_place_of_an_answer_ends_it_at_once() {
    for early in [0, 16 * KIB] {
        for outcome in [DeliveryState::failed(), rejected(), DeliveryState::Released] {
            let mut world = World::new(Setting { early, ..Setting::default() });
            world.client.pipe.peer_sends(10);
            world.run();
            world.refuse(outcome);
            assert!(matches!(world.client.end, Some(End::Refused(_))), "{}", world.client.why());
            assert_eq!(world.up.from().ended(), Some(Ended::Aborted));
            let late = world.answer_by(encode_head("reply", None, None, None));
            assert_eq!(late.progress().outcome, Some(DeliveryState::Released));
        }
    }
}

#[test]
fn an_answer_that_is_no_stream_is_rejected() {
    for head in [Vec::new(), vec![0x00, 0x53, 0x77, 0x40]] {
        let mut world = World::new(Setting::default());
        let answer = world.answer_by(head);
        world.run();
        assert!(world.client.why().starts_with("rejected: "), "{}", world.client.why());
        let progress = answer.progress();
        assert!(matches!(progress.outcome, Some(DeliveryState::Rejected(_))) && progress.settled);
        assert_eq!(world.up.from().ended(), Some(Ended::Aborted));
    }
}

#[test]
fn a_client_waits_a_minute_for_its_answer() {
    let mut world = World::new(Setting { early: 1, ..Setting::default() });
    assert_eq!(world.client.machine.deadline(), Some(world.now + PATIENCE));
    world.wait(PATIENCE - Duration::from_micros(1));
    assert!(world.client.end.is_none());
    world.wait(Duration::from_micros(1));
    assert_eq!(world.client.why(), "no answer from the service within 60 s");
    assert_eq!(world.up.from().ended(), Some(Ended::Aborted));
    let late = world.answer_by(encode_head("reply", None, None, None));
    assert_eq!(late.progress().outcome, Some(DeliveryState::Released));
}

#[test]
fn an_answer_that_came_before_the_client_looked_is_released_with_it() {
    let mut world = World::new(Setting::default());
    let answer = world.answer_by(encode_head("reply", None, None, None));
    let other = world.answer_by(encode_head("reply", None, None, None));
    assert_eq!(other.progress().outcome, Some(DeliveryState::Released), "one answer is taken");
    world.client.end(End::Stopped("the task was dropped"));
    assert_eq!(answer.progress().outcome, Some(DeliveryState::Released));
}

#[test]
fn a_dismissal_tells_both_streams_whatever_waits() {
    for client_tls in [false, true] {
        let mut world = World::joined(Setting { client_tls, ..Setting::default() });
        world.client.pipe.space = 10;
        world.server().pipe.peer_sends(300 * KIB);
        world.client.pipe.peer_sends(10);
        world.run();
        world.client.end(End::Stopped("out of memory"));
        assert_eq!(world.client.why(), "out of memory");
        let down = world.down.as_ref().expect("a way");
        assert_eq!(down.to.progress().outcome, Some(DeliveryState::failed()));
        assert_eq!(world.up.from().ended(), Some(Ended::Aborted));
        world.run();
        assert!(world.server().end.is_some() && !world.server().pipe.finished);
    }
}

/// Notes which end of a stream was told first.
#[derive(Debug)]
struct Told(&'static str, Arc<Mutex<Vec<&'static str>>>);

impl Party for Told {
    fn on_notice(self: Arc<Self>) {
        self.1.lock().push(self.0);
    }
}

/// A C router closes its socket at an outcome, and takes an abort for an end.
#[test]
fn the_outcome_goes_before_the_abort() {
    let mut world = World::joined(Setting::default());
    let told = Arc::new(Mutex::default());
    let party = |name| Notify::Call(Arc::new(Told(name, Arc::clone(&told))));
    world.up.from().set_notify(party("abort"));
    world.down.as_ref().expect("a way").to.set_notify(party("outcome"));
    world.client.end(End::Stopped("dismissed"));
    assert_eq!(*told.lock(), ["outcome", "abort"]);
}

#[test]
fn a_machine_that_is_dropped_tells_both_streams() {
    let World { client, server, up, down, reply, .. } = World::joined(Setting::default());
    drop(client);
    assert_eq!(up.from().ended(), Some(Ended::Aborted));
    assert_eq!(down.expect("a way").to.progress().outcome, Some(DeliveryState::failed()));
    drop((server, reply));
    assert_eq!(up.to.progress().outcome, Some(DeliveryState::failed()));
    // Before there is an answer.
    let world = World::new(Setting::default());
    let World { client, up, reply, .. } = world;
    drop(client);
    assert_eq!(up.from().ended(), Some(Ended::Aborted));
    assert!(reply.poll(Waker::noop()).is_none());
}

#[test]
fn nothing_is_held_once_all_is_gone() {
    let world = World::joined(Setting::default());
    let account = Arc::clone(&world.account);
    assert!(account.held() > 0);
    drop(world);
    assert_eq!(account.held(), 0);
}
