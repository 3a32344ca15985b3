//! From the kernel's clock to calendar time.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Two clocks read at the same moment.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Clock {
    /// Nanoseconds since boot, time spent suspended included
    /// (`CLOCK_BOOTTIME`).
    boot: u64,
    wall: Timestamp,
}

impl Clock {
    /// Reads them.
    pub fn now() -> Self {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes one timespec to a place of our own. It cannot fail:
        // every kernel that runs the programs has the clock.
        unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
        let boot = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
        Self { boot, wall: Timestamp::now() }
    }

    /// Milliseconds from the reading to `time`, in nanoseconds since boot.
    /// Zero for what was before, the greatest number for what is more than
    /// seven weeks later.
    pub fn millis(&self, time: u64) -> u32 {
        u32::try_from(time.saturating_sub(self.boot) / 1_000_000).unwrap_or(u32::MAX)
    }

    /// The calendar time of [`millis`](Self::millis): RFC 3339, UTC, always
    /// with three places, so that texts compare as times do.
    pub fn text(&self, millis: u32) -> String {
        let time = self
            .wall
            .checked_add(SignedDuration::from_millis(millis.into()))
            .unwrap_or(Timestamp::MAX);
        format!("{time:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_since_boot_become_calendar_times() {
        let clock = Clock { boot: 5_000_000_000, wall: "2030-01-02T03:04:05Z".parse().unwrap() };
        assert_eq!(clock.millis(0), 0);
        assert_eq!(clock.millis(6_234_999_999), 1234);
        assert_eq!(clock.millis(u64::MAX), u32::MAX);
        assert_eq!(clock.text(0), "2030-01-02T03:04:05.000Z");
        assert_eq!(clock.text(1234), "2030-01-02T03:04:06.234Z");
        assert!(Clock::now().millis(Clock::now().boot + 2_000_000_000) >= 2000);
    }
}
