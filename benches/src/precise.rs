//! A timer that is not rounded to milliseconds, as the runtime's is: open-loop requests are due at
//! microseconds.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// One timer of the kernel.
#[derive(Debug)]
pub(crate) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// Makes one on the current runtime.
    pub(crate) fn new() -> io::Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        #[expect(
            deprecated,
            reason = "its successor is `unsafe` to demand a descriptor that stays open and the \
                      same: an `OwnedFd` does"
        )]
        let registered = AsyncFd::new(timer)?;
        Ok(Self(registered))
    }

    /// Waits until `due`, at most a day; returns at once if that has passed.
    pub(crate) async fn until(&self, due: Instant) -> io::Result<()> {
        const DAY: Duration = Duration::from_secs(86_400);
        let wait = due.saturating_duration_since(Instant::now()).min(DAY);
        if wait.is_zero() {
            return Ok(());
        }
        let it_value = Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: i64::from(wait.subsec_nanos()) as _,
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(
            self.0.get_ref(),
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval, it_value },
        )?;
        loop {
            let mut ready = self.0.readable().await?;
            match ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut [0u8; 8])?)) {
                Ok(read) => return read.map(|_| ()),
                Err(_) => continue,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_never_early_and_can_be_used_again() {
        let timer = Timer::new().expect("a timer");
        for micros in [0, 1, 300, 2500, 50] {
            let due = Instant::now() + Duration::from_micros(micros);
            timer.until(due).await.expect("a timer that works");
            assert!(Instant::now() >= due, "{micros} us");
        }
    }
}
