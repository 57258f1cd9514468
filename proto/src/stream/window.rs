//! A stream's window of octets, as its sender and its receiver keep it.
//!
//! The receiver judges the window by what its own acknowledgements tell. A sender that has used up
//! what it may send stops at an octet that the receiver knows. The octet behind it comes a round
//! trip after the acknowledgement that allows it. So the receiver measures the round trip, and sees
//! whether its reader had to wait for it. Then a larger window carries more. Where the round trip
//! is so short that the window carries all that a router can, it stays as it is: what a reader has
//! taken by then may stand in the buffers of a kernel, and says nothing of how fast the peer reads.

use core::time::Duration;
use std::collections::VecDeque;

use crate::time::Instant;

/// Octets that may be under way unacknowledged on one stream: twice what a C router acknowledges at
/// once.
pub const WINDOW: u64 = 2 * 521_216;

/// Octets of a step in which a C router writes. It acknowledges after the step with which 521,216
/// octets or more are written, so a second time in a window only if the sender goes two steps
/// beyond; otherwise a long way carries half of what the window allows.
const STEP: u64 = 16 * 4072;

/// Octets that a sender has under way beyond what the receiver allows more than the window.
const SENT_AHEAD: u64 = WINDOW + 2 * STEP;
const _: () = assert!(SENT_AHEAD as usize <= MAX_HELD);

/// Octets written after which a receiver acknowledges. A C router waits for 521,216; half of that
/// keeps a sender moving that is a few milliseconds away.
pub const ACKNOWLEDGE: u64 = 260_608;

/// The most octets of one stream that a router holds: the window, what a C router's sender may have
/// read beyond it (8 buffers of 4072 octets), and more than a sender of ours goes beyond it.
pub const MAX_HELD: usize = WINDOW as usize + 8 * 4072 + 256 * 1024;

/// What a receiver's allowance is counted in, in octets.
pub const ALLOWANCE_UNIT: u64 = 64 * 1024;

/// The most octets beyond [`WINDOW`] that a receiver allows: with it a stream moves 87 MB/s at a
/// round trip of 200 ms. Each doubling of it doubles what one reader that stops can leave in a
/// router.
pub const MAX_ALLOWANCE: u64 = 16 * 1024 * 1024;

/// The sender's side of a stream's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendWindow {
    sent: u64,
    acknowledged: u64,
    /// Octets beyond the window that the receiver allows.
    allowance: u64,
    /// The receiver has accepted the whole: it counts no longer.
    open: bool,
}

impl SendWindow {
    /// Counts octets that were handed over.
    pub const fn sent(&mut self, octets: u64) {
        self.sent = self.sent.saturating_add(octets);
    }

    /// Takes an acknowledgement, and what the receiver allows beyond the window from now on. One
    /// that goes back, or beyond what was sent, changes nothing: a stream that was sent again
    /// on another way acknowledges 0.
    pub const fn acknowledge(&mut self, octets: u64, allowance: u64) {
        if octets > self.acknowledged && octets <= self.sent {
            self.acknowledged = octets;
            self.allowance = if allowance > MAX_ALLOWANCE { MAX_ALLOWANCE } else { allowance };
        }
    }

    /// The receiver counts no longer.
    pub const fn lift(&mut self) {
        self.open = true;
    }

    /// Octets that may be sent now.
    pub const fn room(&self) -> u64 {
        if self.open {
            WINDOW
        } else {
            (SENT_AHEAD + self.allowance).saturating_sub(self.sent - self.acknowledged)
        }
    }

    /// Octets sent so far.
    pub const fn total(&self) -> u64 {
        self.sent
    }
}

/// A round trip within which the plain [`WINDOW`] carries 260 MB/s and more. What takes no longer
/// may as well be another task that has its turn of a processor.
const SHORT: Duration = Duration::from_millis(4);

/// How many times as large a window becomes at once, at least and at most.
const GROWTH: (u64, u64) = (2, 8);

/// The part of the time that a reader waits, at least, for a window that is too small.
const WAIT: u32 = 16;

/// How many times what is carried in a round trip a window may be. Growth makes up to twice what
/// was enough, and losses make a round trip seem twice as long.
const EXCESS: u64 = 4;

/// Round trips after which the use of a window is judged, however little was carried.
const JUDGED: u32 = 8;

/// How long the shortest round trip counts. Another way through the network may be longer.
const MEMORY: Duration = Duration::from_secs(10);

/// The receiver's side of a stream's window.
///
/// Tell it what is written and when the reader has nothing left. It tells when to acknowledge, and
/// what to allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    written: u64,
    acknowledged: u64,
    /// Where the sender stops next, unless it has heard of a further acknowledgement. `u64::MAX`
    /// where none is under way.
    stop: u64,
    /// A stream that ends before its first acknowledgement has none.
    pace: Option<Box<Pace>>,
}

impl Default for Receipt {
    fn default() -> Self {
        Self { written: 0, acknowledged: 0, stop: u64::MAX, pace: None }
    }
}

impl Receipt {
    /// Counts octets that were written out; returns the total to acknowledge, if that is due.
    /// `waiting` tells how many octets have come and are not written yet, `now` the time. Most
    /// writes need neither.
    pub fn written(
        &mut self,
        octets: u64,
        waiting: impl FnOnce() -> u64,
        now: impl FnOnce() -> Instant,
    ) -> Option<u64> {
        self.written = self.written.saturating_add(octets);
        let due = self.written - self.acknowledged >= ACKNOWLEDGE;
        if !due && self.written <= self.stop {
            return None;
        }
        let now = now();
        let pace = self.pace.get_or_insert_with(|| Box::new(Pace::new(self.written, now)));
        pace.heard(self.written, now);
        if due {
            self.acknowledged = self.written;
            pace.judge(self.written, waiting(), now);
            pace.tell(self.written, now);
        }
        self.stop = pace.stop();
        due.then_some(self.written)
    }

    /// Says that the reader has taken all there was.
    pub fn starve(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(pace) = &mut self.pace {
            pace.starved = true;
            if self.written == self.stop && pace.stopped.is_none() {
                pace.stopped = Some(now());
            }
        }
    }

    /// Octets beyond the window that the sender should have under way, for the next
    /// acknowledgement.
    pub fn allowance(&self) -> u64 {
        self.pace.as_ref().map_or(0, |pace| pace.allowance)
    }

    /// Octets written so far.
    pub const fn total(&self) -> u64 {
        self.written
    }
}

/// An acknowledgement that the sender may not have heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    /// Where the sender stops until it hears of it, and the allowance that this comes from.
    stop: u64,
    allowance: u64,
    at: Instant,
}

/// What a receiver has seen of a stream's way and of its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pace {
    /// What the reader is worth, and what of it the last acknowledgement told.
    allowance: u64,
    last: u64,
    /// The furthest octet that the sender has been allowed.
    reach: u64,
    /// Acknowledgements under way: no more than a window has.
    told: VecDeque<Told>,
    /// When the reader had nothing left just where the sender stops.
    stopped: Option<Instant>,
    round_trip: Shortest,
    /// Since when it is seen what the window is used for, and how much was written by then.
    since: Instant,
    judged: u64,
    /// How long the reader has waited since then where the sender stopped.
    waited: Duration,
    /// The least that has waited since when it was acknowledged, and whether the reader has had
    /// nothing left.
    least: u64,
    starved: bool,
}

impl Pace {
    fn new(written: u64, now: Instant) -> Self {
        Self {
            allowance: 0,
            last: 0,
            reach: SENT_AHEAD,
            told: VecDeque::new(),
            stopped: None,
            round_trip: Shortest::default(),
            since: now,
            judged: written,
            waited: Duration::ZERO,
            least: u64::MAX,
            // What was before the first acknowledgement is not known.
            starved: true,
        }
    }

    fn window(&self) -> u64 {
        WINDOW + self.allowance
    }

    fn set_window(&mut self, octets: u64) {
        self.allowance =
            (octets.saturating_sub(WINDOW) / ALLOWANCE_UNIT * ALLOWANCE_UNIT).min(MAX_ALLOWANCE);
    }

    fn stop(&self) -> u64 {
        self.told.front().map_or(u64::MAX, |told| told.stop)
    }

    /// Counts an acknowledgement of all octets up to `written`.
    fn tell(&mut self, written: u64, now: Instant) {
        let reach = written + SENT_AHEAD + self.allowance;
        // One that allows no more is not answered by anything.
        if reach > self.reach {
            self.told.push_back(Told { stop: self.reach, allowance: self.last, at: now });
            self.reach = reach;
        }
        self.last = self.allowance;
    }

    /// Octets up to `written` have come: the sender has heard of the acknowledgements that allowed
    /// them.
    fn heard(&mut self, written: u64, now: Instant) {
        let stopped = self.stopped.take();
        let mut heard = None;
        while let Some(told) = self.told.pop_front_if(|told| told.stop < written) {
            self.round_trip.take(now.since(told.at), now);
            // Where it stopped was the first of them.
            heard = heard.or(Some(told));
        }
        let (Some(told), Some(stopped)) = (heard, stopped) else { return };
        if told.allowance == self.allowance {
            self.waited += now.since(stopped);
        }
        let took = now.since(self.since);
        let Some(round_trip) = self.round_trip.get().filter(|round_trip| *round_trip > SHORT)
        else {
            return;
        };
        if self.waited > took.max(round_trip) / WAIT {
            // So many times as much could have come while the reader waited.
            let busy = took.saturating_sub(self.waited).as_micros().max(1);
            let factor = u64::try_from(took.as_micros() / busy).unwrap_or(u64::MAX);
            self.set_window(factor.clamp(GROWTH.0, GROWTH.1) * self.window());
            self.begin(written, now);
        }
    }

    /// From here on it is seen what the window is used for.
    fn begin(&mut self, written: u64, now: Instant) {
        (self.since, self.judged, self.waited) = (now, written, Duration::ZERO);
        (self.least, self.starved) = (u64::MAX, false);
    }

    /// Once a window, or once in several round trips: what is not used of the window is not allowed
    /// any more.
    fn judge(&mut self, written: u64, waiting: u64, now: Instant) {
        self.least = self.least.min(waiting);
        let (octets, took) = (written - self.judged, now.since(self.since));
        let Some(round_trip) = self.round_trip.get() else { return };
        if octets < self.window() && took < round_trip * JUDGED {
            return;
        }
        let carried = u128::from(octets) * round_trip.as_micros() / took.as_micros().max(1);
        let used = u64::try_from(carried).unwrap_or(u64::MAX).saturating_mul(EXCESS);
        if round_trip <= SHORT {
            self.set_window(WINDOW);
        } else if used < self.window() {
            // A sender that pauses may soon go on as before. A reader for which much waits has
            // stood still.
            let least = if waiting < WINDOW { self.window() / 2 } else { 0 };
            self.set_window(used.max(least));
        } else if !self.starved && self.least >= WINDOW {
            // Half of what has waited all the time is left: without it the reader would still have
            // enough.
            self.set_window(self.window() - self.least.min(self.window()) / 2);
        }
        self.begin(written, now);
    }
}

/// The shortest of the round trips of late, which is the way without what waits in queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shortest {
    current: Option<Duration>,
    former: Option<Duration>,
    since: Instant,
}

impl Shortest {
    fn take(&mut self, took: Duration, now: Instant) {
        if now.since(self.since) >= MEMORY {
            (self.former, self.current, self.since) = (self.current, None, now);
        }
        self.current = Some(self.current.map_or(took, |current| current.min(took)));
    }

    fn get(&self) -> Option<Duration> {
        self.current.into_iter().chain(self.former).min()
    }
}

#[cfg(test)]
mod tests;
