//! An observer that shares nothing with the program under test: fanotify on
//! the container's file system.
//!
//! A container starts behind a gate: its first process says that it is there
//! and waits. Then the file system is marked, and the gate opened.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::engine::{Container, Image};
use crate::until;

/// What an observer saw, by path in the container.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Files and directories opened, by whatever way.
    pub opened: BTreeSet<String>,
    /// Files opened to be executed: programs, scripts and interpreters.
    pub executed: BTreeSet<String>,
}

/// A container whose opens and executions are being noted.
pub struct Gated {
    /// The container.
    pub container: Container,
    stop: Arc<AtomicBool>,
    reader: JoinHandle<Observed>,
}

impl Gated {
    /// Starts `image` with `command` behind a gate in `directory`, marks its
    /// file system, opens the gate. The image must have `/bin/sh`.
    #[track_caller]
    pub fn start(image: &Image, directory: &Path, options: &[&str], command: &[&str]) -> Self {
        let gate = tempfile::tempdir_in(directory).expect("a gate");
        world_writable(gate.path());
        let go = gate.path().join("go");
        let name = CString::new(go.as_os_str().as_encoded_bytes()).expect("a path");
        // SAFETY: the name is a C string that outlives the call.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o666) }, 0, "a gate's FIFO");
        world_writable(&go);

        let volume = format!("{}:/gate", gate.path().display());
        let script = r#": > /gate/ready; read line < /gate/go; exec "$@""#;
        let mut arguments = vec!["--volume", &volume, "--entrypoint", "/bin/sh"];
        arguments.extend(options);
        arguments.extend([image.name.as_str(), "-c", script, "sh"]);
        arguments.extend(command);
        let container = Container::start(&arguments);
        until("the container is at its gate", || gate.path().join("ready").exists());

        let root = format!("/proc/{}/root", container.pid());
        let events = mark(&root).expect("fanotify marks the container's file system");
        let stop = Arc::new(AtomicBool::new(false));
        let reader = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || collect(&events, &stop)
        });
        fs::write(&go, "go\n").expect("the gate opens");
        Self { container, stop, reader }
    }

    /// What was opened or executed until now.
    #[track_caller]
    pub fn finish(self) -> Observed {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.join().expect("the observer lost nothing")
    }
}

fn world_writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("a mode");
}

fn mark(root: &str) -> io::Result<OwnedFd> {
    let flags = libc::FAN_CLASS_NOTIF
        | libc::FAN_CLOEXEC
        | libc::FAN_NONBLOCK
        | libc::FAN_UNLIMITED_QUEUE
        | libc::FAN_UNLIMITED_MARKS;
    let event_flags = libc::O_RDONLY | libc::O_LARGEFILE | libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: the call takes two numbers and no pointers.
    let fd = unsafe { libc::fanotify_init(flags, event_flags as u32) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, open, and owned by nobody else.
    let events = unsafe { OwnedFd::from_raw_fd(fd) };
    let root = CString::new(root)?;
    // SAFETY: the path is a C string that outlives the call.
    let marked = unsafe {
        libc::fanotify_mark(
            events.as_raw_fd(),
            libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM,
            libc::FAN_OPEN | libc::FAN_OPEN_EXEC | libc::FAN_ONDIR,
            libc::AT_FDCWD,
            root.as_ptr(),
        )
    };
    if marked < 0 { Err(io::Error::last_os_error()) } else { Ok(events) }
}

/// Reads events until told to stop and nothing is left.
fn collect(events: &OwnedFd, stop: &AtomicBool) -> Observed {
    const EVENT: usize = size_of::<libc::fanotify_event_metadata>();
    let mut seen = Observed::default();
    let mut buffer = vec![0_u8; 256 * EVENT];
    loop {
        let stopping = stop.load(Ordering::Relaxed);
        // SAFETY: the buffer is as long as the length given.
        let read =
            unsafe { libc::read(events.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        let Ok(read) = usize::try_from(read) else {
            let error = io::Error::last_os_error();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "fanotify: {error}");
            if stopping {
                return seen;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
            continue;
        };
        for event in buffer[..read].chunks_exact(EVENT) {
            // SAFETY: the chunk is as long as the structure, which any bytes
            // are valid for; it need not be aligned.
            let event: libc::fanotify_event_metadata =
                unsafe { std::ptr::read_unaligned(event.as_ptr().cast()) };
            assert_eq!(event.mask & libc::FAN_Q_OVERFLOW, 0, "fanotify lost events");
            if event.fd < 0 {
                continue;
            }
            // SAFETY: the kernel opened this descriptor for this event.
            let file = unsafe { OwnedFd::from_raw_fd(event.fd) };
            let link = format!("/proc/self/fd/{}", file.as_raw_fd());
            if let Ok(path) = fs::read_link(link) {
                let path = path.to_string_lossy().into_owned();
                if event.mask & libc::FAN_OPEN_EXEC != 0 {
                    seen.executed.insert(path.clone());
                }
                seen.opened.insert(path);
            }
        }
    }
}
