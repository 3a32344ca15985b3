//! Waiting until something changes in a few directories.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};

/// Directories under watch.
pub(super) struct Watched {
    inotify: Inotify,
    directories: HashMap<WatchDescriptor, PathBuf>,
}

/// What was made, renamed or written in a watched directory.
#[derive(Debug)]
pub(super) struct Change {
    pub path: PathBuf,
    /// A directory that was made or renamed.
    pub is_directory: bool,
}

impl Watched {
    /// # Errors
    /// When the user has too many inotify instances already.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { inotify: Inotify::init()?, directories: HashMap::new() })
    }

    /// Watches a directory for entries that are made, renamed in or written.
    /// Watching one twice is the same as once; one that is not there is left
    /// out, and so is what exceeds the user's watches.
    pub(super) fn add(&mut self, directory: &Path) {
        let mask =
            WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::CLOSE_WRITE | WatchMask::ONLYDIR;
        match self.inotify.watches().add(directory, mask) {
            Ok(watch) => {
                self.directories.insert(watch, directory.to_owned());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => log::info!("cannot watch {}: {error}", directory.display()),
        }
    }

    /// Blocks until something happened, or `limit` is over: then there is
    /// nothing. The list may lack changes, as the kernel drops some when there
    /// are too many, and is empty when it dropped all.
    ///
    /// # Errors
    /// When the descriptor cannot be read.
    pub(super) fn wait(&mut self, limit: Duration) -> io::Result<Option<Vec<Change>>> {
        let mut poll =
            libc::pollfd { fd: self.inotify.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one descriptor, which `self` keeps open.
        if unsafe { libc::poll(&raw mut poll, 1, limit) } <= 0 {
            return Ok(None);
        }
        // All that is waiting.
        let mut changes = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            let events = match self.inotify.read_events(&mut buffer) {
                Ok(events) => events,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Some(changes));
                }
                Err(error) => return Err(error),
            };
            for event in events {
                if event.mask.contains(EventMask::IGNORED) {
                    self.directories.remove(&event.wd);
                } else if let (Some(directory), Some(name)) =
                    (self.directories.get(&event.wd), event.name)
                {
                    let is_directory = event.mask.contains(EventMask::ISDIR);
                    changes.push(Change { path: directory.join(name), is_directory });
                }
            }
        }
    }
}
