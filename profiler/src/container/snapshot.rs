//! What a running container already has open or mapped, from /proc.
//!
//! ```text
//! /proc/PID/{exe,cwd,root}           links whose target is the kernel's path,
//! /proc/PID/{fd,map_files}/…         byte for byte, without escapes
//! /proc/PID/mountinfo                mounts (proc_pid_mountinfo(5))
//! ```
//!
//! Paths are those of the mount namespace: from the container's rootfs on, as
//! the kernel side tells them, whatever root a process has changed to.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, statx};

use crate::capture::Touch;
use crate::profile::{BytePath, Kind};

/// Touches of every process in the mount namespace of `pid`. Processes that
/// end meanwhile are left out. Nothing where that is this program's own mount
/// namespace: the files are the host's, whatever the number is said to be.
pub fn of(pid: i32) -> Vec<Touch> {
    if namespace(&pid.to_string()).is_some() && !is_contained(pid) {
        log::warn!("process {pid} lives in the host's mount namespace: nothing of it is recorded");
        return Vec::new();
    }
    touches_beside(pid)
}

/// Whether a process is there and has a mount namespace other than this
/// program's and the first process's.
pub fn is_contained(pid: i32) -> bool {
    namespace(&pid.to_string()).is_some_and(|own| {
        Some(&own) != namespace("self").as_ref() && Some(&own) != namespace("1").as_ref()
    })
}

/// Identity of a process's mount namespace.
fn namespace(pid: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()
}

fn touches_beside(pid: i32) -> Vec<Touch> {
    let Some(own) = namespace(&pid.to_string()) else { return Vec::new() };
    let Some(mounts) = fs::read(format!("/proc/{pid}/mountinfo")).ok().and_then(|t| parse(&t))
    else {
        return Vec::new();
    };
    let mut touches = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if namespace(&format!("{pid}")).as_ref() == Some(&own) {
            process_touches(pid, &mounts, &mut touches);
        }
    }
    touches
}

fn process_touches(pid: u32, mounts: &Mounts, touches: &mut Vec<Touch>) {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let Ok(comm) = fs::read(process.join("comm")) else { return };
    let comm = String::from_utf8_lossy(comm.strip_suffix(b"\n").unwrap_or(&comm)).into_owned();
    let exe = mounts.file(&process, "exe".as_ref());
    // As the kernel side tells it: none that is not in the rootfs.
    let exe_ino = exe.as_ref().map_or(0, |exe| exe.ino);
    let mut seen = HashSet::new();
    let mut add = |file: Option<Place>, kind: Kind| {
        let Some(file) = file else { return };
        if !seen.insert((file.path.clone(), kind)) {
            return;
        }
        touches.push(Touch {
            cgroup: 0,
            dev: mounts.dev,
            pid,
            comm: comm.clone(),
            kind,
            path: Some(BytePath(file.path)),
            name: None,
            written: false,
            missing: false,
            foreign_exe: exe_ino == 0,
            cut: false,
            epoch: 0,
            time: 0,
            ino: file.ino,
            exe_ino,
        });
    };
    // First, so that the others' executable is known by its path.
    add(exe, Kind::Exec);
    for (directory, kind) in [("map_files", Kind::Mmap), ("fd", Kind::Open)] {
        let entries = fs::read_dir(process.join(directory)).into_iter().flatten().flatten();
        entries.for_each(|entry| add(mounts.file(&process, &entry.path()), kind));
    }
    add(mounts.file(&process, "cwd".as_ref()), Kind::Stat);
    add(mounts.file(&process, "root".as_ref()), Kind::Stat);
}

/// A file of the rootfs.
struct Place {
    path: Vec<u8>,
    ino: u64,
}

/// The mounts of a container.
#[derive(Debug, Default, PartialEq)]
struct Mounts {
    /// Identity of the rootfs's mount.
    id: u64,
    /// Device of its filesystem, as the kernel encodes it.
    dev: u32,
    /// Where others are mounted over it.
    points: Vec<Vec<u8>>,
}

/// Reads the text of `/proc/PID/mountinfo`. None when nothing is mounted as
/// the root, or the text is not of that form.
fn parse(text: &[u8]) -> Option<Mounts> {
    let mut mounts = Mounts::default();
    let mut rooted = false;
    for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        // ID PARENT MAJOR:MINOR ROOT POINT …
        let fields: Vec<&[u8]> = line.splitn(6, |&byte| byte == b' ').collect();
        let [id, _, device, _, point, ..] = fields[..] else { return None };
        let point = unescape(point);
        if point != b"/" {
            mounts.points.push(point);
            continue;
        }
        // Of several mounts at one place the last is what programs see.
        let (major, minor) = std::str::from_utf8(device).ok()?.split_once(':')?;
        mounts.dev = major.parse::<u32>().ok()? << 20 | minor.parse::<u32>().ok()?;
        mounts.id = std::str::from_utf8(id).ok()?.parse().ok()?;
        rooted = true;
    }
    rooted.then_some(mounts)
}

impl Mounts {
    /// The file that a link in a process's directory leads to, if it is of the rootfs and has
    /// a name there.
    fn file(&self, process: &Path, link: &Path) -> Option<Place> {
        let link = &process.join(link);
        const DELETED: &[u8] = b" (deleted)";
        let path = fs::read_link(link).ok()?.into_os_string().into_vec();
        if !path.starts_with(b"/") || !self.in_rootfs(&path) {
            return None;
        }
        // Following needs a privilege more for `map_files`: then the path has
        // to do.
        let Ok(stat) = stat(link, AtFlags::empty()) else {
            return (!path.ends_with(DELETED)).then_some(Place { path, ino: 0 });
        };
        // A descriptor from outside has a path, too, in another mount.
        if stat.stx_mnt_id != self.id {
            return None;
        }
        // What the kernel says of a file that was unlinked, whose name may be
        // another's by now; or a name that ends like this.
        if path.ends_with(DELETED) {
            let mut again = process.join("root").into_os_string();
            again.push(OsString::from_vec(path.clone()));
            let again = self::stat(Path::new(&again), AtFlags::SYMLINK_NOFOLLOW).ok()?;
            if (again.stx_mnt_id, again.stx_ino) != (stat.stx_mnt_id, stat.stx_ino) {
                return None;
            }
        }
        Some(Place { path, ino: stat.stx_ino })
    }

    fn in_rootfs(&self, path: &[u8]) -> bool {
        !self.points.iter().any(|point| {
            path.strip_prefix(point.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        })
    }
}

fn stat(path: &Path, flags: AtFlags) -> rustix::io::Result<Statx> {
    statx(CWD, path, flags, StatxFlags::INO | StatxFlags::MNT_ID)
}

/// Undoes mountinfo's octal escapes of white space, backslashes and `#`.
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
    use std::io::Write as _;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn octal_escapes_are_undone() {
        assert_eq!(unescape(b"/a\\040b\\134\\012"), b"/a b\\\n");
        assert_eq!(unescape(b"/a\\04"), b"/a\\04");
        assert_eq!(unescape(b"\\777"), b"\\777");
    }

    #[test]
    fn mounts_are_read_byte_for_byte() {
        let text = b"20 1 0:3 / / rw - overlay a b\n21 20 0:4 /x /a\\040b\xff rw - tmpfs a b\n\
            30 20 259:5 /var/x / rw shared:1 - ext4 /dev/x\\040y rw\n";
        let mounts = Mounts { id: 30, dev: 259 << 20 | 5, points: vec![b"/a b\xff".to_vec()] };
        assert!(!mounts.in_rootfs(b"/a b\xff/c") && mounts.in_rootfs(b"/a b\xffc"));
        assert_eq!(parse(text), Some(mounts));
        assert_eq!(parse(b"20 1 0:3 / /elsewhere rw - overlay a b\n"), None);
        assert_eq!(parse(b"nonsense\n"), None);
    }

    #[test]
    fn a_process_of_the_host_is_refused() {
        assert_eq!(of(std::process::id() as i32), []);
        assert!(!is_contained(1));
    }

    #[test]
    fn this_process_has_its_executable_mapped_and_odd_files_open() {
        let own = std::process::id();
        let mounts = parse(&fs::read("/proc/self/mountinfo").unwrap()).unwrap();
        // Within the root's mount, wherever the temporary directory is.
        let directory = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap());
        let directory = directory.unwrap();
        let place = |name: &[u8]| directory.path().join(OsString::from_vec(name.to_vec()));
        let kept = [&b"odd\\012\xff\n"[..], b"a (deleted)"].map(place);
        let removed = place(b"removed");
        let files = kept.iter().chain([&removed]).map(|path| fs::File::create(path).unwrap());
        let files: Vec<_> = files.collect();
        (&files[0]).write_all(b"x").unwrap();
        fs::remove_file(&removed).unwrap();

        let mut touches = Vec::new();
        process_touches(own, &mounts, &mut touches);
        let find = |kind, path: &Path| {
            let path = path.as_os_str().as_bytes();
            touches.iter().find(|t| t.kind == kind && t.path.as_ref().unwrap().as_bytes() == path)
        };
        let exe = std::env::current_exe().unwrap();
        let executed = find(Kind::Exec, &exe).unwrap();
        assert!(executed.ino != 0 && executed.ino == executed.exe_ino && !executed.foreign_exe);
        assert_eq!(find(Kind::Mmap, &exe).unwrap().ino, executed.ino);
        for path in &kept {
            let touch = find(Kind::Open, path).unwrap();
            assert_eq!((touch.exe_ino, touch.dev), (executed.ino, mounts.dev));
        }
        let gone = touches.iter().find(|touch| {
            let path = touch.path.as_ref().unwrap().as_bytes();
            path.windows(7).any(|part| part == b"removed")
        });
        assert_eq!(gone, None);
    }
}
