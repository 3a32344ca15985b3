//! What a running container already has open or mapped, from /proc.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use procfs::process::{FDTarget, MMapPath, Process, all_processes};

use crate::capture::Touch;
use crate::profile::{BytePath, Kind};

/// Touches of every process in the mount namespace of `pid`. Processes that
/// end meanwhile are left out. Nothing where that is this program's own mount
/// namespace: the files are the host's, whatever the number is said to be.
pub fn of(pid: i32) -> Vec<Touch> {
    let Some(namespace) = namespace(pid) else { return Vec::new() };
    if !is_contained(pid) {
        log::warn!("process {pid} lives in the host's mount namespace: nothing of it is recorded");
        return Vec::new();
    }
    touches_in(&namespace)
}

/// Whether a process is there and has a mount namespace other than this
/// program's and the first process's.
pub fn is_contained(pid: i32) -> bool {
    let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    link(&pid.to_string())
        .is_some_and(|own| Some(&own) != link("self").as_ref() && Some(&own) != link("1").as_ref())
}

fn touches_in(namespace: &Path) -> Vec<Touch> {
    let Ok(processes) = all_processes() else { return Vec::new() };
    let mut touches = Vec::new();
    for process in processes.flatten() {
        if namespace_of(&process).as_deref() == Some(namespace) {
            process_touches(&process, &mut touches);
        }
    }
    touches
}

/// Identity of a process's mount namespace.
fn namespace(pid: i32) -> Option<PathBuf> {
    namespace_of(&Process::new(pid).ok()?)
}

fn namespace_of(process: &Process) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{}/ns/mnt", process.pid())).ok()
}

fn process_touches(process: &Process, touches: &mut Vec<Touch>) {
    let Ok(stat) = process.stat() else { return };
    let mounts = Mounts::of(process);
    let mut seen = HashSet::new();
    let mut add = |path: &Path, kind: Kind| {
        let bytes = unescape(path.as_os_str().as_bytes());
        // The kernel marks files that were unlinked; their name may be
        // another file's by now.
        if !bytes.starts_with(b"/") || bytes.ends_with(b" (deleted)") || !mounts.in_rootfs(&bytes) {
            return;
        }
        if seen.insert((bytes.clone(), kind)) {
            touches.push(Touch {
                cgroup: 0,
                dev: 0,
                pid: process.pid() as u32,
                comm: stat.comm.clone(),
                kind,
                path: Some(BytePath(bytes)),
                name: None,
                written: false,
                missing: false,
                foreign_exe: false,
                cut: false,
                time: 0,
                ino: 0,
                exe_ino: 0,
            });
        }
    };
    if let Ok(exe) = process.exe() {
        add(&exe, Kind::Exec);
    }
    for map in process.maps().into_iter().flatten() {
        if let MMapPath::Path(path) = &map.pathname {
            add(path, Kind::Mmap);
        }
    }
    for fd in process.fd().into_iter().flatten().flatten() {
        if let FDTarget::Path(path) = &fd.target {
            add(path, Kind::Open);
        }
    }
    for directory in [process.cwd(), process.root()].into_iter().flatten() {
        add(&directory, Kind::Stat);
    }
}

/// Where other filesystems are mounted over the rootfs.
struct Mounts(Vec<Vec<u8>>);

impl Mounts {
    fn of(process: &Process) -> Self {
        let mounts = process.mountinfo().into_iter().flatten();
        Self(
            mounts
                .map(|mount| unescape(mount.mount_point.as_os_str().as_bytes()))
                .filter(|point| point != b"/")
                .collect(),
        )
    }

    fn in_rootfs(&self, path: &[u8]) -> bool {
        !self.0.iter().any(|point| {
            path.strip_prefix(point.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        })
    }
}

/// Undoes /proc's octal escapes of white space and backslashes.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        if first == b'\\'
            && let Some(digits) = after.get(..3)
            && digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
        {
            let value =
                digits.iter().fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
            if let Ok(byte) = u8::try_from(value) {
                bytes.push(byte);
                rest = &after[3..];
                continue;
            }
        }
        bytes.push(first);
        rest = after;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_escapes_are_undone() {
        assert_eq!(unescape(b"/a\\040b\\134\\012"), b"/a b\\\n");
        assert_eq!(unescape(b"/a\\04"), b"/a\\04");
        assert_eq!(unescape(b"\\777"), b"\\777");
    }

    #[test]
    fn a_process_of_the_host_is_refused() {
        assert_eq!(of(std::process::id() as i32), []);
        assert!(!is_contained(1));
    }

    #[test]
    fn this_process_has_its_executable_mapped() {
        let touches = touches_in(&namespace(std::process::id() as i32).unwrap());
        let exe = std::env::current_exe().unwrap();
        let exe = exe.as_os_str().as_bytes();
        let of_exe = |kind| {
            touches.iter().any(|t| t.kind == kind && t.path.as_ref().unwrap().as_bytes() == exe)
        };
        assert!(of_exe(Kind::Exec) && of_exe(Kind::Mmap));
    }
}
