//! The one place where the clock of the state machines is read.

use std::time::Duration;

use skupper_proto::time::Instant;
use tokio::time::Instant as SystemInstant;

/// Monotonic time since a start, as the state machines count it. In a runtime whose time is paused
/// it is that runtime's.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: SystemInstant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: SystemInstant::now() }
    }

    /// The time now.
    pub fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The runtime's form of an instant, for its timers. Rounded up: a timer that fires early fires
    /// twice.
    pub fn at(&self, instant: Instant) -> SystemInstant {
        self.start + Duration::from_micros(instant.as_micros())
    }

    /// Time since the start.
    pub fn uptime(&self) -> Duration {
        self.start.elapsed()
    }
}
