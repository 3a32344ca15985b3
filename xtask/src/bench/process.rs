//! What processes take and who else is there: CPU time, peak memory, load.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::shell::say;

/// Runs both, the one first in every other repetition and the other first in
/// the rest: what the first does to the machine falls on both alike.
///
/// # Errors
/// Those of the two.
pub fn in_turns<A, B>(
    repetition: u32,
    one: impl FnOnce() -> Result<A>,
    other: impl FnOnce() -> Result<B>,
) -> Result<(A, B)> {
    if repetition.is_multiple_of(2) {
        let one = one()?;
        Ok((one, other()?))
    } else {
        let other = other()?;
        Ok((one()?, other))
    }
}

/// CPU time and state of a process, from `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stat {
    /// Ended, but not waited for: its times are final.
    pub zombie: bool,
    /// Seconds in user mode and in the kernel, all threads, in steps of the
    /// clock tick (10 ms as a rule).
    pub cpu: f64,
}

/// Reads the state of process `pid`.
///
/// # Errors
/// When there is no such process or the file is not as expected.
pub fn stat(pid: u32) -> Result<Stat> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse_stat(&text, ticks()).with_context(|| format!("{path} is not as expected: {text}"))
}

/// Clock ticks a second.
fn ticks() -> f64 {
    // SAFETY: sysconf has no preconditions.
    (unsafe { libc::sysconf(libc::_SC_CLK_TCK) }) as f64
}

fn parse_stat(text: &str, ticks: f64) -> Option<Stat> {
    // The name in parentheses may hold anything, spaces and parentheses too.
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let user: f64 = fields.get(11)?.parse().ok()?;
    let system: f64 = fields.get(12)?.parse().ok()?;
    Some(Stat { zombie: fields.first() == Some(&"Z"), cpu: (user + system) / ticks })
}

/// A line's value in `/proc/PID/status`; none when there is no such line, as
/// there is no memory for a process that has ended.
pub fn status(pid: u32, key: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Whether the process has a fanotify group with at least one mark.
pub fn has_fanotify_mark(pid: u32) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return false };
    entries
        .flatten()
        .any(|entry| fs::read_to_string(entry.path()).is_ok_and(|text| is_marked(&text)))
}

/// `/proc/PID/fdinfo/FD` of a fanotify group has a line for each mark beside
/// the one with the group's own flags.
fn is_marked(fdinfo: &str) -> bool {
    let marks = ["fanotify ino:", "fanotify mnt_id:", "fanotify sdev:"];
    fdinfo.lines().any(|line| marks.iter().any(|mark| line.starts_with(mark)))
}

/// Observers of file access or system calls that run beside ours, as `NAME
/// (PID)`; `own` are not counted.
pub fn other_observers(own: &[u32]) -> Vec<String> {
    const KNOWN: [&str; 7] =
        ["profiler", "bpftrace", "opensnoop.bt", "strace", "fatrace", "perf", "opensnoop-bpfcc"];
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            // The program and not `comm`, which names threads and scripts.
            let program = fs::read_link(entry.path().join("exe")).ok()?;
            let name = Path::new(&program).file_name()?.to_str()?;
            // Built anew since it was started.
            let name = name.trim_end_matches(" (deleted)");
            (KNOWN.contains(&name) && !own.contains(&pid)).then(|| format!("{name} ({pid})"))
        })
        .collect()
}

/// Says so when the machine is busy with other things.
pub fn warn_of_load() {
    // Programs that ran or waited for a processor in the last minute, on
    // average; proc_loadavg(5).
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Option<f64> = text.split(' ').next().and_then(|load| load.parse().ok());
    if let Some(load) = load.filter(|&load| load > 1.0) {
        say(format!(
            "warning: others use the processors (load {load}); that costs most whoever computes \
             most, and not in the same share"
        ));
    }
}

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// From start to end.
    pub seconds: f64,
    /// Of the processor, user mode and kernel, with the children it waited for.
    pub cpu: f64,
    /// Without the children, in steps of the clock tick.
    pub own_cpu: f64,
    /// Most memory at one time, its own or a child's, KiB.
    pub peak_kib: u64,
}

/// Runs a program to its end; wait4(2) and /proc tell what it used.
///
/// # Errors
/// When it cannot be started, or fails.
pub fn measured(run: &mut Command) -> Result<Usage> {
    let start = Instant::now();
    let child = run.stdin(Stdio::null()).spawn().context("cannot start a program")?;
    let (number, pid) = (child.id(), child.id().cast_signed());
    // It ends here and stays for /proc to tell of, until it is waited for.
    // SAFETY: all zeros is a valid `siginfo_t`.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: the place outlives the call.
    let ended =
        unsafe { libc::waitid(libc::P_PID, number, &raw mut info, libc::WEXITED | libc::WNOWAIT) };
    let seconds = start.elapsed().as_secs_f64();
    let own = stat(number);
    let mut status = 0;
    // SAFETY: all zeros is a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both places outlive the call, and the process is a child that
    // nobody has waited for.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    if ended != 0 || waited != pid {
        bail!("cannot wait for a program: {}", std::io::Error::last_os_error());
    }
    let status = ExitStatus::from_raw(status);
    ensure!(status.success(), "{run:?} failed: {status}");
    let time = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(Usage {
        seconds,
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        own_cpu: own?.cpu,
        peak_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 9 9 20 0 1 0 5 1 1 1\n";
        assert_eq!(parse_stat(text, 100.0), Some(Stat { zombie: false, cpu: 2.0 }));
        assert_eq!(parse_stat("7 (x) Z", 100.0), None);
    }

    #[test]
    fn this_process_has_memory_and_no_fanotify_mark() {
        let pid = std::process::id();
        assert!(status(pid, "VmHWM").unwrap() > 100);
        assert!(!stat(pid).unwrap().zombie);
        assert!(!has_fanotify_mark(pid));
    }

    #[test]
    fn a_mark_is_told_from_a_group_without() {
        let group = "pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t21\nfanotify flags:10 event-flags:0\n";
        assert!(!is_marked(group));
        assert!(is_marked(&format!("{group}fanotify mnt_id:1f mflags:0 mask:3b ignored_mask:0\n")));
    }

    #[test]
    fn a_run_tells_what_it_took_and_a_failure_is_an_error() {
        let loops = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let own = measured(Command::new("sh").args(["-c", loops])).unwrap();
        assert!(own.peak_kib > 100 && own.seconds > 0.0 && own.own_cpu > 0.0);
        // A shell with two commands waits for a child.
        let nested = format!("sh -c '{loops}'; true");
        let child = measured(Command::new("sh").args(["-c", &nested])).unwrap();
        assert!(child.cpu > 0.0 && child.own_cpu < own.own_cpu, "{child:?} {own:?}");
        assert!(measured(Command::new("sh").args(["-c", "exit 3"])).is_err());
    }
}
