//! The pauses of a connector before it tries again.

use std::time::Duration;

use super::trouble::LinkTrouble;
use crate::net::finished::Finished;

/// The pause after the first failure. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The shortest pause after the peer closed a connection with an error: it would close the next one
/// for the same reason. Deliveries that were under way fail before another way is found. A C router
/// pauses as long.
const REFUSED_PAUSE: Duration = Duration::from_secs(2);

/// Returns the shortest pause after a connection that ended so.
pub(super) fn least_pause(result: &Result<Finished, LinkTrouble>) -> Duration {
    if result.as_ref().is_ok_and(Finished::is_refused) { REFUSED_PAUSE } else { Duration::ZERO }
}

/// Returns the pause after so many failures in a row. It is spread, so that many routers do not
/// come back at once.
pub(super) fn pause(failures: u64) -> Duration {
    if failures == 0 {
        return FIRST_PAUSE / 4;
    }
    let doublings = u32::try_from(failures - 1).unwrap_or(u32::MAX).min(16);
    FIRST_PAUSE
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE)
        .mul_f64(0.75 + fastrand::f64() / 2.0)
}
