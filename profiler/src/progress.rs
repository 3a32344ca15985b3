//! How far long work has come.
//!
//! Whoever works counts, whoever wants to know looks: the two share a few
//! numbers and wait for each other nowhere.

use std::io::{self, Read, Write};
use std::ops::Deref;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Nothing long yet.
    Idle,
    /// An engine exports an image; bytes, about as many as told.
    Exporting,
    /// Blobs come from a registry.
    Downloading,
    /// Layers are unpacked and checked; bytes as they are stored.
    Reading,
    /// Layers are written; bytes.
    Writing,
    /// An engine takes an image in; bytes.
    Loading,
    /// Blobs go to a registry, or a program puts the image where it belongs.
    Uploading,
    /// An image is checked.
    Checking,
    /// Profiles are folded together; files.
    Merging,
    /// Nothing any more.
    Over,
}

impl Stage {
    const ALL: [Self; 10] = [
        Self::Idle,
        Self::Exporting,
        Self::Downloading,
        Self::Reading,
        Self::Writing,
        Self::Loading,
        Self::Uploading,
        Self::Checking,
        Self::Merging,
        Self::Over,
    ];
}

/// The numbers.
#[derive(Debug, Default)]
pub struct Progress {
    stage: AtomicU8,
    done: AtomicU64,
    total: AtomicU64,
}

/// Begins something where somebody wants to know.
pub(crate) fn begin(progress: Option<&Progress>, stage: Stage, total: u64) {
    if let Some(progress) = progress {
        progress.begin(stage, total);
    }
}

/// Numbers at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// What is being done.
    pub stage: Stage,
    /// How much of it.
    pub done: u64,
    /// Of how much; 0 where that is not known.
    pub total: u64,
}

impl Progress {
    /// Begins something; `total` is 0 where it is not known.
    pub fn begin(&self, stage: Stage, total: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// So much more was done.
    pub fn add(&self, amount: u64) {
        self.done.fetch_add(amount, Ordering::Relaxed);
    }

    /// How far it is. The numbers may be of two stages for a moment.
    pub fn look(&self) -> Snapshot {
        let stage = Stage::ALL.get(usize::from(self.stage.load(Ordering::Relaxed)));
        Snapshot {
            stage: stage.copied().unwrap_or(Stage::Idle),
            done: self.done.load(Ordering::Relaxed),
            total: self.total.load(Ordering::Relaxed),
        }
    }
}

/// A reader or writer whose bytes are counted, if somebody wants to know.
#[derive(Debug)]
pub struct Counted<T, P> {
    inner: T,
    progress: Option<P>,
}

impl<T, P: Deref<Target = Progress>> Counted<T, P> {
    /// Around a reader or writer.
    pub fn new(inner: T, progress: Option<P>) -> Self {
        Self { inner, progress }
    }

    fn count(&self, bytes: usize) {
        if let Some(progress) = &self.progress {
            progress.add(bytes as u64);
        }
    }
}

impl<T: Read, P: Deref<Target = Progress>> Read for Counted<T, P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.count(len);
        Ok(len)
    }
}

impl<T: Write, P: Deref<Target = Progress>> Write for Counted<T, P> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.inner.write(bytes)?;
        self.count(len);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_found_by_its_number() {
        let progress = Progress::default();
        assert_eq!(progress.look(), Snapshot { stage: Stage::Idle, done: 0, total: 0 });
        for stage in Stage::ALL {
            progress.begin(stage, 9);
            progress.add(2);
            progress.add(3);
            assert_eq!(progress.look(), Snapshot { stage, done: 5, total: 9 });
        }
    }

    #[test]
    fn what_passes_is_counted() {
        let progress = Progress::default();
        io::copy(&mut Counted::new(&[7; 3000][..], Some(&progress)), &mut io::sink()).unwrap();
        Counted::new(io::sink(), Some(&progress)).write_all(&[7; 500]).unwrap();
        Counted::new(io::sink(), None::<&Progress>).write_all(&[7; 500]).unwrap();
        assert_eq!(progress.look().done, 3500);
    }
}
