//! The two windows of a session, counted in transfers (part 2.5.6).
//!
//! The *incoming window* bounds the transfers that this end takes before it tells the peer that it
//! takes more. This end renews it when half of it is used. The *outgoing window* bounds the
//! transfers that the peer takes.

use core::time::Duration;

use super::serial::ahead;
use crate::time::Instant;

/// A window that is used up sooner than this is doubled.
const QUICK: Duration = Duration::from_millis(500);

/// A window that lasts longer than this is halved. So a window holds no more than what the peer
/// sends in about a second.
const SLOW: Duration = Duration::from_secs(1);

/// The least and the most transfers of a window that follows the peer's rate.
pub(super) type WindowLimits = (u32, u32);

/// The transfers that this end takes from the peer.
#[derive(Debug)]
pub(super) struct IncomingWindow {
    /// The window is renewed to this.
    size: u32,
    left: u32,
    /// When the window was renewed the last time, and the time before.
    renewed: (Instant, Instant),
    /// The application has enough: the window is left to close.
    held: bool,
    /// The number of the peer's next transfer.
    pub(super) next_id: u32,
}

impl IncomingWindow {
    /// Makes a window that is whole.
    pub(super) fn new(size: u32) -> Self {
        Self { size, left: size, renewed: Default::default(), held: false, next_id: 0 }
    }

    /// Returns how many transfers the window takes when it is whole.
    pub(super) const fn size(&self) -> u32 {
        self.size
    }

    /// Returns how many transfers the peer may still send.
    pub(super) const fn left(&self) -> u32 {
        self.left
    }

    /// Counts a transfer. Returns false if the peer had no right to send it.
    pub(super) const fn take(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.next_id = self.next_id.wrapping_add(1);
        true
    }

    /// Renews the window if half of it is used and the application does not hold it. Returns
    /// whether the peer is to be told. With limits, the window follows the peer's rate.
    pub(super) fn renew(&mut self, limits: Option<WindowLimits>, now: Instant) -> bool {
        let renews = !self.held && self.is_half_used();
        if renews {
            self.adapt(limits, now);
            self.left = self.size;
        }
        renews
    }

    /// Gives the window another size, and makes it whole.
    pub(super) const fn resize(&mut self, size: u32) {
        self.size = size;
        self.left = size;
    }

    /// Lets the window close, or opens it again. Returns whether the peer is to be told.
    pub(super) const fn hold(&mut self, hold: bool) -> bool {
        self.held = hold;
        let renews = !hold && self.is_half_used();
        if renews {
            self.left = self.size;
        }
        renews
    }

    const fn is_half_used(&self) -> bool {
        self.left <= self.size / 2
    }

    /// Makes the window what the peer sends in about a second, within the limits.
    fn adapt(&mut self, limits: Option<WindowLimits>, now: Instant) {
        let Some((least, most)) = limits else { return };
        let whole = now.since(self.renewed.0);
        self.renewed = (self.renewed.1, now);
        if whole < QUICK {
            self.size = self.size.saturating_mul(2).min(most);
        } else if whole > SLOW {
            self.size = (self.size / 2).max(least);
        }
    }
}

/// The transfers that the peer takes from this end.
#[derive(Debug)]
pub(super) struct OutgoingWindow {
    left: u32,
    /// The window in the peer's begin: as much as it takes when it holds nothing.
    whole: u32,
    /// The window is closed and a sender waits for it.
    blocked: bool,
    /// The number of the next transfer.
    next_id: u32,
    /// The peer was asked what it holds. Its answer counts from this transfer on.
    asked: Option<u32>,
}

impl OutgoingWindow {
    /// Makes the window of a peer that has not begun the session.
    pub(super) const fn new() -> Self {
        Self { left: 0, whole: 0, blocked: false, next_id: 0, asked: None }
    }

    /// Takes over the window from the peer's begin.
    pub(super) const fn begin(&mut self, window: u32) {
        self.left = window;
        self.whole = window;
    }

    /// Returns how many transfers may still be sent.
    pub(super) const fn left(&self) -> u32 {
        self.left
    }

    /// Returns the number of the next transfer.
    pub(super) const fn next_id(&self) -> u32 {
        self.next_id
    }

    /// Counts a transfer that is about to be sent. Returns false if the window is closed, and then
    /// remembers that a sender waits.
    pub(super) const fn take(&mut self) -> bool {
        if self.left == 0 {
            self.blocked = true;
            return false;
        }
        self.left -= 1;
        self.next_id = self.next_id.wrapping_add(1);
        true
    }

    /// Takes over the window from a flow. Transfers that the peer had not seen take their place in
    /// it. Returns whether the window was opened for a sender that waits.
    pub(super) const fn update(&mut self, next_incoming_id: Option<u32>, window: u32) -> bool {
        let seen = match next_incoming_id {
            Some(id) => id,
            None => 0,
        };
        self.left = window.saturating_sub(ahead(self.next_id, seen));
        let reopened = self.blocked && self.left > 0;
        self.blocked = self.blocked && !reopened;
        reopened
    }

    /// Whether the peer was asked what it holds and has not answered.
    pub(super) const fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Notes that the transfer that was sent last asks the peer what it holds.
    pub(super) const fn ask(&mut self) {
        self.asked = Some(self.next_id);
    }

    /// Returns how many transfers the peer holds, if this flow answers the question.
    pub(super) fn answer(&mut self, next_incoming_id: Option<u32>, window: u32) -> Option<u32> {
        let seen = |asked: &mut u32| next_incoming_id.is_some_and(|next| ahead(*asked, next) == 0);
        self.asked.take_if(seen).map(|_| self.whole.saturating_sub(window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses up half of a window, and renews it then.
    fn use_half(window: &mut IncomingWindow, limits: Option<WindowLimits>, now: Instant) -> bool {
        (0..window.size() / 2).for_each(|_| assert!(window.take()));
        window.renew(limits, now)
    }

    #[test]
    fn a_window_is_renewed_once_half_of_it_is_used() {
        let mut window = IncomingWindow::new(4);
        assert!(window.take() && !window.renew(None, Instant::ZERO));
        assert!(window.take() && window.renew(None, Instant::ZERO));
        assert_eq!((window.left(), window.next_id), (4, 2));
    }

    #[test]
    fn a_window_that_is_held_closes() {
        let mut window = IncomingWindow::new(2);
        assert!(!window.hold(true));
        assert!(window.take() && !window.renew(None, Instant::ZERO));
        assert!(window.take() && !window.take());
        assert!(window.hold(false));
        assert_eq!(window.left(), 2);
    }

    #[test]
    fn a_window_follows_the_rate_within_its_limits() {
        let mut window = IncomingWindow::new(8);
        let (limits, mut now) = (Some((4, 16)), Instant::from_millis(10_000));
        let mut pause = |window: &mut IncomingWindow, millis| {
            now += Duration::from_millis(millis);
            assert!(use_half(window, limits, now));
            window.size()
        };
        for _ in 0..4 {
            pause(&mut window, 100);
        }
        assert_eq!(pause(&mut window, 100), 16, "quick");
        assert_eq!(pause(&mut window, 600), 16, "between quick and slow");
        for _ in 0..4 {
            pause(&mut window, 1000);
        }
        assert_eq!(pause(&mut window, 1000), 4, "slow");
    }

    #[test]
    fn a_sender_waits_for_a_closed_window_only_once() {
        let mut window = OutgoingWindow::new();
        window.begin(1);
        assert!(window.take() && !window.take());
        assert!(!window.update(Some(0), 1), "the transfer that is under way takes its place");
        assert!(window.update(Some(1), 1));
        assert!(!window.update(Some(1), 2), "no sender waits");
    }

    #[test]
    fn an_answer_counts_once_the_peer_has_seen_the_question() {
        let mut window = OutgoingWindow::new();
        window.begin(10);
        assert!(window.take());
        window.ask();
        assert!(window.is_asked());
        assert_eq!(window.answer(Some(0), 4), None);
        assert_eq!(window.answer(None, 4), None);
        assert_eq!(window.answer(Some(1), 4), Some(6));
        assert_eq!(window.answer(Some(1), 4), None);
    }
}
