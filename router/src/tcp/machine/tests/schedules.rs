//! Any order of reads, writes, blocks, ends and failures, against a model: the bytes that arrive
//! are a prefix of the bytes that were sent, and a clean end comes only behind all of them.
//!
//! [`World::check`] compares after every step. At the end everybody reads, ends and waits: then a
//! connection without a failure has come to its clean end at both sides, and one with a failure is
//! over at both.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use skupper_proto::amqp::performative::DeliveryState;

use super::super::End;
use super::super::end::{LAST_WORDS, PATIENCE};
use super::pipe::{Ending, Pipe};
use super::world::{Setting, Site, Way, World};
use crate::core::Charge;

/// Which of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The server's connection begins.
    Answer,
    /// A peer does something.
    Sends(Side, usize),
    Reads(Side, usize),
    Blocks(Side),
    Ends(Side),
    /// A machine, or the way between them, has its turn.
    Drives(Side),
    Carries(Side, usize),
    Passes(Duration),
    /// Others take all memory, or give it back.
    Starves,
    Feeds,
    /// Something fails.
    Resets(Side),
    Cuts(Side),
    Loses(Side),
    Refuses(Side, bool),
    Dismisses(Side),
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Client), Just(Side::Server)]
}

/// Few and many bytes.
fn bytes() -> impl Strategy<Value = usize> {
    prop_oneof![1..100_usize, 1000..100_000_usize, Just(1 << 20), Just(3 << 20)]
}

/// Events of a connection that comes to its clean end.
fn harmless() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Answer),
        6 => (side(), bytes()).prop_map(|(side, bytes)| Event::Sends(side, bytes)),
        6 => (side(), bytes()).prop_map(|(side, bytes)| Event::Reads(side, bytes)),
        3 => side().prop_map(Event::Blocks),
        1 => side().prop_map(Event::Ends),
        12 => side().prop_map(Event::Drives),
        12 => (side(), bytes()).prop_map(|(side, bytes)| Event::Carries(side, bytes)),
        2 => (0..30_u64).prop_map(|millis| Event::Passes(Duration::from_millis(millis))),
        1 => Just(Event::Starves),
        1 => Just(Event::Feeds),
    ]
}

fn failure() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => side().prop_map(Event::Resets),
        1 => side().prop_map(Event::Cuts),
        1 => side().prop_map(Event::Loses),
        1 => (side(), any::<bool>()).prop_map(|(side, released)| Event::Refuses(side, released)),
        1 => side().prop_map(Event::Dismisses),
        1 => Just(Event::Passes(LAST_WORDS)),
        1 => Just(Event::Passes(PATIENCE)),
    ]
}

fn setting() -> impl Strategy<Value = Setting> {
    let early = prop_oneof![Just(0), Just(16 * 1024)];
    (any::<bool>(), any::<bool>(), any::<bool>(), early).prop_map(
        |(client_tls, server_tls, direct, early)| Setting {
            client_tls,
            server_tls,
            direct,
            early,
            ceiling: 32 << 20,
        },
    )
}

/// A world, and the part of the router's memory that others hold in it.
struct Play {
    world: World,
    others: Option<Charge>,
}

impl Play {
    fn site(&mut self, side: Side) -> Option<&mut Site> {
        match side {
            Side::Client => Some(&mut self.world.client),
            Side::Server => self.world.server.as_mut(),
        }
    }

    fn at<T>(&mut self, side: Side, does: impl FnOnce(&mut Site) -> T) {
        if let Some(site) = self.site(side) {
            does(site);
        }
    }

    fn peer<T>(&mut self, side: Side, does: impl FnOnce(&mut Pipe) -> T) {
        self.at(side, |site| does(&mut site.pipe));
    }

    /// Does something on the way on which a side's socket feeds the other.
    fn way<T>(&mut self, side: Side, does: impl FnOnce(&mut Way) -> T) {
        let way = match side {
            Side::Client => Some(&mut self.world.up),
            Side::Server => self.world.down.as_mut(),
        };
        if let Some(way) = way {
            does(way);
        }
    }

    fn happens(&mut self, event: Event) {
        let now = self.world.now;
        match event {
            Event::Answer if self.world.client.end.is_none() => self.world.answer(),
            Event::Answer => {}
            Event::Sends(side, bytes) => self.peer(side, |peer| peer.peer_sends(bytes)),
            Event::Reads(side, bytes) => self.peer(side, |peer| peer.peer_reads(bytes)),
            Event::Blocks(side) => self.peer(side, |peer| peer.space = 0),
            Event::Ends(side) => self.peer(side, |peer| peer.peer_ends(Ending::Clean)),
            Event::Drives(side) => self.at(side, |site| site.drive(now)),
            Event::Carries(side, bytes) => self.way(side, |way| way.carry(bytes)),
            Event::Passes(time) => self.world.now += time,
            Event::Starves => {
                let (memory, ceiling) = (&self.world.memory.read, self.world.account.ceiling());
                self.others.get_or_insert_with(|| memory.charge(ceiling));
            }
            Event::Feeds => self.others = None,
            Event::Resets(side) => self.peer(side, Pipe::peer_resets),
            Event::Cuts(side) => self.peer(side, |peer| {
                if peer.tls {
                    peer.peer_ends(Ending::Cut);
                }
            }),
            Event::Loses(side) => self.way(side, Way::lose),
            Event::Refuses(side, released) => {
                let outcome =
                    if released { DeliveryState::Released } else { DeliveryState::failed() };
                self.way(side, |way| way.refuse(outcome));
            }
            Event::Dismisses(side) => self.at(side, |site| site.end(End::Stopped("dismissed"))),
        }
        self.world.check();
    }

    /// Everybody reads all there is.
    fn all_read(&mut self) {
        self.others = None;
        for side in [Side::Client, Side::Server] {
            self.peer(side, |peer| peer.peer_reads(usize::MAX));
        }
        self.world.wait(Duration::from_millis(20));
    }
}

fn play(setting: Setting) -> Play {
    Play { world: World::new(setting), others: None }
}

proptest! {
    #[test]
    fn without_a_failure_all_arrives_and_both_end_cleanly(
        setting in setting(),
        events in prop::collection::vec(harmless(), 0..120),
    ) {
        let mut play = play(setting);
        events.into_iter().for_each(|event| play.happens(event));
        play.happens(Event::Answer);
        play.all_read();
        for side in [Side::Client, Side::Server] {
            play.peer(side, |peer| peer.peer_ends(Ending::Clean));
        }
        play.world.run();
        for side in [Side::Client, Side::Server] {
            let site = play.site(side).expect("it was answered");
            prop_assert!(matches!(site.end, Some(End::Complete)), "{side:?}: {}", site.why());
        }
        let account = Arc::clone(&play.world.account);
        drop(play);
        prop_assert_eq!(account.held(), 0);
    }

    #[test]
    fn whatever_fails_no_half_looks_whole_and_both_are_over(
        setting in setting(),
        before in prop::collection::vec(harmless(), 0..60),
        failures in prop::collection::vec(prop_oneof![harmless(), failure()], 1..60),
    ) {
        let mut play = play(setting);
        before.into_iter().chain(failures).for_each(|event| play.happens(event));
        play.all_read();
        for side in [Side::Client, Side::Server] {
            play.peer(side, |peer| peer.peer_ends(Ending::Clean));
        }
        play.world.run();
        play.world.wait(LAST_WORDS);
        play.world.wait(PATIENCE);
        for side in [Side::Client, Side::Server] {
            if let Some(site) = play.site(side) {
                prop_assert!(site.end.is_some(), "{side:?} goes on: {:?}", site.pipe);
            }
        }
        let account = Arc::clone(&play.world.account);
        drop(play);
        prop_assert_eq!(account.held(), 0);
    }
}
