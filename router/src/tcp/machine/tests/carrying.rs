//! Data, windows and memory, and the clean ends behind the data.

use std::time::Duration;

use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::stream::WINDOW;

use super::super::End;
use super::super::upload::BREATH;
use super::pipe::Ending;
use super::world::{Setting, Site, World};
use crate::core::{AHEAD, Class, Holder};

const KIB: usize = 1024;
const HOUR: Duration = Duration::from_secs(3600);

/// All kinds of sockets at either end, at two routers and at one.
fn settings() -> impl Iterator<Item = Setting> {
    (0..8).map(|bits| Setting {
        client_tls: bits & 1 > 0,
        server_tls: bits & 2 > 0,
        direct: bits & 4 > 0,
        ..Setting::default()
    })
}

#[test]
fn a_request_is_answered_after_the_client_has_ended_its_half() {
    for setting in settings() {
        let mut world = World::joined(setting);
        world.client.pipe.peer_sends(300 * KIB);
        world.client.pipe.peer_ends(Ending::Clean);
        world.run();
        assert_eq!(world.server().pipe.heard, 300 * KIB);
        assert!(world.server().pipe.finished && world.client.end.is_none());
        // However long the server thinks.
        assert_eq!(
            (world.client.machine.deadline(), world.server().machine.deadline()),
            (None, None)
        );
        world.wait(100 * HOUR);
        world.server().pipe.peer_sends(100);
        world.run();
        assert_eq!(world.client.pipe.heard, 100);
        world.server().pipe.peer_ends(Ending::Clean);
        world.run();
        assert!(matches!(world.client.end, Some(End::Complete)), "{}", world.client.why());
        assert!(matches!(world.server().end, Some(End::Complete)), "{}", world.server().why());
        // Where the peer has ended before, the close says the same.
        assert!(!world.client.pipe.finished);
    }
}

#[test]
fn a_server_that_ends_first_hears_all_that_follows() {
    for setting in settings() {
        let mut world = World::joined(setting);
        world.server().pipe.peer_sends(10);
        world.server().pipe.peer_ends(Ending::Clean);
        world.run();
        assert!(world.client.pipe.finished && world.client.pipe.heard == 10);
        world.wait(HOUR);
        world.client.pipe.peer_sends(3 * WINDOW as usize);
        world.client.pipe.peer_ends(Ending::Clean);
        world.run();
        assert_eq!(world.server().pipe.heard, 3 * WINDOW as usize);
        assert!(matches!(world.client.end, Some(End::Complete)));
        assert!(matches!(world.server().end, Some(End::Complete)));
    }
}

#[test]
fn both_may_end_at_once() {
    for setting in settings() {
        let mut world = World::joined(setting);
        world.client.pipe.peer_sends(10);
        world.server().pipe.peer_sends(20);
        world.client.pipe.peer_ends(Ending::Clean);
        world.server().pipe.peer_ends(Ending::Clean);
        world.run();
        assert_eq!((world.server().pipe.heard, world.client.pipe.heard), (10, 20));
        assert!(matches!(world.client.end, Some(End::Complete)));
        assert!(matches!(world.server().end, Some(End::Complete)));
    }
}

#[test]
fn the_end_waits_for_a_slow_reader() {
    for setting in settings() {
        let mut world = World::joined(setting);
        world.server().pipe.space = 0;
        world.client.pipe.peer_sends(10_000);
        world.client.pipe.peer_ends(Ending::Clean);
        for heard in (0..10_000).step_by(1000) {
            world.run();
            assert_eq!(world.server().pipe.heard, heard);
            assert!(!world.server().pipe.finished);
            assert!(world.client.end.is_none() && world.server().end.is_none());
            world.server().pipe.peer_reads(1000);
        }
        world.run();
        // close_notify has a place of its own.
        assert_eq!(world.server().pipe.finished, !setting.server_tls);
        world.server().pipe.peer_reads(1);
        world.run();
        assert!(world.server().pipe.finished && world.server().pipe.heard == 10_000);
    }
}

#[test]
fn a_reader_that_stands_still_holds_the_sender_at_its_window() {
    let mut world = World::joined(Setting::default());
    world.server().pipe.space = 0;
    world.client.pipe.peer_sends(10 * WINDOW as usize);
    world.run();
    let read = world.client.pipe.sent - world.client.pipe.unread();
    let window = WINDOW as usize;
    assert!((window..window + 256 * KIB).contains(&read), "{read} bytes");
    assert!(!world.client.machine.wants_read());
    // A C router's worth of acknowledgements lets it go on.
    for _ in 0..100 {
        world.server().pipe.peer_reads(window);
        world.run();
    }
    assert_eq!(world.server().pipe.heard, 10 * window);
}

#[test]
fn nothing_is_read_further_ahead_than_the_way_takes() {
    let mut world = World::joined(Setting::default());
    world.client.pipe.peer_sends(10 * WINDOW as usize);
    world.client.drive(world.now);
    let waiting = world.up.from().waiting();
    assert!((AHEAD..AHEAD + 64 * KIB).contains(&waiting), "{waiting} bytes");
    assert!(!world.client.machine.wants_read());
    world.up.carry(64 * KIB);
    world.client.drive(world.now);
    assert!(world.up.from().waiting() >= AHEAD);
}

#[test]
fn a_stream_that_is_accepted_before_its_end_counts_no_window() {
    let mut world = World::joined(Setting::default());
    world.says(DeliveryState::Accepted, false);
    world.server().pipe.space = 0;
    world.client.pipe.peer_sends(10 * WINDOW as usize);
    world.run();
    assert_eq!(world.client.pipe.unread(), 0);
}

#[test]
fn bytes_go_ahead_of_the_answer_as_far_as_they_may() {
    for early in [0, 16 * KIB] {
        let mut world = World::new(Setting { early, ..Setting::default() });
        world.client.pipe.peer_sends(100 * KIB);
        world.run();
        assert_eq!(world.client.pipe.sent - world.client.pipe.unread(), early);
        assert!(!world.client.machine.wants_read());
        world.answer();
        world.run();
        assert_eq!(world.server().pipe.heard, 100 * KIB);
        assert_eq!(world.client.machine.deadline(), None, "it waits for no answer");
    }
}

#[test]
fn a_client_may_say_all_and_end_before_the_answer() {
    let mut world = World::new(Setting { early: 16 * KIB, ..Setting::default() });
    world.client.pipe.peer_sends(10);
    world.client.pipe.peer_ends(Ending::Clean);
    world.run();
    assert!(world.client.end.is_none());
    world.answer();
    world.run();
    assert!(world.server().pipe.finished && world.server().pipe.heard == 10);
    world.server().pipe.peer_sends(1);
    world.server().pipe.peer_ends(Ending::Clean);
    world.run();
    assert!(matches!(world.client.end, Some(End::Complete)) && world.client.pipe.heard == 1);
}

#[test]
fn a_service_without_memory_reads_again_when_it_has_some() {
    for early in [0, 16 * KIB] {
        let setting = Setting { early, ceiling: 1024 * KIB, ..Setting::default() };
        let mut world = World::new(setting);
        if early == 0 {
            world.answer();
            world.run();
        }
        let others = world.account.ceiling();
        let mut others = world.memory.read.charge(others);
        world.client.pipe.peer_sends(100);
        world.run();
        assert_eq!(world.client.pipe.unread(), 100);
        assert!(!world.client.machine.wants_read());
        assert_eq!(world.client.machine.deadline(), Some(world.now + BREATH));
        world.wait(BREATH);
        assert_eq!(world.client.machine.deadline(), Some(world.now + BREATH), "it looks again");
        others.set(0);
        // Whatever wakes it lets it look, too.
        world.client.drive(world.now);
        assert_eq!(world.client.pipe.unread(), 0);
        world.run();
        assert!(early > 0 || world.server().pipe.heard == 100);
    }
}

#[test]
fn short_memory_makes_the_pieces_of_tls_small() {
    let setting = Setting { server_tls: true, ceiling: 4096 * KIB, ..Setting::default() };
    let mut world = World::joined(setting);
    world.client.pipe.peer_sends(128 * KIB);
    world.client.drive(world.now);
    world.up.carry(usize::MAX);
    let others = Holder::new(&world.account, Class::Router);
    let _others = others.charge(world.account.ceiling() / 4 * 3);
    world.run();
    assert_eq!(world.server().pipe.writes, [16 * KIB; 8]);
}

#[test]
fn an_observer_sees_all_bytes_of_both_directions() {
    for setting in settings() {
        let mut world = World::joined(setting);
        world.client.pipe.peer_sends(100 * KIB + 1);
        world.server().pipe.peer_sends(3);
        world.client.pipe.space = 1;
        world.run();
        let seen = |site: &Site| (site.machine.observer.uploaded, site.machine.observer.downloaded);
        let taken = if setting.client_tls { 3 } else { 1 };
        assert_eq!(seen(&world.client), (100 * KIB + 1, taken));
        assert_eq!(seen(world.server()), (3, 100 * KIB + 1));
    }
}
