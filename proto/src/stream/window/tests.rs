use std::collections::VecDeque;

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::*;

#[test]
fn window_closes_and_opens() {
    let mut window = SendWindow::default();
    window.sent(SENT_AHEAD);
    assert_eq!(window.room(), 0);
    window.acknowledge(0, 1);
    window.acknowledge(SENT_AHEAD + 1, 1);
    assert_eq!(window.room(), 0);
    window.acknowledge(521_216, 0);
    assert_eq!(window.room(), 521_216);
    window.acknowledge(100, 1);
    assert_eq!(window.room(), 521_216);
    window.acknowledge(521_217, 1000);
    assert_eq!(window.room(), 522_217);
    // Less than is under way already: nothing more for a while.
    window.sent(522_217);
    window.acknowledge(521_218, 0);
    assert_eq!(window.room(), 0);
    window.acknowledge(521_219, u64::MAX);
    assert_eq!(window.room(), MAX_ALLOWANCE - 998);
    window.lift();
    assert_eq!(window.room(), WINDOW);
}

#[test]
fn receipts_come_in_steps() {
    let mut receipt = Receipt::default();
    let mut written = |octets| receipt.written(octets, || 0, || Instant::ZERO);
    assert_eq!(written(ACKNOWLEDGE - 1), None);
    assert_eq!(written(2), Some(ACKNOWLEDGE + 1));
    assert_eq!(written(ACKNOWLEDGE - 1), None);
    assert_eq!(receipt.total(), 2 * ACKNOWLEDGE);
}

/// The receiver at the end of a path: a router of ours whose neighbors are ours, one with a C
/// router on the path, or a C router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiver {
    Ours,
    BehindC,
    C,
}

/// A path: microseconds there and back, bytes a second, and losses of a hundred segments.
#[derive(Clone, Copy)]
struct Way {
    round_trip: u64,
    rate: u64,
    loss: f64,
}

/// When bytes arrive: those that are lost a round trip later, and those behind them not before.
struct Weather(Way, TestRng, u64);

impl Weather {
    fn new(way: Way) -> Self {
        Self(way, TestRng::deterministic_rng(RngAlgorithm::ChaCha), 0)
    }

    fn arrival(&mut self, now: u64, octets: u64) -> u64 {
        let Self(way, random, last) = self;
        let lost = (0..octets.div_ceil(1448))
            .any(|_| f64::from(random.next_u32()) < way.loss * f64::from(u32::MAX));
        *last = (*last).max(now + way.round_trip / 2 + if lost { way.round_trip } else { 0 });
        *last
    }
}

/// The step of the simulation, in microseconds.
const STEP_TIME: u64 = 100;

const SECOND: u64 = 1_000_000;

/// As fast as it comes.
const ALL: u64 = u64::MAX / SECOND;

/// 1 Gbit/s.
const RATE: u64 = 125_000_000;

/// A stream over a path, in virtual time.
struct Stream {
    receiver: Receiver,
    /// Bytes a second that the client has to send.
    source: u64,
    /// Bytes a second that the reader takes, and how many it takes at all.
    reader: u64,
    takes: u64,
    way: Way,
    forth: Weather,
    back: Weather,
    now: u64,
    window: SendWindow,
    receipt: Receipt,
    there: VecDeque<(u64, u64)>,
    told: VecDeque<(u64, u64, u64)>,
    waiting: u64,
    /// The most that has waited for the reader.
    most: u64,
    written: u64,
    acknowledged: u64,
}

impl Stream {
    fn over(way: Way, receiver: Receiver) -> Self {
        Self {
            receiver,
            source: ALL,
            reader: ALL,
            takes: u64::MAX,
            way,
            forth: Weather::new(way),
            back: Weather::new(way),
            now: 0,
            window: SendWindow::default(),
            receipt: Receipt::default(),
            there: VecDeque::new(),
            told: VecDeque::new(),
            waiting: 0,
            most: 0,
            written: 0,
            acknowledged: 0,
        }
    }

    /// Goes on for a time in microseconds. Returns the bytes a second that are written meanwhile.
    fn run(&mut self, time: u64) -> u64 {
        let (before, end) = (self.written, self.now + time);
        self.most = self.waiting;
        while self.now < end {
            self.step();
            self.now += STEP_TIME;
        }
        (self.written - before) * SECOND / time
    }

    fn step(&mut self) {
        let now = self.now;
        let share = |rate: u64| rate.saturating_mul(STEP_TIME) / SECOND;
        while let Some((_, octets, allowance)) = self.told.pop_front_if(|(at, _, _)| *at <= now) {
            self.window.acknowledge(octets, allowance);
        }
        let octets = self.window.room().min(share(self.way.rate.min(self.source)));
        self.window.sent(octets);
        self.there.push_back((self.forth.arrival(now, octets), octets));
        while let Some((_, octets)) = self.there.pop_front_if(|(at, _)| *at <= now) {
            self.waiting += octets;
        }
        let mut read = self.waiting.min(share(self.reader)).min(self.takes);
        self.takes -= read;
        self.waiting -= read;
        self.most = self.most.max(self.waiting);
        let waiting = self.waiting;
        let at = || Instant::from_micros(now);
        while read > 0 {
            let step = if self.receiver == Receiver::C { read.min(STEP) } else { read };
            (read, self.written) = (read - step, self.written + step);
            let say = match self.receiver {
                Receiver::Ours => self
                    .receipt
                    .written(step, || waiting, at)
                    .map(|octets| (octets, self.receipt.allowance())),
                Receiver::BehindC => {
                    self.receipt.written(step, || waiting, at).map(|octets| (octets, 0))
                }
                Receiver::C => {
                    (self.written - self.acknowledged >= 521_216).then_some((self.written, 0))
                }
            };
            if let Some((octets, allowance)) = say {
                self.acknowledged = octets;
                self.told.push_back((self.back.arrival(now, 1), octets, allowance));
            }
        }
        if waiting == 0 {
            self.receipt.starve(at);
        }
    }

    fn allowance(&self) -> u64 {
        self.receipt.allowance()
    }
}

#[test]
fn a_long_way_carries_what_the_window_allows_and_more_between_routers_of_ours() {
    // The least rate of each receiver.
    for (round_trip, loss, behind_c, to_c, between_ours) in [
        (50, 0.0, 19_000_000, 19_000_000, 110_000_000),
        (50, 0.01, 10_000_000, 9_500_000, 105_000_000),
        (200, 0.0, 4_800_000, 4_800_000, 70_000_000),
        (200, 0.01, 2_500_000, 2_400_000, 33_000_000),
    ] {
        let way = Way { round_trip: round_trip * 1000, rate: RATE, loss };
        for (receiver, least) in
            [(Receiver::BehindC, behind_c), (Receiver::C, to_c), (Receiver::Ours, between_ours)]
        {
            let mut stream = Stream::over(way, receiver);
            let octets = stream.run(30 * SECOND);
            println!(
                "round trip {round_trip} ms, loss {loss}, receiver {receiver:?}: {octets} octets a \
                 second"
            );
            assert!(octets >= least, "{octets} octets a second to {receiver:?}");
            assert!(
                receiver == Receiver::Ours || octets <= SENT_AHEAD * 1000 / round_trip,
                "{octets}"
            );
            assert_eq!(stream.most, 0);
        }
    }
    // A reader of 10 MB/s gets nearly all it can take, and little of the window waits for it.
    let mut stream = Stream { reader: 10_000_000, ..Stream::over(far(), Receiver::Ours) };
    let octets = stream.run(30 * SECOND);
    assert!(octets > 9_000_000, "{octets}");
    assert!(stream.most <= MAX_ALLOWANCE / 2, "{}", stream.most);
}

#[test]
fn losses_do_not_keep_a_window_small() {
    for seed in 0..6 {
        let mut stream = Stream::over(Way { loss: 0.01, ..far() }, Receiver::Ours);
        for weather in [&mut stream.forth, &mut stream.back] {
            weather.1 = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        }
        let octets = stream.run(12 * SECOND);
        println!("{octets} octets a second");
        assert!(octets > 20_000_000, "{octets}");
    }
}

/// A path around the world.
const fn far() -> Way {
    Way { round_trip: 200_000, rate: RATE, loss: 0.0 }
}

/// A path within a machine, or within a data center.
const fn near() -> Way {
    Way { round_trip: 300, rate: 5 * RATE, loss: 0.0 }
}

#[test]
fn what_stands_still_on_a_short_way_costs_the_plain_window() {
    // A kernel takes a lot at once for a reader that never reads, or that stops after a while.
    for takes in [0, 2_000_000, 5_000_000, 500_000_000] {
        let mut stream = Stream { takes, ..Stream::over(near(), Receiver::Ours) };
        stream.run(3 * SECOND);
        assert_eq!(stream.takes, 0);
        assert_eq!(stream.allowance(), 0, "{takes}");
        assert!(
            (WINDOW..=SENT_AHEAD + ACKNOWLEDGE).contains(&stream.most),
            "{takes}: {}",
            stream.most
        );
    }
}

#[test]
fn a_window_grows_where_the_reader_waits_for_it_and_nowhere_else() {
    let mut stream = Stream::over(far(), Receiver::Ours);
    stream.run(3 * SECOND);
    assert_eq!(stream.allowance(), MAX_ALLOWANCE);
    // A sender slower than the plain window has no use for more, nor has a slow reader.
    for (source, reader) in [(4_000_000, ALL), (ALL, 4_000_000)] {
        let mut stream = Stream { source, reader, ..Stream::over(far(), Receiver::Ours) };
        stream.run(10 * SECOND);
        assert_eq!(stream.allowance(), 0, "{source} {reader}");
    }
}

#[test]
fn a_pause_of_the_machine_is_no_long_way() {
    let way = near();
    let mut stream = Stream::over(way, Receiver::Ours);
    // Everything stood still while the first acknowledgement was under way.
    stream.back.2 = 30_000;
    stream.run(SECOND / 10);
    stream.takes = 0;
    stream.run(SECOND / 10);
    assert_eq!(stream.allowance(), 0);
    assert!(stream.waiting <= SENT_AHEAD, "{}", stream.waiting);
}

#[test]
fn what_is_not_used_of_a_window_is_not_allowed_any_more() {
    let grown = || {
        let mut stream = Stream::over(far(), Receiver::Ours);
        stream.run(5 * SECOND);
        assert_eq!(stream.allowance(), MAX_ALLOWANCE);
        stream
    };
    let slower = |source, reader| {
        let mut stream = grown();
        (stream.source, stream.reader) = (source, reader);
        stream.run(30 * SECOND);
        let window = WINDOW + stream.allowance();
        assert!(window <= EXCESS * 2_000_000 + ALLOWANCE_UNIT, "{window}");
        assert!(stream.run(10 * SECOND) > 9_000_000);
    };
    slower(10_000_000, ALL);
    slower(ALL, 10_000_000);
    // A reader that stood still gets the plain window, with the first acknowledgement after that.
    let mut stream = grown();
    stream.reader = 0;
    stream.run(10 * SECOND);
    stream.reader = 10_000_000;
    stream.run(SECOND / 10);
    assert_eq!(stream.allowance(), 0);
}
