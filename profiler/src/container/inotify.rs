//! Waiting until something changes in a few directories.

use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::time::Duration;

use inotify::{Inotify, WatchMask};

/// Directories under watch.
pub(super) struct Watched(Inotify);

impl Watched {
    /// # Errors
    /// When the user has too many inotify instances already.
    pub(super) fn new() -> io::Result<Self> {
        Inotify::init().map(Self)
    }

    /// Watches a directory for entries that are made, renamed in or written.
    /// Watching one twice is the same as once; one that is not there is left
    /// out, and so is what exceeds the user's watches.
    pub(super) fn add(&mut self, directory: &Path) {
        let mask =
            WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::CLOSE_WRITE | WatchMask::ONLYDIR;
        match self.0.watches().add(directory, mask) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => log::info!("cannot watch {}: {error}", directory.display()),
        }
    }

    /// Blocks until something happened, or `limit` is over. What happened the
    /// caller has to look up, as the kernel may merge or drop events.
    ///
    /// # Errors
    /// When the descriptor cannot be read.
    pub(super) fn wait(&mut self, limit: Duration) -> io::Result<bool> {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one descriptor, which `self` keeps open.
        if unsafe { libc::poll(&raw mut poll, 1, limit) } <= 0 {
            return Ok(false);
        }
        // All that is waiting: one look serves them.
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.0.read_events(&mut buffer) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}
