//! Sockets that fail.

use std::time::Duration;

use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::stream::encode_head;

use super::super::End;
use super::super::end::LAST_WORDS;
use super::pipe::Ending;
use super::world::{Setting, World};
use crate::core::Ended;

const KIB: usize = 1024;

fn with_tls() -> Setting {
    Setting { client_tls: true, server_tls: true, ..Setting::default() }
}

/// How the stream that the client's socket feeds has ended.
fn upload(world: &World) -> Option<Ended> {
    world.up.from().ended()
}

#[test]
fn a_reset_that_is_read_ends_both_sides() {
    for setting in [Setting::default(), with_tls()] {
        let mut world = World::joined(setting);
        world.client.pipe.peer_sends(1000);
        world.client.pipe.peer_resets();
        world.run();
        assert!(matches!(world.client.end, Some(End::Socket(_))), "{}", world.client.why());
        assert_eq!(upload(&world), Some(Ended::Aborted));
        // What came before goes on; the end behind it is none.
        assert_eq!(world.server().pipe.heard, 1000);
        assert!(matches!(world.server().end, Some(End::GivenUp)), "{}", world.server().why());
        assert!(!world.server().pipe.finished);
    }
}

#[test]
fn a_reset_that_a_write_meets_leaves_what_was_said_before() {
    let mut world = World::joined(Setting::default());
    // The client's bytes are not read before the write: the way is full.
    world.client.pipe.peer_sends(1000);
    world.client.pipe.peer_resets();
    world.server().pipe.peer_sends(1);
    let now = world.now;
    world.server().drive(now);
    world.down.as_mut().expect("a way").carry(usize::MAX);
    world.run();
    assert_eq!(world.server().pipe.heard, 1000);
    // The end that the socket shows behind a reset means nothing.
    assert!(matches!(world.client.end, Some(End::Socket(_))), "{}", world.client.why());
    assert_eq!(upload(&world), Some(Ended::Aborted));
    assert!(!world.server().ends_cleanly() && world.server().end.is_some());
}

#[test]
fn a_peer_that_ended_before_its_reset_did_end() {
    let mut world = World::joined(Setting::default());
    // The client's end is not read before the write: EPIPE.
    world.client.pipe.peer_sends(1000);
    world.client.pipe.peer_ends(Ending::Clean);
    world.client.pipe.peer_resets();
    world.server().pipe.peer_sends(1);
    let now = world.now;
    world.server().drive(now);
    world.down.as_mut().expect("a way").carry(usize::MAX);
    world.run();
    assert_eq!(upload(&world), Some(Ended::Complete));
    assert!(world.server().pipe.finished, "the server has all that the client said, and its end");
    assert_eq!(world.server().pipe.heard, 1000);
    assert!(matches!(world.client.end, Some(End::Socket(_))), "{}", world.client.why());
    // And it hears that its own words have not arrived.
    world.run();
    assert!(matches!(world.server().end, Some(End::Refused(_))), "{}", world.server().why());
}

#[test]
fn last_words_are_waited_for_no_longer_than_they_may_take() {
    for setting in [Setting::default(), with_tls()] {
        let mut world = World::joined(setting);
        // The way is full, so nothing can be read before time has passed.
        world.server().pipe.space = 0;
        world.client.pipe.space = 0;
        world.client.pipe.peer_sends(10_000 * KIB);
        world.server().pipe.peer_sends(1);
        world.run();
        // A session that holds bytes for a socket that takes none must not make the task spin.
        world.client.pipe.peer_resets();
        world.run();
        assert!(world.client.end.is_none(), "{}", world.client.why());
        assert_eq!(world.client.machine.deadline(), Some(world.now + LAST_WORDS));
        world.wait(LAST_WORDS - Duration::from_millis(1));
        assert!(world.client.end.is_none());
        world.wait(Duration::from_millis(1));
        assert!(matches!(world.client.end, Some(End::Socket(_))), "the first failure is why");
        assert!(world.server().end.is_some() && !world.server().pipe.finished);
    }
}

#[test]
fn tls_that_is_cut_is_no_end() {
    let mut world = World::joined(with_tls());
    world.client.pipe.peer_sends(1000);
    world.client.pipe.peer_ends(Ending::Cut);
    world.run();
    assert!(matches!(world.client.end, Some(End::Cut)));
    assert!(world.client.why().starts_with("the TLS session was cut"));
    assert_eq!(upload(&world), Some(Ended::Aborted));
    assert!(world.server().end.is_some() && !world.server().pipe.finished);
    // Without TLS the end of the socket is all there is.
    let mut world = World::joined(Setting::default());
    world.client.pipe.peer_ends(Ending::Clean);
    world.run();
    assert_eq!(upload(&world), Some(Ended::Complete));
}

#[test]
fn a_write_that_fails_after_another_failure_ends_it_at_once() {
    for setting in [Setting::default(), with_tls()] {
        let mut world = World::joined(setting);
        world.client.pipe.space = 0;
        world.server().pipe.peer_sends(100);
        world.run();
        world.says(DeliveryState::failed(), true);
        world.up.carry(usize::MAX);
        world.client.drive(world.now);
        assert!(world.client.end.is_none(), "the far side may have said more");
        world.client.pipe.peer_resets();
        world.client.drive(world.now);
        assert!(matches!(world.client.end, Some(End::Refused(_))), "{}", world.client.why());
    }
}

#[test]
fn a_socket_that_fails_at_its_end_is_no_clean_end() {
    // The peer is gone when FIN is to be sent: everything was written, and nothing says that it
    // was read.
    let mut world = World::joined(Setting::default());
    world.server().pipe.peer_ends(Ending::Clean);
    let now = world.now;
    world.server().drive(now);
    world.down.as_mut().expect("a way").carry(usize::MAX);
    world.client.pipe.peer_resets();
    world.run();
    assert!(matches!(world.client.end, Some(End::Socket(_))), "{}", world.client.why());
    assert_eq!(upload(&world), Some(Ended::Aborted));
}

#[test]
fn a_tls_session_that_fails_while_the_answer_is_awaited_ends_it() {
    let mut world = World::new(with_tls());
    world.client.pipe.peer_resets();
    world.client.pipe.speaks = true;
    world.run();
    assert!(matches!(world.client.end, Some(End::Socket(_))), "{}", world.client.why());
    let late = world.answer_by(encode_head("reply", None, None, None));
    assert!(late.progress().outcome.is_some(), "no answer is taken any more");
}
