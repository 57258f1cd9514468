//! The bytes that a C router may hold unread of the streams that a connection sends it.
//!
//! A C router takes in a little of a stream whose server reads nothing. It leaves the rest in its
//! AMQP engine, which ends a connection that holds 4 MiB (since mid-2026). It acknowledges only
//! every 521,216 bytes that the server has taken, and its session window is far larger than what
//! its engine holds. So neither tells in time how much it has left unread.
//!
//! So the sender counts: bytes of a stream that are neither acknowledged nor known to be read may
//! be unread. When a stream has no room left, the sender asks the peer how much it holds of each
//! stream ([`Connection::ask`](crate::engine::Connection::ask)). Bytes stay unread for as long as a
//! server stands still, so the sender gives room with care:
//!
//! * A stream may leave as much unread as is free of [`BULK`] (dynamic thresholds, Choudhury and
//!   Hahne 1998): a few streams have room for all that may be under way. Once less than half of
//!   that is free, a stream gets no more than its server has read, beyond the bytes that the router
//!   takes in for a server that reads nothing.
//! * Each stream may leave a small part of the free bytes of [`RESERVE`]. So a stream that moves
//!   goes on beside hundreds that stand still.

use core::time::Duration;

use crate::time::Instant;

/// The bytes that a peer may hold unread of streams whose servers read, or may yet do so.
pub const BULK: u64 = 2560 * 1024;

/// The bytes for streams with little unread. Both together leave half a MiB of the peer's limit for
/// whole messages.
pub const RESERVE: u64 = 1024 * 1024;

/// The part of the reserve's free bytes that one stream may take.
const PART: u64 = 64;

/// The bytes that a C router takes in for a server that reads nothing: seven transfers, of 16 KiB
/// here, and those that came before it had dialed.
const TAKEN_IN: u64 = 128 * 1024;

/// Fewer bytes than this are not worth a transfer.
const LEAST: u64 = 256;

/// The pause between two questions about a stream of which nothing was read meanwhile, at first.
const AGAIN: Duration = Duration::from_millis(1);

/// The same at last.
const AGAIN_AT_LAST: Duration = Duration::from_millis(250);

/// The bytes that the peer may hold unread, of all streams of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total(u64);

impl Total {
    /// Returns the bytes.
    pub const fn octets(self) -> u64 {
        self.0
    }
}

/// The bytes that the peer may hold unread of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    sent: u64,
    octets: u64,
    /// The bytes that were sent when the peer was asked last, until it answers.
    asked: Option<u64>,
    /// How long to wait before the next question, and until when.
    pause: Duration,
    due: Instant,
}

impl Unread {
    /// Returns how many bytes may be sent: half of what the stream is below its limit, for sending
    /// moves the limit too. A little counts as none, so that transfers do not become ever smaller.
    pub fn room(&self, total: Total) -> u64 {
        let free = (BULK + RESERVE).saturating_sub(total.0);
        let bulk = free.saturating_sub(RESERVE);
        let read = (self.sent - self.octets).saturating_sub(TAKEN_IN);
        let bulk = if bulk >= BULK / 2 { bulk } else { bulk.min(read) };
        let limit = bulk + free.min(RESERVE) / PART;
        let room = limit.saturating_sub(self.octets) / 2;
        if room < LEAST || room < limit / 16 { 0 } else { room }
    }

    /// Whether anything may be unread.
    pub const fn is_some(&self) -> bool {
        self.octets > 0
    }

    /// Counts bytes that were sent.
    pub const fn sent(&mut self, octets: u64, total: &mut Total) {
        self.sent += octets;
        self.octets += octets;
        total.0 += octets;
    }

    /// Takes an acknowledgement: the peer's server has taken `octets` bytes in all. Returns whether
    /// less may be unread than before.
    pub fn acknowledged(&mut self, octets: u64, total: &mut Total) -> bool {
        self.at_most(self.sent.saturating_sub(octets), total)
    }

    /// Whether to ask the peer how much it holds.
    pub fn wants_to_know(&self, now: Instant) -> bool {
        self.octets > 0 && self.asked.is_none() && self.due <= now
    }

    /// Returns when to ask, if nothing is heard before.
    pub fn due(&self) -> Option<Instant> {
        (self.octets > 0 && self.asked.is_none()).then_some(self.due)
    }

    /// Notes that the peer is asked, behind all that was sent.
    pub const fn asked(&mut self) {
        self.asked = Some(self.sent);
    }

    /// Takes the peer's answer: the bytes that it held once it had received all that was sent
    /// before the question. Returns whether less may be unread than before.
    pub fn told(&mut self, octets: u64, now: Instant, total: &mut Total) -> bool {
        let Some(asked) = self.asked.take() else { return false };
        let less = self.at_most(octets.saturating_add(self.sent - asked), total);
        if !less {
            self.pause = (self.pause * 2).clamp(AGAIN, AGAIN_AT_LAST);
        }
        self.due = now + self.pause;
        less
    }

    /// Notes that the peer holds nothing of the stream, or has no use for it. Returns whether it
    /// may have held something.
    pub fn gone(&mut self, total: &mut Total) -> bool {
        self.asked = None;
        self.at_most(0, total)
    }

    fn at_most(&mut self, octets: u64, total: &mut Total) -> bool {
        let less = octets < self.octets;
        if less {
            total.0 -= self.octets - octets;
            self.octets = octets;
            self.pause = Duration::ZERO;
        }
        less
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The bytes with which a C router ends a connection.
    const KILLS: u64 = 4 * 1024 * 1024;
    const FRAME: u64 = 16 * 1024;
    /// A C router takes in at least seven transfers of a stream whose server reads nothing, and
    /// acknowledges this much at once.
    const RING: u64 = 7 * FRAME;
    const ACKNOWLEDGED: u64 = 521_216;

    /// A stream and its server, which takes `rate` bytes a millisecond.
    struct Stream {
        unread: Unread,
        rate: u64,
        /// Bytes that the router has, those it took from its engine, those the server has, and
        /// those that were acknowledged.
        arrived: u64,
        taken: u64,
        served: u64,
        acknowledged: u64,
        /// Bytes still to be sent.
        left: u64,
    }

    /// A connection over a path, with all that is on it by the time when it arrives.
    struct World {
        now: Instant,
        total: Total,
        streams: Vec<Stream>,
        way: Duration,
        there: Vec<(Instant, usize, Option<u64>)>,
        back: Vec<(Instant, usize, Result<u64, u64>)>,
        most: u64,
        questions: usize,
    }

    impl World {
        fn new(way: u64) -> Self {
            Self {
                now: Instant::from_millis(1000),
                total: Total::default(),
                streams: Vec::new(),
                way: Duration::from_millis(way),
                there: Vec::new(),
                back: Vec::new(),
                most: 0,
                questions: 0,
            }
        }

        fn add(&mut self, rate: u64, left: u64) -> usize {
            let unread = Unread::default();
            self.streams.push(Stream {
                unread,
                rate,
                arrived: 0,
                taken: 0,
                served: 0,
                acknowledged: 0,
                left,
            });
            self.streams.len() - 1
        }

        /// Returns the bytes in the router's engine.
        fn held(&self) -> u64 {
            self.streams.iter().map(|stream| stream.arrived - stream.taken).sum()
        }

        fn step(&mut self) {
            self.now += Duration::from_millis(1);
            let (now, arrives) = (self.now, self.now + self.way);
            // The sender.
            let mut short = false;
            for (number, stream) in self.streams.iter_mut().enumerate() {
                // As much as a fast path takes in a millisecond.
                for _ in 0..4 {
                    let room = stream.unread.room(self.total);
                    short |= stream.left > 0 && room == 0;
                    let octets = room.min(stream.left).min(2 * FRAME);
                    if octets == 0 {
                        break;
                    }
                    stream.left -= octets;
                    stream.unread.sent(octets, &mut self.total);
                    self.there.push((arrives, number, Some(octets)));
                }
            }
            if short {
                for (number, stream) in self
                    .streams
                    .iter_mut()
                    .enumerate()
                    .filter(|(_, it)| it.unread.wants_to_know(now))
                {
                    stream.unread.asked();
                    self.questions += 1;
                    self.there.push((arrives, number, None));
                }
            }
            // The router. Bytes are there at once, and it takes them from its engine later.
            let (come, still) = self.there.drain(..).partition(|(at, _, _)| *at <= now);
            self.there = still;
            for (_, number, what) in come {
                let stream = &mut self.streams[number];
                match what {
                    Some(octets) => stream.arrived += octets,
                    None => {
                        let frames = (stream.arrived - stream.taken).div_ceil(FRAME);
                        self.back.push((arrives, number, Err(frames * FRAME)));
                    }
                }
            }
            self.most = self.most.max(self.held());
            for (number, stream) in self.streams.iter_mut().enumerate() {
                stream.served = stream.arrived.min(stream.served + stream.rate);
                stream.taken = stream.arrived.min(stream.served + RING).max(stream.taken);
                if stream.served - stream.acknowledged >= ACKNOWLEDGED {
                    stream.acknowledged = stream.served;
                    self.back.push((arrives, number, Ok(stream.served)));
                }
            }
            // The sender again.
            let (come, still) = self.back.drain(..).partition(|(at, _, _)| *at <= now);
            self.back = still;
            for (_, number, what) in come {
                let unread = &mut self.streams[number].unread;
                match what {
                    Ok(octets) => unread.acknowledged(octets, &mut self.total),
                    Err(octets) => unread.told(octets, now, &mut self.total),
                };
            }
            let sum: u64 = self.streams.iter().map(|stream| stream.unread.octets).sum();
            assert_eq!(self.total.octets(), sum);
            assert!(self.held() <= sum, "{} octets are held, {sum} are counted", self.held());
        }

        /// Lets milliseconds pass. Returns the bytes that a stream's server got meanwhile.
        fn run(&mut self, millis: u64, number: usize) -> u64 {
            let before = self.streams[number].served;
            (0..millis).for_each(|_| self.step());
            self.streams[number].served - before
        }
    }

    #[test]
    fn few_streams_have_room_for_all_that_a_peer_acknowledges_at_once() {
        for count in 1..5 {
            let mut world = World::new(50);
            for _ in 0..count {
                world.add(u64::MAX / 2, u64::MAX);
            }
            world.run(1000, 0);
            world.questions = 0;
            let rate = world.run(1000, 0) / 1000;
            println!(
                "{count} on a way of 100 ms: {rate} octets a millisecond each, {} questions",
                world.questions
            );
            assert!(rate >= ACKNOWLEDGED / 110, "{rate} octets a millisecond");
        }
    }

    #[test]
    fn one_that_moves_goes_on_beside_any_number_that_stand_still() {
        for (stalled, least) in [(0, 50_000), (12, 20_000), (40, 10_000), (200, 100)] {
            let mut world = World::new(1);
            for _ in 0..stalled {
                world.add(0, u64::MAX);
                world.run(20, 0);
            }
            let moves = world.add(u64::MAX / 2, u64::MAX);
            let rate = world.run(1000, moves) / 1000;
            println!(
                "beside {stalled} that stand still: {rate} octets a millisecond, {} questions",
                world.questions
            );
            assert!(rate > least, "{rate} octets a millisecond beside {stalled}");
            assert!(world.most < KILLS, "{} octets were held", world.most);
        }
    }

    #[test]
    fn one_that_moves_goes_on_beside_those_that_did() {
        for stalled in [4, 12, 40] {
            let mut world = World::new(1);
            for _ in 0..stalled {
                let number = world.add(u64::MAX / 2, u64::MAX);
                world.run(200, number);
                world.streams[number].rate = 0;
                world.run(20, number);
            }
            let moves = world.add(u64::MAX / 2, u64::MAX);
            let rate = world.run(1000, moves) / 1000;
            println!("beside {stalled} that stopped: {rate} octets a millisecond");
            assert!(rate > 1000, "{rate} octets a millisecond beside {stalled}");
            assert!(world.most < KILLS, "{} octets were held", world.most);
        }
    }

    #[test]
    fn those_that_stood_still_go_on_when_their_servers_do() {
        let mut world = World::new(1);
        for _ in 0..40 {
            world.add(0, 1024 * 1024);
        }
        world.run(1000, 0);
        // The pauses between questions grow: most questions fall into the first moments.
        let before = world.questions;
        world.run(1000, 0);
        assert!(
            world.questions - before <= 40 * 5,
            "{} questions in a second",
            world.questions - before
        );
        for stream in &mut world.streams {
            stream.rate = 10_000;
        }
        world.run(2000, 0);
        assert!(world.streams.iter().all(|stream| stream.served == 1024 * 1024));
    }

    #[test]
    fn what_was_read_long_ago_is_in_nobodys_way() {
        let mut world = World::new(10);
        // Less than is acknowledged: by itself the router never says that it was read.
        for _ in 0..100 {
            world.add(u64::MAX / 2, 100_000);
            world.run(30, 0);
        }
        let last = world.add(u64::MAX / 2, 10 * 1024 * 1024);
        assert_eq!(world.run(1000, last), 10 * 1024 * 1024);
        assert!(world.questions < 1000, "{} questions", world.questions);
    }

    proptest! {
        #[test]
        fn no_schedule_leaves_more_unread_than_a_peer_holds(
            way in 0_u64..50,
            streams in proptest::collection::vec(
                (prop_oneof![Just(0), 1_u64..100_000], 0_u64..3_000_000, 0_u64..100),
                1..60,
            ),
        ) {
            let mut world = World::new(way);
            for (rate, left, pause) in streams {
                let number = world.add(rate, left);
                world.run(pause, number);
            }
            let live = world.add(u64::MAX / 2, 2_000_000);
            let mut waited = 0;
            while world.streams[live].served < 2_000_000 {
                world.run(100, live);
                waited += 100;
                let World { streams, total, .. } = &world;
                let (unread, count) = (&streams[live].unread, streams.len());
                prop_assert!(
                    waited < 60_000,
                    "a stream that moves stands still: {unread:?} of {count}, {total:?}"
                );
            }
            prop_assert!(world.most < KILLS, "{} octets were held", world.most);
        }
    }
}
