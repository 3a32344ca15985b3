//! Reading a journal.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::line::{self, LINE_MAX, Read};
use super::{FORMAT, Header, Line, VERSION};
use crate::capture::Event;
use crate::collect::{Collector, ContainerKey, Losses, Recording};
use crate::container::ContainerInfo;
use crate::profile::Run;
use crate::session::{Found, Outcome};

/// Why a journal could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A line is not what a session writes.
    #[error("is damaged at line {line}: {cause}; profile the containers again")]
    Damaged {
        /// Its number, from one.
        line: u64,
        /// What is wrong.
        cause: String,
    },
    /// Written by a newer version.
    #[error("has format version {0}, this program reads up to {VERSION}; use a newer profiler")]
    Newer(u64),
    /// There is nothing in it.
    #[error("tells of no container of a watched image; profile the containers again")]
    Nothing,
    /// There is more in it than a profile can hold.
    #[error(
        "tells of {} images: {}; write a profile of each with `profiler recover`", .0.len(), .0.join(", ")
    )]
    Several(Vec<String>),
}

/// More names than this a control group has not: the kernel side walks up
/// sixteen levels.
const GROUP_NAMES_MAX: usize = 64;

/// A session of which the journal is left.
#[derive(Debug)]
pub struct Replay {
    collector: Collector,
    found: Found,
    /// Containers the engines had said nothing of, with the process by which
    /// they were seen.
    unresolved: BTreeMap<ContainerKey, u32>,
    losses: Losses,
    run: Run,
    /// Of the last touch, nanoseconds since boot.
    last: u64,
}

impl Replay {
    /// Reads a journal. What there is of a last line without an end is left
    /// out.
    ///
    /// # Errors
    /// When it cannot be read, is damaged or of a newer format version.
    pub fn read(mut reader: impl BufRead) -> Result<Self, ReadError> {
        let mut text = Vec::new();
        let mut number = 0;
        let mut replay = None;
        loop {
            let what = line::read(&mut reader, &mut text)?;
            number += 1;
            let damaged = |cause: String| ReadError::Damaged { line: number, cause };
            match what {
                Read::Whole => {}
                Read::Torn => break,
                Read::TooLong => {
                    return Err(damaged(format!("it is longer than {LINE_MAX} bytes")));
                }
            }
            match &mut replay {
                None => replay = Some(Self::begin(&text)?),
                Some(replay) => parse(&text)
                    .and_then(|line| replay.take(line).ok_or("its container is not told of".into()))
                    .map_err(damaged)?,
            }
        }
        replay.ok_or(ReadError::Damaged { line: 1, cause: "its end is missing".into() })
    }

    fn begin(text: &[u8]) -> Result<Self, ReadError> {
        #[derive(Deserialize)]
        struct Version {
            format: String,
            version: u64,
        }
        let damaged = |cause| ReadError::Damaged { line: 1, cause };
        // The version first: what follows may have another shape in a newer
        // one.
        let Version { format, version } = parse(text).map_err(damaged)?;
        if format != FORMAT {
            return Err(damaged(format!("it is no journal but {format:?}")));
        }
        if version > u64::from(VERSION) {
            return Err(ReadError::Newer(version));
        }
        let Header { run, filter, host_dev, clock, .. } = parse(text).map_err(damaged)?;
        Ok(Self {
            collector: Collector::with_clock(host_dev, clock),
            found: Found::new(filter, BTreeSet::new()),
            unresolved: BTreeMap::new(),
            losses: Losses::default(),
            run,
            last: 0,
        })
    }

    /// None when the line is of a container that none before told of.
    fn take(&mut self, line: Line) -> Option<()> {
        match line {
            Line::Earlier(id) => {
                self.found.earlier.insert(id);
            }
            Line::Event(Event::Cgroup { names, .. }) if names.len() > GROUP_NAMES_MAX => {
                return None;
            }
            Line::Event(event) => {
                for (key, pid) in self.collector.take(event) {
                    if !self.found.infos.contains_key(&key) {
                        self.unresolved.insert(key, pid);
                    }
                }
            }
            Line::Container(key, path) => {
                self.collector.add(&key, &path);
            }
            Line::Touch(place, touch) => {
                self.collector.keep(place, &touch)?;
                self.last = self.last.max(touch.time);
            }
            Line::Resolved(key, info) => self.resolve(key, info),
            Line::Counts(place, counts) => self.collector.set_counts(place, counts)?,
            Line::Lost(Some(cgroup), lost) => {
                self.losses.by_group.insert(cgroup, lost);
            }
            Line::Lost(None, lost) => self.losses.all = lost,
            Line::End(run) => self.run = run,
        }
        Some(())
    }

    /// Containers of which the engines had not yet told the image, with the
    /// process by which each was seen.
    pub fn unresolved(&self) -> impl Iterator<Item = (&ContainerKey, u32)> {
        self.unresolved.iter().map(|(key, &pid)| (key, pid))
    }

    /// What the engines say of a container; nothing when they do not know it.
    pub fn resolve(&mut self, key: ContainerKey, info: Option<ContainerInfo>) {
        self.unresolved.remove(&key);
        self.found.add(key, info);
    }

    /// Makes the profiles, as the session would have.
    pub fn finish(self) -> Outcome {
        let Self { collector, mut found, unresolved, losses, mut run, last } = self;
        found.unasked = unresolved.into_keys().collect();
        if run.ended.is_empty() {
            run.ended = collector.clock().text(collector.clock().millis(last));
        }
        found.outcome(collector, &losses, run, None)
    }

    /// The one profile that there is.
    ///
    /// # Errors
    /// [`ReadError::Nothing`] and [`ReadError::Several`].
    pub fn only(self) -> Result<Recording, ReadError> {
        let mut profiles = self.finish().profiles;
        match profiles.len() {
            0 => Err(ReadError::Nothing),
            1 => Ok(profiles.remove(0)),
            _ => {
                let names = profiles.iter().map(|profile| profile.image().reference.clone());
                Err(ReadError::Several(names.collect()))
            }
        }
    }
}

/// Without the place that the parser tells: its line is always the first.
fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| {
        let text = error.to_string();
        match text.rfind(" at line ") {
            Some(end) => format!("{} (column {})", &text[..end], error.column()),
            None => text,
        }
    })
}
