//! Waiting until something changes in a few directories.

use std::io;
use std::path::Path;
use std::pin::Pin;

use futures_core::Stream as _;
use inotify::{EventStream, Inotify, WatchMask};

/// Directories under watch.
pub(super) struct Watched(EventStream<[u8; 4096]>);

impl Watched {
    /// # Errors
    /// When the user has too many inotify instances already.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Inotify::init()?.into_event_stream([0; 4096])?))
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

    /// Returns when something happened; what, the caller has to look up, as
    /// the kernel may merge or drop events. Safe to cancel.
    ///
    /// # Errors
    /// When the descriptor cannot be read.
    pub(super) async fn changed(&mut self) -> io::Result<()> {
        let next = std::future::poll_fn(|context| Pin::new(&mut self.0).poll_next(context)).await;
        next.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into())).map(|_| ())
    }
}
