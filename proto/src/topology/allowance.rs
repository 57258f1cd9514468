//! The cost that a neighbor's requests may cause.

use core::time::Duration;

use crate::time::Instant;

/// The bytes of answers (LSU and whole MAU) to the requests that come by one neighbor, a second.
///
/// A request of 250 bytes may ask for an answer of 8 MiB. With this limit, a hundred routers that
/// restart behind one neighbor learn of a thousand services in two seconds. A hostile neighbor
/// takes a hundredth of a processor. Routers of ours repeat an unanswered request after a second, C
/// routers at the next RA.
pub(crate) const ANSWERS: u64 = 4 * 1024 * 1024;

/// Bytes that are allowed at once, and again after one second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// From then on everything is allowed again.
    full_at: Instant,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { full_at: Instant::ZERO }
    }
}

impl Allowance {
    /// Takes an answer of `octets` bytes. Returns whether it may go. One may go beyond what is
    /// left, so none is too large for ever; those behind it wait the longer.
    pub(super) fn take(&mut self, octets: usize, now: Instant) -> bool {
        let full_at = self.full_at.max(now);
        if full_at >= now + Duration::from_secs(1) {
            return false;
        }
        let nanoseconds = (octets as u64).saturating_mul(1_000_000_000) / ANSWERS;
        self.full_at = full_at + Duration::from_nanos(nanoseconds);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_allows_what_the_constant_says() {
        let mut allowance = Allowance::default();
        let mut sent = 0;
        for ms in 0..10_000 {
            let now = Instant::from_millis(50_000 + ms);
            while allowance.take(1000, now) {
                sent += 1000;
            }
        }
        let rate = ANSWERS * 11;
        assert!(sent <= rate + rate / 100 && sent > rate - rate / 100, "{sent}");
    }

    #[test]
    fn a_large_answer_goes_and_is_waited_for_afterwards() {
        let mut allowance = Allowance::default();
        let at = |ms: u64| Instant::from_millis(50_000 + ms);
        assert!(allowance.take(8 * 1024 * 1024, at(0)));
        assert!(!allowance.take(1, at(999)));
        assert!(allowance.take(1, at(1001)));
    }
}
