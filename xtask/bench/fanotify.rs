//! `fanotify ROOT FILE`: writes the path of everything that is opened on the
//! file system of ROOT to FILE, one a line, and a line `overflow` whenever the
//! kernel's queue had no room. Ends by a signal.
//!
//! It stands for fatrace, which asks for events with file handles and is
//! refused on overlayfs (`EOPNOTSUPP`). This asks for descriptors; mark, queue
//! and output are fatrace's otherwise, without the process names, which cost
//! it another file to read for every event.

use std::env;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

// The C library's; the numbers are those of <linux/fanotify.h> and <fcntl.h>.
unsafe extern "C" {
    fn fanotify_init(flags: c_uint, event_flags: c_uint) -> c_int;
    fn fanotify_mark(fd: c_int, flags: c_uint, mask: u64, at: c_int, path: *const c_char) -> c_int;
    fn read(fd: c_int, buffer: *mut c_void, length: usize) -> isize;
}

const FAN_CLOEXEC: c_uint = 1;
const FAN_MARK_ADD: c_uint = 1;
const FAN_MARK_FILESYSTEM: c_uint = 0x100;
const FAN_OPEN: u64 = 0x20;
const FAN_Q_OVERFLOW: u64 = 0x4000;
const FAN_ONDIR: u64 = 0x4000_0000;
const AT_FDCWD: c_int = -100;
const O_LARGEFILE_CLOEXEC: c_uint = 0o100_000 | 0o2_000_000;

/// `struct fanotify_event_metadata`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Event {
    length: u32,
    version: u8,
    reserved: u8,
    metadata_length: u16,
    mask: u64,
    fd: i32,
    pid: i32,
}

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [root, output] = &words[..] else { panic!("usage: fanotify ROOT FILE") };
    let mut output = io::BufWriter::new(File::create(output)?);
    let group = mark(root)?;
    let mut events = [Event::default(); 256];
    loop {
        // SAFETY: the buffer is as long as the length given, and any bytes
        // are valid for its type.
        let read = unsafe {
            read(group.as_raw_fd(), events.as_mut_ptr().cast(), size_of::<[Event; 256]>())
        };
        let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
        for event in &events[..read / size_of::<Event>()] {
            if event.mask & FAN_Q_OVERFLOW != 0 {
                output.write_all(b"overflow\n")?;
            }
            if event.fd < 0 {
                continue;
            }
            // SAFETY: the kernel opened this descriptor for this event.
            let file = unsafe { OwnedFd::from_raw_fd(event.fd) };
            let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
            output.write_all(path.as_os_str().as_bytes())?;
            output.write_all(b"\n")?;
        }
        output.flush()?;
    }
}

fn mark(root: &str) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two numbers and no pointers.
    let fd = unsafe { fanotify_init(FAN_CLOEXEC, O_LARGEFILE_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, open, and owned by nobody else.
    let group = unsafe { OwnedFd::from_raw_fd(fd) };
    let root = CString::new(root)?;
    let flags = FAN_MARK_ADD | FAN_MARK_FILESYSTEM;
    let mask = FAN_OPEN | FAN_ONDIR;
    // SAFETY: the path is a C string that outlives the call.
    let marked = unsafe { fanotify_mark(fd, flags, mask, AT_FDCWD, root.as_ptr()) };
    if marked < 0 { Err(io::Error::last_os_error()) } else { Ok(group) }
}
