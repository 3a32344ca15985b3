//! Loops of one operation, timed: what an observer adds to each turn. They
//! are no cases: nothing about them is compared with a table.

use std::ffi::CStr;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::sys::{self, call};

/// What every container made by `cases prepare` has.
const FILE: &CStr = c"/bin/cases";

/// Turns before the clock starts, one in so many of those that count: they
/// bring code and names into the caches, and let an observer see what it has
/// not seen before.
const WARM_UP: u64 = 20;

/// What a turn does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loop {
    /// getppid, which has nothing to do with files.
    Getppid,
    /// openat of the program's own file, to read, and close.
    Open,
}

impl FromStr for Loop {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "getppid" => Ok(Self::Getppid),
            "open" => Ok(Self::Open),
            _ => Err(format!("no such loop: {name:?}; there are getppid and open")),
        }
    }
}

/// Nanoseconds a turn, over `turns` of them, by the monotonic clock.
///
/// # Errors
/// When there are no turns, or the file of [`Loop::Open`] cannot be opened.
pub fn time(what: Loop, turns: u64) -> Result<f64> {
    ensure!(turns > 0, "a loop needs at least one turn");
    match what {
        Loop::Getppid => timed(turns, || {
            call!(SYS_getppid)?;
            Ok(())
        }),
        Loop::Open => timed(turns, || Ok(sys::read(FILE)?)),
    }
}

fn timed(turns: u64, once: impl Fn() -> Result<()>) -> Result<f64> {
    for _ in 0..turns.div_ceil(WARM_UP) {
        once()?;
    }
    let start = Instant::now();
    for _ in 0..turns {
        once()?;
    }
    Ok(start.elapsed().as_nanos() as f64 / turns as f64)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_is_a_turns_and_the_warm_up_is_not_in_it() {
        let warm_up = Duration::from_millis(100);
        let done = Cell::new(0);
        let start = Instant::now();
        let nanoseconds = timed(40, || {
            // Only the first one, which is a warm-up.
            sleep(if done.get() == 0 { warm_up } else { Duration::from_millis(1) });
            done.set(done.get() + 1);
            Ok(())
        })
        .unwrap();
        // Whatever else the machine does meanwhile.
        let most = start.elapsed().saturating_sub(warm_up).as_nanos() as f64 / 40.0;
        assert_eq!(done.get(), 42);
        assert!((1e6..=most).contains(&nanoseconds), "{nanoseconds} of {most}");
    }

    #[test]
    fn what_cannot_be_done_is_an_error() {
        assert!(timed(3, || anyhow::bail!("absent")).is_err());
        assert!(time(Loop::Getppid, 0).is_err());
        assert!(time(Loop::Getppid, 10).unwrap() > 0.0);
        assert!("stat".parse::<Loop>().unwrap_err().contains("getppid and open"));
    }
}
