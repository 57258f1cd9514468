//! Reads the clock for the state machines. No other room does.

use std::time::Duration;

use skupper_proto::time::Instant;
use tokio::time::Instant as SystemInstant;

/// Monotonic time since a start, in the unit of the state machines. In a runtime with paused time
/// it is the runtime's time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: SystemInstant,
}

impl Clock {
    /// Starts a clock at zero.
    pub fn start() -> Self {
        Self { start: SystemInstant::now() }
    }

    /// Returns the current time.
    pub fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Returns the runtime's form of an instant, for a timer. At that time [`now`](Self::now) has
    /// reached `instant`, so a timer does not fire twice.
    pub fn at(&self, instant: Instant) -> SystemInstant {
        self.start + Duration::from_micros(instant.as_micros())
    }

    /// Returns the time since the start.
    pub fn uptime(&self) -> Duration {
        self.start.elapsed()
    }
}
