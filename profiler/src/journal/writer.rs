//! Writing a journal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use super::{BEGINNING, FORMAT, Header, Line, VERSION, is_journal};
use crate::capture::{Event, Touch};
use crate::collect::{Clock, Collector, ContainerKey, Counts, Losses};
use crate::container::ContainerInfo;
use crate::profile::{Kind, Run};
use crate::session::Found;

/// Why a journal could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A run that was killed left it, or it is something else.
    #[error(
        "{path} exists, perhaps left by a run that was killed; write its profile with `profiler recover {path}` or remove it", path = .0.display()
    )]
    Exists(PathBuf),
    /// Somebody writes it right now.
    #[error("{path} is in use by another run; choose another name with -o", path = .0.display())]
    Busy(PathBuf),
    /// It could not be written.
    #[error("cannot write journal {path}: {source}; choose another place with -o", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Bytes that wait for the kernel at most.
const BUFFER: usize = 1 << 16;

/// How often counts are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// A journal that is being written. Dropping it leaves the file.
///
/// When it cannot be written any more, which is said once, the rest is left
/// out: the run is worth more than its journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// None after a failure.
    file: Option<File>,
    buffer: Vec<u8>,
    /// When counts are due.
    due: Instant,
    /// What was written last of what is counted.
    losses: Losses,
    counts: Vec<Counts>,
}

impl Journal {
    /// A new file. One that a run left there is replaced if `replace` says so,
    /// one that a run still writes never is.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn create(path: &Path, replace: bool) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Io { path: path.into(), source };
        let new = || OpenOptions::new().write(true).create_new(true).open(path);
        let file = match new() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let old = File::open(path).map_err(failed)?;
                if !lock(&old).map_err(failed)? {
                    return Err(JournalError::Busy(path.into()));
                }
                if !replace || !is_left_by_a_run(old).map_err(failed)? {
                    return Err(JournalError::Exists(path.into()));
                }
                fs::remove_file(path).map_err(failed)?;
                new()
            }
            file => file,
        }
        .map_err(failed)?;
        lock(&file).map_err(failed)?;
        Ok(Self {
            path: path.into(),
            file: Some(file),
            buffer: Vec::with_capacity(BUFFER),
            due: Instant::now() + INTERVAL,
            losses: Losses::default(),
            counts: Vec::new(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the header and what was there before the session.
    pub(crate) fn begin(
        &mut self,
        run: Run,
        found: &Found,
        host_dev: u32,
        clock: &Clock,
    ) -> Result<(), JournalError> {
        let header = Header {
            format: FORMAT.into(),
            version: VERSION,
            run: Run { interrupted: true, ..run },
            filter: found.filter.clone(),
            host_dev,
            clock: *clock,
        };
        let failed = |path: &Path, source| JournalError::Io { path: path.into(), source };
        self.put(&header).map_err(|source| failed(&self.path, source))?;
        debug_assert!(self.buffer.starts_with(BEGINNING));
        for id in &found.earlier {
            self.put(&Line::Earlier(id.clone())).map_err(|source| failed(&self.path, source))?;
        }
        self.write_out().map_err(|source| failed(&self.path, source))
    }

    /// A touch that changed what is known of the container in that place.
    pub(crate) fn touch(&mut self, place: usize, touch: Touch) {
        self.line(&Line::Touch(place, needed(touch)));
    }

    /// Any other event that changed something.
    pub(crate) fn event(&mut self, event: Event) {
        self.line(&Line::Event(event));
    }

    /// A container, and the path of its control group.
    pub(crate) fn container(&mut self, key: &ContainerKey, path: &str) {
        self.line(&Line::Container(key.clone(), path.into()));
    }

    /// What the engines know of a container.
    pub(crate) fn resolved(&mut self, key: &ContainerKey, info: Option<&ContainerInfo>) {
        self.line(&Line::Resolved(key.clone(), info.cloned()));
    }

    /// Hands all lines over to the kernel, and before that, once a second,
    /// what is counted.
    pub(crate) fn sync(&mut self, collector: &Collector, losses: impl FnOnce() -> Losses) {
        if self.file.is_some() && Instant::now() >= self.due {
            self.counted(collector, &losses());
            self.due = Instant::now() + INTERVAL;
        }
        self.flush();
    }

    /// The last line.
    pub(crate) fn end(mut self, collector: &Collector, losses: &Losses, run: &Run) {
        self.counted(collector, losses);
        self.line(&Line::End(run.clone()));
        self.flush();
    }

    fn counted(&mut self, collector: &Collector, losses: &Losses) {
        for (place, counts) in collector.counts().enumerate() {
            if self.counts.len() == place {
                self.counts.push(Counts::default());
            }
            if std::mem::replace(&mut self.counts[place], counts) != counts {
                self.line(&Line::Counts(place, counts));
            }
        }
        for (&cgroup, &lost) in &losses.by_group {
            if self.losses.by_group.insert(cgroup, lost) != Some(lost) {
                self.line(&Line::Lost(Some(cgroup), lost));
            }
        }
        if std::mem::replace(&mut self.losses.all, losses.all) != losses.all {
            self.line(&Line::Lost(None, losses.all));
        }
    }

    fn line(&mut self, line: &Line) {
        if self.file.is_some() {
            let written = self.put(line);
            self.told(written);
        }
    }

    fn put(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.buffer, line)?;
        self.buffer.push(b'\n');
        // The line that fills it has room, too.
        if self.buffer.len() >= BUFFER - BUFFER / 8 { self.write_out() } else { Ok(()) }
    }

    fn flush(&mut self) {
        let written = self.write_out();
        self.told(written);
    }

    /// Every write is of whole lines.
    fn write_out(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all(&self.buffer)?;
        }
        self.buffer.clear();
        Ok(())
    }

    fn told(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            log::warn!(
                "cannot write journal {}: {error}; the run goes on, but should the profiler be killed, what it sees from now on is lost",
                self.path.display()
            );
            // What follows would not begin at a line's beginning.
            self.file = None;
            self.buffer = Vec::new();
        }
    }
}

/// Whether nobody else holds it. The lock goes with the process, however that
/// ends.
fn lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Not somebody else's file of that name.
fn is_left_by_a_run(file: File) -> io::Result<bool> {
    let mut beginning = Vec::new();
    file.take(BEGINNING.len() as u64).read_to_end(&mut beginning)?;
    Ok(beginning.is_empty() || is_journal(&beginning))
}

/// What of a touch makes the profile: less than half of it.
fn needed(touch: Touch) -> Touch {
    let Touch { kind, ino, .. } = touch;
    Touch {
        // The container's place is told.
        cgroup: 0,
        pid: 0,
        ino: if kind == Kind::Exec { ino } else { 0 },
        name: touch.name.filter(|name| touch.path.as_ref() != Some(name)),
        ..touch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_that_cannot_be_written_stops_without_a_word_more() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(&directory.path().join("journal"), false).unwrap();
        journal.file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let collector = Collector::new(1);
        journal.touch(0, Touch::default());
        assert!(journal.file.is_some());
        journal.sync(&collector, Losses::default);
        for _ in 0..10_000 {
            journal.touch(0, Touch::default());
        }
        assert!(journal.file.is_none());
        assert_eq!(journal.buffer.capacity(), 0);
        journal.end(&collector, &Losses::default(), &Run::default());
    }
}
