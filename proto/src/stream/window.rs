//! A stream's window of bytes, as its sender and its receiver keep it.
//!
//! The receiver judges the window by its own acknowledgements. A sender that has used up the window
//! stops at a byte that the receiver knows. The byte behind it comes a round trip after the
//! acknowledgement that allows it. So the receiver measures the round trip, and sees whether its
//! reader waited. If it did, a larger window carries more. In a short round trip the plain window
//! carries all that a router can, so it stays. There a kernel's buffers may have taken the bytes,
//! which shows nothing of the peer's speed.
//!
//! The receiver's window:
//!
//! ```text
//!      +---------+   the reader waited for a sixteenth of the     +--------+
//!   -->|  Plain  |   time, and the round trip is not short        | Larger |--+
//!      | WINDOW  |----------------------------------------------->| up to  |  | grows 2 to 8 fold
//!      |         |<-----------------------------------------------| 17 MiB |<-+ each time
//!      +---------+   the round trip is short, or the reader       +--------+
//!                    stood still                                   |    ^  shrinks: to 4 times
//!                                                                  +----+  what is carried, or by
//!                                                                          half of what waits
//! ```

use core::time::Duration;
use std::collections::VecDeque;

use crate::time::Instant;

/// The bytes that may be unacknowledged on one stream: twice the bytes that a C router acknowledges
/// at once.
pub const WINDOW: u64 = 2 * 521_216;

/// The bytes that a C router writes in one step. It acknowledges after the step in which it has
/// written 521,216 bytes or more. It acknowledges a second time in a window only if the sender goes
/// two steps beyond. Otherwise a long path carries half of what the window allows.
const STEP: u64 = 16 * 4072;

/// The bytes that a sender has under way when the receiver allows no more than the window.
const SENT_AHEAD: u64 = WINDOW + 2 * STEP;
const _: () = assert!(SENT_AHEAD as usize <= MAX_HELD);

/// The bytes that a receiver writes before it acknowledges. A C router waits for 521,216; half of
/// that keeps a sender moving that is a few milliseconds away.
pub const ACKNOWLEDGE: u64 = 260_608;

/// The most bytes of one stream that a router holds: the window, the 8 buffers of 4072 bytes that a
/// C router's sender may have read beyond it, and more than a sender of ours goes beyond it.
pub const MAX_HELD: usize = WINDOW as usize + 8 * 4072 + 256 * 1024;

/// The unit of a receiver's allowance, in bytes.
pub const ALLOWANCE_UNIT: u64 = 64 * 1024;

/// The most bytes beyond [`WINDOW`] that a receiver allows. With it a stream moves 87 MB/s at a
/// round trip of 200 ms. Twice as much lets one reader that stops leave twice as much in a router.
pub const MAX_ALLOWANCE: u64 = 16 * 1024 * 1024;

/// The sender's side of a stream's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendWindow {
    sent: u64,
    acknowledged: u64,
    /// The bytes beyond the window that the receiver allows.
    allowance: u64,
    /// The receiver has accepted the whole stream, and counts no more.
    open: bool,
}

impl SendWindow {
    /// Counts bytes that were handed over.
    pub const fn sent(&mut self, octets: u64) {
        self.sent = self.sent.saturating_add(octets);
    }

    /// Takes an acknowledgement, and the bytes that the receiver allows beyond the window. An
    /// acknowledgement that goes back, or beyond what was sent, changes nothing: a stream that was
    /// sent again on another path acknowledges 0.
    pub const fn acknowledge(&mut self, octets: u64, allowance: u64) {
        if octets > self.acknowledged && octets <= self.sent {
            self.acknowledged = octets;
            self.allowance = if allowance > MAX_ALLOWANCE { MAX_ALLOWANCE } else { allowance };
        }
    }

    /// Notes that the receiver counts no more.
    pub const fn lift(&mut self) {
        self.open = true;
    }

    /// Returns how many bytes may be sent.
    pub const fn room(&self) -> u64 {
        if self.open {
            WINDOW
        } else {
            (SENT_AHEAD + self.allowance).saturating_sub(self.sent - self.acknowledged)
        }
    }

    /// Returns how many bytes were sent so far.
    pub const fn total(&self) -> u64 {
        self.sent
    }
}

/// A round trip within which the plain [`WINDOW`] carries 260 MB/s and more. A turn of another task
/// on the processor may take as long.
const SHORT: Duration = Duration::from_millis(4);

/// The factor by which a window grows at once: the least and the most.
const GROWTH: (u64, u64) = (2, 8);

/// The part of the time that a reader waits, at least, for a window that is too small.
const WAIT: u32 = 16;

/// How many times the bytes of a round trip a window may be. Growth makes up to twice what was
/// enough, and losses make a round trip seem twice as long.
const EXCESS: u64 = 4;

/// The round trips after which the receiver judges the use of the window, however little was
/// carried.
const JUDGED: u32 = 8;

/// How long the shortest round trip counts. The network may choose a longer path.
const MEMORY: Duration = Duration::from_secs(10);

/// The receiver's side of a stream's window.
///
/// Tell it when bytes are written and when the reader has nothing left. It tells when to
/// acknowledge, and what to allow.
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
    /// Counts bytes that were written out. Returns the total to acknowledge, if that is due.
    /// `waiting` returns how many bytes have come and are not written yet, `now` the time; most
    /// writes call neither.
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

    /// Notes that the reader has taken all there was.
    pub fn starve(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(pace) = &mut self.pace {
            pace.starved = true;
            if self.written == self.stop && pace.stopped.is_none() {
                pace.stopped = Some(now());
            }
        }
    }

    /// Returns how many bytes beyond the window the next acknowledgement allows.
    pub fn allowance(&self) -> u64 {
        self.pace.as_ref().map_or(0, |pace| pace.allowance)
    }

    /// Returns how many bytes were written so far.
    pub const fn total(&self) -> u64 {
        self.written
    }
}

/// An acknowledgement that the sender may not have heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    /// Where the sender stops until it hears of this one, and the allowance that this stop comes
    /// from.
    stop: u64,
    allowance: u64,
    at: Instant,
}

/// The receiver's measurements of a stream's path and of its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pace {
    /// The allowance that the reader can use, and the one that the last acknowledgement told.
    allowance: u64,
    last: u64,
    /// The furthest byte that the sender has been allowed.
    reach: u64,
    /// The acknowledgements under way: no more than a window has.
    told: VecDeque<Told>,
    /// When the reader had nothing left just where the sender stops.
    stopped: Option<Instant>,
    round_trip: Shortest,
    /// The start of the present measurement, and how much was written by then.
    since: Instant,
    judged: u64,
    /// How long the reader has waited since then where the sender stopped.
    waited: Duration,
    /// The least that has waited since then at an acknowledgement, and whether the reader has had
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
            // The time before the first acknowledgement is not known.
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

    /// Counts an acknowledgement of all bytes up to `written`.
    fn tell(&mut self, written: u64, now: Instant) {
        let reach = written + SENT_AHEAD + self.allowance;
        // The sender answers nothing to one that allows no more.
        if reach > self.reach {
            self.told.push_back(Told { stop: self.reach, allowance: self.last, at: now });
            self.reach = reach;
        }
        self.last = self.allowance;
    }

    /// Notes that bytes up to `written` have come: the sender has heard of the acknowledgements
    /// that allowed them.
    fn heard(&mut self, written: u64, now: Instant) {
        let stopped = self.stopped.take();
        let mut heard = None;
        while let Some(told) = self.told.pop_front_if(|told| told.stop < written) {
            self.round_trip.take(now.since(told.at), now);
            // The sender stopped at the first of them.
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
            // By this factor more could have come while the reader waited.
            let busy = took.saturating_sub(self.waited).as_micros().max(1);
            let factor = u64::try_from(took.as_micros() / busy).unwrap_or(u64::MAX);
            self.set_window(factor.clamp(GROWTH.0, GROWTH.1) * self.window());
            self.begin(written, now);
        }
    }

    /// Begins to measure the use of the window.
    fn begin(&mut self, written: u64, now: Instant) {
        (self.since, self.judged, self.waited) = (now, written, Duration::ZERO);
        (self.least, self.starved) = (u64::MAX, false);
    }

    /// Judges the window, once a window or once in several round trips: takes back what the reader
    /// does not use.
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
            // Half of the bytes that waited all the time stay: the reader has enough without the
            // others.
            self.set_window(self.window() - self.least.min(self.window()) / 2);
        }
        self.begin(written, now);
    }
}

/// The shortest of the recent round trips: the path without its queues.
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
