//! What /proc tells of processes: CPU time, peak memory, who else observes.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

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
}
